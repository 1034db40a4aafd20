"""What an outage did to jobs, calls and bystanders: computed from the provider's log, which is the ground truth.

All instants are seconds since the start of the script, as they passed.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from bench.measure import percentile
from bench.outage.oracle import finishes
from bench.outage.script import Script
from tidegate.provider.decision import Verdict
from tidegate.provider.log import Line

SICK: Final = "a"
WELL: Final = "b"
QUIET_CALLS: Final = 2
QUIET_SECONDS: Final = 5.0
"""An outage is detected once there are at most so many calls in so many seconds of the script."""

RATE_SECONDS: Final = 10.0
"""The time that must show the usual rate before an upstream counts as served again, in seconds of the script."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job as the load generator submitted it."""

    job: str
    tenant: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the system under test says at the end. None where it does not count such a thing.

    `dead` jobs failed for good, `done` succeeded; `charged` attempts were used up by runs that failed.
    """

    dead: int
    done: int | None = None
    charged: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that one run left behind."""

    script: Script
    slots: int
    submitted: Sequence[Submitted]
    calls: Sequence[Line]
    ending: Ending

    def of(self, tenant: str) -> list[Line]:
        """The calls to one tenant, in order of arrival."""
        return sorted((call for call in self.calls if call.tenant == tenant), key=lambda call: call.arrived)

    def jobs(self, tenant: str) -> list[Submitted]:
        """The jobs that call it, in order of submission."""
        return sorted((job for job in self.submitted if job.tenant == tenant), key=lambda job: job.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """The figures of one run; infinite is never.

    Counts are of the outage, from its beginning until the upstream has its whole capacity again; `lost`, `dead`,
    `charged` and `duplicates` are of the whole run. Seconds are as they passed, waits in milliseconds.
    """

    wasted: float
    wasted_slot_seconds: float
    lost: float
    dead: float
    charged: float
    detected: float
    restored: float
    restored_oracle: float
    drained: float
    drained_oracle: float
    caught_up: float
    caught_up_oracle: float
    goodput: float
    goodput_oracle: float
    well_p50: float
    well_p99: float
    well_p50_before: float
    well_p99_before: float
    rejected: float
    overload: float
    overloaded: float
    duplicates: float


def vector(facts: Facts) -> Vector:
    """All figures of one run."""
    script, calls = facts.script, facts.of(SICK)
    wasted = [call for call in calls if script.outage <= call.arrived < script.healed and _failed(call)]
    served = Counter(call.job for call in facts.calls if not _failed(call))
    done = len(served) if facts.ending.done is None else facts.ending.done
    charged = facts.ending.charged
    peak, above = overload(calls, script)
    p50, p99 = waits(facts, script.outage, script.healed)
    p50_before, p99_before = waits(facts, script.outage / 6, script.outage)
    ours, best = progress(facts), _oracle(facts)
    return Vector(
        wasted=len(wasted),
        wasted_slot_seconds=sum(call.ended - call.arrived for call in wasted),
        lost=max(len(facts.submitted) - done - facts.ending.dead, 0),
        dead=facts.ending.dead,
        charged=sum(map(_failed, facts.calls)) if charged is None else charged,
        detected=detected(calls, script),
        restored=ours.restored(script, _rate(facts)),
        restored_oracle=best.restored(script, _rate(facts)),
        drained=ours.drained(script),
        drained_oracle=best.drained(script),
        caught_up=ours.caught_up(script, _rate(facts)),
        caught_up_oracle=best.caught_up(script, _rate(facts)),
        goodput=ours.goodput(script),
        goodput_oracle=best.goodput(script),
        well_p50=p50,
        well_p99=p99,
        well_p50_before=p50_before,
        well_p99_before=p99_before,
        rejected=sum(script.recovery <= call.arrived and call.verdict is Verdict.REFUSED for call in wasted),
        overload=peak,
        overloaded=above,
        duplicates=sum(times > 1 for times in served.values()),
    )


def _failed(call: Line) -> bool:
    return call.verdict is not Verdict.SERVED


def _rate(facts: Facts) -> float:
    """Jobs a second for the sick upstream."""
    return len(facts.jobs(SICK)) / facts.script.end


def detected(calls: Sequence[Line], script: Script) -> float:
    """Seconds from the first bad answer until calls became as rare as probes; infinite if they never did.

    That is the first instant with at most two calls in the next five seconds of the script, and no more than that on
    average up to the end of what the upstream is down with first: a chance gap is no detection.
    """
    bad = [call.ended for call in calls if call.arrived >= script.outage and _failed(call)]
    if not bad:
        return math.inf
    instants = [call.arrived for call in calls if min(bad) < call.arrived <= script.refused]
    quiet = script.lasts(QUIET_SECONDS)
    for number, instant in enumerate([min(bad), *instants]):
        if instant > script.refused - 2 * quiet:
            break
        soon, later = bisect_right(instants, instant + quiet) - number, len(instants) - number
        if soon <= QUIET_CALLS and later <= QUIET_CALLS * (script.refused - instant) / quiet:
            return instant - min(bad)
    return math.inf


def waits(facts: Facts, start: float, end: float) -> tuple[float, float]:
    """p50 and p99 of the milliseconds from submission to first call, of jobs of the well upstream submitted then."""
    first: dict[str | None, float] = {}
    for call in facts.of(WELL):
        first.setdefault(call.job, call.arrived)
    found = [(first.get(job.job, math.inf) - job.at) * 1_000 for job in facts.jobs(WELL) if start <= job.at < end] or [
        math.inf
    ]
    return percentile(found, 0.50), percentile(found, 0.99)


def overload(calls: Sequence[Line], script: Script) -> tuple[float, float]:
    """How many calls there were for each that the recovering upstream could take: at most; and seconds above two.

    A call that was refused counts as if it had stayed for the mean latency: so long it would have, had there been room.
    """
    changes: list[tuple[float, int]] = []
    for call in calls:
        refused = call.verdict is Verdict.REFUSED
        changes += [(call.arrived, 1), (call.arrived + script.latency if refused else call.ended, -1)]
    changes.sort()
    instants = [at for at, _ in changes]
    running = [0, *accumulate(change for _, change in changes)]
    step = script.latency / 20
    grid = [script.recovery + n * step for n in range(int((script.healed - script.recovery) / step))]
    ratios = [running[bisect_right(instants, at)] / max(script.capacity(at, 1_000_000), 1) for at in grid]
    return max(ratios, default=0.0), step * sum(ratio > 2 for ratio in ratios)


@dataclass(frozen=True, slots=True)
class Progress:
    """When jobs of the sick upstream came, and when they were done; both in order. Infinite is never."""

    came: Sequence[float]
    done: Sequence[float]
    done_of: Sequence[tuple[float, float]]

    def goodput(self, script: Script) -> int:
        """Jobs done in spite of the outage, until the upstream has its whole capacity again."""
        return bisect_left(self.done, script.healed) - bisect_left(self.done, script.outage)

    def restored(self, script: Script, rate: float) -> float:
        """Seconds of recovery until ten seconds of the script begin in which jobs are done as fast as they come."""
        window = script.lasts(RATE_SECONDS)
        for instant in [script.recovery, *(at for at in self.done if script.recovery < at < math.inf)]:
            if bisect_left(self.done, instant + window) - bisect_left(self.done, instant) >= 0.9 * rate * window:
                return instant - script.recovery
        return math.inf

    def drained(self, script: Script) -> float:
        """Seconds of full capacity until every job is done that came before it."""
        return max(max((done for came, done in self.done_of if came <= script.healed), default=0.0) - script.healed, 0)

    def caught_up(self, script: Script, rate: float) -> float:
        """Seconds of recovery until no more jobs wait than twice what is usual."""
        usual = 2 * rate * script.latency + 3
        for instant in [script.recovery, *(at for at in self.done if script.recovery < at < math.inf)]:
            if bisect_right(self.came, instant) - bisect_right(self.done, instant) <= usual:
                return instant - script.recovery
        return math.inf


def progress(facts: Facts) -> Progress:
    """What the system did."""
    first: dict[str | None, float] = {}
    for call in sorted(facts.of(SICK), key=lambda call: call.ended):
        if not _failed(call):
            first.setdefault(call.job, call.ended)
    pairs = [(job.at, first.get(job.job, math.inf)) for job in facts.jobs(SICK)]
    return _progress(pairs)


def _oracle(facts: Facts) -> Progress:
    came = [job.at for job in facts.jobs(SICK)]
    return _progress(list(zip(came, finishes(came, facts.script, facts.slots), strict=True)))


def _progress(pairs: Sequence[tuple[float, float]]) -> Progress:
    return Progress([came for came, _ in pairs], sorted(done for _, done in pairs), pairs)
