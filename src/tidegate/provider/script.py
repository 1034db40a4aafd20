"""What holds at an instant: pure, in seconds as they pass (the file's, divided by its scale)."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tidegate.provider.timeline import STATUSES, Capacity, Does, Latency, Phase, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How long answers take: uniform between `least` and `most`, or lognormal with a mean."""

    mean: float = 0.0
    sigma: float = 0.0
    least: float = 0.0
    most: float = 0.0

    def draw(self, one: float, other: float) -> float:
        """A duration, from two numbers in [0, 1)."""
        if self.most > 0:
            return self.least + (self.most - self.least) * one
        if self.sigma == 0 or self.mean == 0:
            return self.mean
        normal = math.sqrt(-2 * math.log(1 - one)) * math.cos(2 * math.pi * other)
        return self.mean * math.exp(self.sigma * normal - self.sigma**2 / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A phase, with everything filled in that it leaves to its tenant."""

    name: str
    does: Does
    start: float
    end: float
    takes: Spread
    healthy: Spread
    status: int
    hint: float | Literal["none", "exact"]
    capacity: tuple[int, int] | None
    share: float

    def capacity_at(self, elapsed: float) -> int | None:
        """How many calls are answered at a time; None is no limit."""
        if self.capacity is None:
            return None
        first, last = self.capacity
        if first == last:
            return first
        return math.floor(first + (last - first) * min(max((elapsed - self.start) / (self.end - self.start), 0), 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A tenant's steps. After the last one it lasts on, or all of them begin anew."""

    steps: Sequence[Step]
    starts: Sequence[float]
    length: float
    repeat: bool

    def at(self, elapsed: float) -> tuple[Step, float]:
        """The step that holds, and the instant in it: `elapsed`, less the rounds that are over."""
        if self.repeat:
            elapsed %= self.length
        return self.steps[bisect_right(self.starts, elapsed) - 1], elapsed


def compile_tenant(tenant: Tenant, scale: float, *, repeat: bool) -> Script:
    """The script of a tenant, `scale` times as fast as its file says."""
    steps: list[Step] = []
    start = 0.0
    for phase in tenant.phases:
        steps.append(compile_phase(phase, tenant, scale, start))
        start = steps[-1].end
    return Script(steps=steps, starts=[step.start for step in steps], length=start, repeat=repeat)


def compile_phase(phase: Phase, tenant: Tenant, scale: float, start: float) -> Step:
    """A phase that begins at `start`."""
    healthy = _spread(tenant.latency, scale)
    answers = phase.does in (Does.HEALTHY, Does.TRUNCATE, Does.ERROR_IN_200, Does.INVALID_JSON)
    otherwise = healthy if answers else Spread()
    return Step(
        name=phase.name or phase.does.value,
        does=phase.does,
        start=start,
        end=math.inf if phase.lasts is None else start + phase.lasts / scale,
        takes=otherwise if phase.latency is None else _spread(phase.latency, scale),
        healthy=healthy,
        status=phase.status or STATUSES.get(phase.does, (200,))[0],
        hint=phase.retry_after if isinstance(phase.retry_after, str) else phase.retry_after / scale,
        capacity=_pair(phase.capacity or tenant.capacity),
        share=phase.share,
    )


def _pair(capacity: Capacity | None) -> tuple[int, int] | None:
    return None if capacity is None else (capacity.start, capacity.end)


def _spread(latency: Latency, scale: float) -> Spread:
    if latency.uniform is not None:
        return Spread(least=latency.uniform[0] / scale, most=latency.uniform[1] / scale)
    return Spread(mean=(latency.mean or 0.0) / scale, sigma=latency.sigma)
