"""Figures with their spread, and how they are shown."""

import json
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing: a value a run."""

    group: str
    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle run: what to quote."""
        return median(self.values)

    def row(self) -> str:
        """One line of a table."""
        low, high = min(self.values), max(self.values)
        return f"{self.name:<58} {self.median:>12,.1f} {self.unit:<7} {low:>12,.1f} … {high:,.1f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def show(figures: Sequence[Figure]) -> str:
    """All figures as a table by group: median, and the lowest and highest run."""
    lines: list[str] = []
    for group in dict.fromkeys(figure.group for figure in figures):
        lines += ["", f"{group:<58} {'median':>12} {'':<7} {'low … high':>16}"]
        lines += [figure.row() for figure in figures if figure.group == group]
    return "\n".join(lines)


def write(figures: Sequence[Figure], path: Path, engine: str) -> None:
    """Keep the figures and where they were measured."""
    machine = {"python": platform.python_version(), "system": platform.platform(), "sqlite": sqlite3.sqlite_version}
    measured = [
        {"group": f.group, "name": f.name, "unit": f.unit, "median": f.median, "runs": list(f.values)} for f in figures
    ]
    document = {"at": datetime.now(UTC).isoformat(), "engine": engine, "machine": machine, "figures": measured}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
