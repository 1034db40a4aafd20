"""What was measured: medians and spreads, as a table a person can read and as one JSON document."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from bench.http.subjects import BARE
from bench.http.wrk import Shot
from bench.peers.results import machine

HEAD: Final = (
    "subject",
    "connections",
    "req/s (low–high)",
    "% of bare (low–high)",
    "cpu µs",
    "p50 ms",
    "p99 ms (highest)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A subject under one load in one round, and the bare route just before it.

    `busy` is the microseconds of processor that its process took for a request; a store's server has its own.
    """

    subject: str
    connections: int
    shot: Shot
    bare: Shot
    busy: float

    @property
    def share(self) -> float:
        """Its rate, in percent of the bare route's."""
        return 100 * self.shot.rate / max(self.bare.rate, 1e-9)


@dataclass(slots=True)
class Results:
    """All samples, and what went wrong."""

    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def of(self, subject: str, connections: int) -> Sequence[Sample]:
        """One row's samples, a round each; the bare route's are taken from all of its pairs."""
        return [one for one in self.samples if (one.subject, one.connections) == (subject, connections)]

    def rows(self) -> list[tuple[str, int]]:
        """Subject and connections, in the order in which they were measured."""
        return list(dict.fromkeys((one.subject, one.connections) for one in self.samples))


def figures(samples: Sequence[Sample]) -> Mapping[str, Sequence[float]]:
    """Rates and shares, and latencies in milliseconds, a value a round."""
    return {
        "rate": [one.shot.rate for one in samples],
        "share": [one.share for one in samples],
        "busy": [one.busy for one in samples],
        "p50": [one.shot.p50 / 1_000 for one in samples],
        "p99": [one.shot.p99 / 1_000 for one in samples],
    }


def show(results: Results) -> str:
    """The table, and what went wrong below it."""
    rows = [HEAD, *(_row(subject, connections, results) for subject, connections in results.rows())]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*lines, *(["", "failed:", *results.failures] if results.failures else [])])


def _row(subject: str, connections: int, results: Results) -> tuple[str, ...]:
    found = figures(results.of(subject, connections))
    share = "" if subject == BARE else _spread(found["share"])
    highest = f"{median(found['p99']):.1f} ({max(found['p99']):.1f})"
    busy, middle = f"{median(found['busy']):.0f}", f"{median(found['p50']):.2f}"
    return subject, str(connections), _spread(found["rate"]), share, busy, middle, highest


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def write(path: Path, results: Results, load: Mapping[str, object]) -> None:
    """Everything in one document."""
    rows = [
        {"subject": subject, "connections": connections, **_told(figures(results.of(subject, connections)))}
        for subject, connections in results.rows()
    ]
    document = {
        "at": datetime.now(UTC).isoformat(),
        "machine": machine(),
        "load": load,
        "rows": rows,
        "failures": results.failures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _told(found: Mapping[str, Sequence[float]]) -> dict[str, object]:
    return {
        name: {"median": round(median(values), 2), "runs": [round(value, 2) for value in values]}
        for name, values in found.items()
    }
