"""The vectors side by side: a row a system, the median of its runs and, where they differ, the worst."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.outage.gates import Gate
from bench.outage.metrics import Vector
from bench.outage.results import Result
from bench.outage.script import Script


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, the figure below it, and its decimals. `best` is where more is better."""

    title: str
    figure: str
    decimals: int = 0
    best: bool = False


COLUMNS: Final = (
    Column("wasted\ncalls", "wasted"),
    Column("slot-s\nwasted", "wasted_slot_seconds", 1),
    Column("lost", "lost"),
    Column("dead", "dead"),
    Column("charged", "charged"),
    Column("detected\ns", "detected", 2),
    Column("served\nagain s", "restored", 1),
    Column("caught\nup s", "caught_up", 1),
    Column("drained\ns", "drained", 1),
    Column("done\nmeanwhile", "goodput", best=True),
    Column("b waits\np50 ms", "well_p50", 1),
    Column("p99 ms", "well_p99", 1),
    Column("p99\nbefore", "well_p99_before", 1),
    Column("429s in\nrecovery", "rejected"),
    Column("calls ÷\ncapacity", "overload", 1),
    Column("above\n2× s", "overloaded", 2),
    Column("twice", "duplicates"),
)
ORACLE: Final = {
    "restored": "restored_oracle",
    "caught_up": "caught_up_oracle",
    "drained": "drained_oracle",
    "goodput": "goodput_oracle",
}


def show(results: Sequence[Result], script: Script, console: Console) -> None:
    """Print the vectors, what an oracle would do, the gates, and what is missing."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    shown.add_column("median (worst)")
    for column in COLUMNS:
        shown.add_column(column.title, justify="right")
    for result in results:
        if result.runs:
            shown.add_row(result.system, *(_cell(result.vectors, column) for column in COLUMNS))
    every = [one for result in results for one in result.vectors]
    shown.add_row("an oracle", *(_oracle(every, column) for column in COLUMNS))
    console.print(shown)
    for result in results:
        if held := result.gates(script):
            verdict = "PASS" if result.kept(script) else "FAIL"
            console.print(f"{verdict} {result.system}: " + ", ".join(map(_gate, held)), highlight=False)
        for error in result.errors:
            console.print(f"{result.system}, {error}", highlight=False)


def _cell(vectors: Sequence[Vector], column: Column) -> str:
    values: list[float] = [getattr(one, column.figure) for one in vectors]
    middle, worst = median(values), min(values) if column.best else max(values)
    text = _number(middle, column.decimals)
    return text if _number(worst, column.decimals) == text else f"{text} ({_number(worst, column.decimals)})"


def _oracle(vectors: Sequence[Vector], column: Column) -> str:
    if column.figure not in ORACLE or not vectors:
        return ""
    return _number(median(getattr(one, ORACLE[column.figure]) for one in vectors), column.decimals)


def _gate(gate: Gate) -> str:
    sign = "≤" if gate.kept else "> (!)"
    return f"{gate.name} {_number(gate.found, 2)} {sign} {_number(gate.most, 2)}"


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}" if math.isfinite(value) else "never"
