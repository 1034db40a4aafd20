"""What happens when in the scripts called o1: instants in seconds as they pass, and tenant a's capacity."""

from dataclasses import dataclass
from typing import Final, Self

from tidegate.provider import reading
from tidegate.provider.script import Script as Steps
from tidegate.provider.script import compile_tenant
from tidegate.provider.timeline import Does

ARRIVALS: Final = 600.0
"""Jobs arrive for so long, in seconds of the script."""

LATENCY: Final = 1.0
"""What a healthy call takes on average, in seconds of the script."""

CALLER_TIMEOUT: Final = 30.0
"""What a caller waits for an answer at most, in seconds of the script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Tenant a is healthy, is down from `outage` to `recovery`, and has its whole capacity again from `healed` on.

    `refused` is the end of what it is down with first.
    """

    steps: Steps
    scale: float
    outage: float
    refused: float
    recovery: float
    healed: float

    @classmethod
    def load(cls, timeline: str, scale: float) -> Self:
        """The script of a timeline whose tenant a goes through such an outage; raises ConfigError."""
        tenant = reading.load(timeline).tenants["a"]
        steps = compile_tenant(tenant, scale, repeat=False)
        well = [step for step in steps.steps if step.does is Does.HEALTHY]
        outage = well[0].end
        return cls(
            steps=steps,
            scale=scale,
            outage=outage,
            refused=steps.at(outage)[0].end,
            recovery=well[1].start,
            healed=well[2].start,
        )

    def lasts(self, seconds: float) -> float:
        """Seconds of the script as they pass."""
        return seconds / self.scale

    @property
    def latency(self) -> float:
        """What a healthy call takes on average."""
        return self.lasts(LATENCY)

    @property
    def end(self) -> float:
        """When the last job arrives."""
        return self.lasts(ARRIVALS)

    def capacity(self, instant: float, most: int) -> int:
        """How many calls it answers at a time, `most` at most; none while it is down."""
        step, at = self.steps.at(instant)
        if step.does is not Does.HEALTHY:
            return 0
        bound = step.capacity_at(at)
        return most if bound is None else min(bound, most)
