"""What was measured, as one JSON document: medians, every run, the breaker's history, the machine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from bench.outage.gates import Gate, gates
from bench.outage.metrics import Vector
from bench.outage.script import Script
from bench.outage.trial import Change, Course
from bench.peers.results import machine


@dataclass(slots=True, kw_only=True)
class Result:
    """The runs of one system: the seed, the figures, the breaker's history; and why others are missing."""

    system: str
    note: str
    runs: list[tuple[int, Vector, list[Change]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def vectors(self) -> list[Vector]:
        """The figures."""
        return [figures for _, figures, _ in self.runs]

    def gates(self, script: Script) -> list[Gate]:
        """What it must keep to: only Tidegate must."""
        return gates(self.vectors, script) if self.system.startswith("tidegate") and self.runs else []

    def kept(self, script: Script) -> bool:
        """Whether it did, in runs that all came to their end."""
        ours = self.system.startswith("tidegate")
        return not ours or (not self.errors and all(gate.kept for gate in self.gates(script)))


def write(path: Path, course: Course, results: Sequence[Result]) -> None:
    """Write everything; infinite becomes null."""
    document = {
        "at": datetime.now(UTC).isoformat(),
        "machine": machine(),
        "course": {"timeline": course.timeline, "scale": course.script.scale, "rate": course.rate},
        "systems": {result.system: _system(result, course.script) for result in results},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def _system(result: Result, script: Script) -> dict[str, object]:
    names = [one.name for one in fields(Vector)] if result.runs else []
    return {
        "note": result.note,
        "errors": result.errors,
        "gates": [asdict(gate) | {"kept": gate.kept} for gate in result.gates(script)],
        "median": {name: median(float(getattr(one, name)) for one in result.vectors) for name in names},
        "runs": [{"seed": seed, "figures": one, "history": history} for seed, one, history in result.runs],
    }
