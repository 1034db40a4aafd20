"""What Tidegate must keep to, run for run or in the median of all runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.outage.metrics import Vector
from bench.outage.script import Script

NEVER: Final = ("lost", "dead", "charged")
WASTED: Final = 150
WASTED_SHORT: Final = 100
"""At a tenth of the time and less, with the same rate of jobs: there are fewer calls to waste."""

DETECTED: Final = 1.0
WELL_MS: Final = 50.0
OVERLOADED: Final = 1.0
DRAINED: Final = 1.5
LAST_CALLS: Final = 3.0
"""Mean latencies that the last calls may take beyond that: the oracle's take one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One promise: what was found, and how much was allowed."""

    name: str
    found: float
    most: float

    @property
    def kept(self) -> bool:
        """Whether it was."""
        return self.found <= self.most


def gates(vectors: Sequence[Vector], script: Script) -> list[Gate]:
    """All of them: what must never happen by the worst run, everything else by the median."""

    def middle(name: str) -> float:
        return median(float(getattr(one, name)) for one in vectors)

    drained = DRAINED * middle("drained_oracle") + LAST_CALLS * script.latency
    found = [Gate(name=name, found=max(getattr(one, name) for one in vectors), most=0) for name in NEVER]
    return [
        *found,
        Gate(name="wasted", found=middle("wasted"), most=WASTED if script.scale <= 1 else WASTED_SHORT),
        Gate(name="detected", found=middle("detected"), most=DETECTED),
        Gate(name="well p99", found=middle("well_p99"), most=middle("well_p99_before") + WELL_MS),
        Gate(name="overloaded", found=middle("overloaded"), most=OVERLOADED),
        Gate(name="drained", found=middle("drained"), most=drained),
    ]
