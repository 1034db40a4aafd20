"""The comparison as one table a person can read: peers down, figures across, medians of the rounds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.peers.results import Found, Series, Summary, failures, summary


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, the figures below it (joined by a slash), and their decimals."""

    title: str
    figures: tuple[str, ...]
    decimals: int = 0
    spread: bool = False
    worst: bool = False


SPEED: Final = (
    Column("submit 1", ("submit_one",)),
    Column("64 callers", ("submit_callers",)),
    Column("bulk", ("submit_bulk",)),
    Column("drain 1 proc (low–high)", ("drain_1_rate",), spread=True),
    Column("2 procs", ("drain_2_rate",)),
    Column("1/10/200 slots", ("slots_1", "slots_10", "slots_200")),
    Column("50 ms jobs", ("io",)),
    Column("ms at 50/s p50/95/99", ("latency_p50", "latency_p95", "latency_p99"), 1),
    Column("at half: /s", ("half_rate",)),
    Column("ms p50/95/99", ("half_p50", "half_p95", "half_p99"), 1),
)
COST: Final = (
    Column("MB idle/after", ("memory_idle", "drain_1_memory")),
    Column("idle cpu %", ("idle_cpu",), 1),
    Column("idle cmds/reads a s", ("idle_commands", "idle_reads"), 1),
    Column("cmds/reads a job", ("drain_1_commands", "drain_1_reads"), 2),
    Column("exactly once 1/2", ("drain_1_exact", "drain_2_exact"), worst=True),
    Column("kill -9: in flight", ("kill_in_flight",)),
    Column("lost", ("kill_lost",)),
    Column("done twice", ("kill_done_twice",)),
    Column("worker up s", ("kill_up",), 1),
    Column("all back s", ("kill_back",), 1),
    Column("all done s", ("kill_all_done",), 1),
    Column("elsewhere: lost", ("kill_elsewhere_lost",)),
    Column("up s", ("kill_elsewhere_up",), 1),
    Column("back s", ("kill_elsewhere_back",), 1),
)
MISSING: Final = "–"


def show(parts: Sequence[Found], order: Sequence[str]) -> str:
    """Speed in jobs a second, then cost and reliability, then growth, then what is missing."""
    found = summary(parts)
    peers = [name for name in order if name in found]
    blocks = [_table("jobs/s", SPEED, peers, found), _table("cost, kill -9", COST, peers, found)]
    blocks += [_growth(peers, found)]
    lines = failures(parts)
    if lines:
        blocks.append("\n".join(["missing:", *lines]))
    return "\n\n".join(block for block in blocks if block)


def _table(corner: str, columns: Sequence[Column], peers: Sequence[str], found: Summary) -> str:
    rows = [[corner, *(column.title for column in columns)]]
    rows += [[peer, *(_cell(column, found[peer]) for column in columns)] for peer in peers]
    return _aligned(rows)


def _cell(column: Column, figures: Mapping[str, Series]) -> str:
    shown = [_number(figures.get(name), column) for name in column.figures]
    if all(number == MISSING for number in shown):
        return MISSING
    first = figures.get(column.figures[0])
    text = "/".join(shown)
    return f"{text} ({min(first.values):,.0f}–{max(first.values):,.0f})" if column.spread and first else text


def _number(series: Series | None, column: Column) -> str:
    if series is None:
        return MISSING
    value = series.worst if column.worst else series.middle
    return f"{value:,.{column.decimals}f}" if math.isfinite(value) else "never"


def _growth(peers: Sequence[str], found: Summary) -> str:
    names = [name for peer in peers for name in found[peer] if name.startswith("growth_")]
    columns = [Column(name.removeprefix("growth_"), (name,), 2) for name in dict.fromkeys(names)]
    grown = [peer for peer in peers if any(name.startswith("growth_") for name in found[peer])]
    return _table("ms for 100 jobs, by waiting", columns, grown, found) if grown else ""


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
