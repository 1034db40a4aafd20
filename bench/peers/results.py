"""What was measured, kept as one file for each peer and round, so that a run can be taken up again."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from bench.peers.installing import pins
from bench.peers.roster import Peer
from bench.peers.servers import postgres_server, valkey_server, version

PARTS: Final = ("round", "kill", "growth")


@dataclass(slots=True, kw_only=True)
class Found:
    """The figures of one part for one peer, and why others are missing."""

    peer: str
    part: str
    figures: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


class Folder:
    """Where the parts are kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Forget all parts: a new run."""
        for part in self._path.glob("*.json"):
            part.unlink()

    def has(self, peer: Peer, part: str) -> bool:
        """Whether a part has been measured before."""
        return self._file(peer.name, part).exists()

    def keep(self, found: Found) -> None:
        """Write one part; infinite becomes null."""
        figures = {name: value if math.isfinite(value) else None for name, value in found.figures.items()}
        document = {"peer": found.peer, "part": found.part, "figures": figures, "errors": found.errors}
        self._file(found.peer, found.part).write_text(json.dumps(document, indent=1) + "\n", "utf-8")

    def read(self) -> list[Found]:
        """Every part that is kept."""
        return [_found(path) for path in sorted(self._path.glob("*.json"))]

    def _file(self, peer: str, part: str) -> Path:
        return self._path / f"{peer}.{part}.json"


def _found(path: Path) -> Found:
    document = json.loads(path.read_text("utf-8"))
    figures = {name: math.inf if value is None else float(value) for name, value in document["figures"].items()}
    return Found(peer=document["peer"], part=document["part"], figures=figures, errors=document["errors"])


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one peer: a value a round."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """What to quote of a speed."""
        return median(self.values)

    @property
    def worst(self) -> float:
        """What to quote of a promise: one round that broke it counts."""
        return min(self.values)


Summary = Mapping[str, Mapping[str, Series]]
"""By peer, by figure."""


def summary(parts: Sequence[Found]) -> Summary:
    """All figures of all parts, those of the rounds together. Kill and growth figures bear their part's name."""
    collected: dict[str, dict[str, list[float]]] = {}
    for found in parts:
        prefix = "" if found.part.startswith("round") else f"{found.part}_"
        for name, value in found.figures.items():
            collected.setdefault(found.peer, {}).setdefault(prefix + name, []).append(value)
    return {
        peer: {name: Series(tuple(values)) for name, values in figures.items()} for peer, figures in collected.items()
    }


def failures(parts: Sequence[Found]) -> list[str]:
    """What is missing and why, one a line."""
    return [f"{found.peer}, {found.part}, {name}: {why}" for found in parts for name, why in found.errors.items()]


def write(path: Path, parts: Sequence[Found], peers: Sequence[Peer]) -> None:
    """Everything in one document: medians, spreads, rounds, machine, versions, failures."""
    figures = {
        peer: {
            name: {"median": _number(s.middle), "low": _number(min(s.values)), "high": _number(max(s.values)),
                   "runs": [_number(value) for value in s.values]}
            for name, s in by_name.items()
        }
        for peer, by_name in summary(parts).items()
    }  # fmt: skip
    document = {
        "at": datetime.now(UTC).isoformat(),
        "machine": machine(),
        "settings": {peer.name: {"slots": peer.slots, "io_slots": peer.io_slots, "pins": pins(peer)} for peer in peers},
        "figures": figures,
        "failures": failures(parts),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def machine() -> dict[str, object]:
    """Where it was measured."""
    return {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "valkey": version(valkey_server()),
        "postgres": version(postgres_server() / "postgres"),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
