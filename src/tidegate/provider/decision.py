"""What becomes of one call: pure, from what holds now and from numbers that the seed decides."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from tidegate.provider.script import Step
from tidegate.provider.timeline import Does


class Verdict(StrEnum):
    """How the provider itself sees a call, as its log has it."""

    SERVED = "served"  # a whole and correct answer
    REFUSED = "refused"  # by a limit: 429, or the quota's or key's status
    FAILED = "failed"  # a 5xx
    SPOILED = "spoiled"  # an answer that began as a success and is none
    UNANSWERED = "unanswered"  # no byte was sent
    ABANDONED = "abandoned"  # the caller left before the answer
    INVALID = "invalid"  # the caller's mistake: 4xx whatever the phase


_VERDICTS: Final = {
    Does.HEALTHY: Verdict.SERVED,
    Does.SLOW: Verdict.SERVED,
    Does.RATE_LIMIT: Verdict.REFUSED,
    Does.QUOTA: Verdict.REFUSED,
    Does.AUTH: Verdict.REFUSED,
    Does.SERVER_ERROR: Verdict.FAILED,
    Does.OVERLOADED: Verdict.FAILED,
    Does.BLACK_HOLE: Verdict.UNANSWERED,
    Does.DISCONNECT: Verdict.UNANSWERED,
    Does.TRUNCATE: Verdict.SPOILED,
    Does.ERROR_IN_200: Verdict.SPOILED,
    Does.INVALID_JSON: Verdict.SPOILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one call is going to meet. `retry_after` is seconds, None where nothing is said."""

    step: Step
    does: Does
    verdict: Verdict
    status: int
    latency: float
    capacity: int | None
    retry_after: float | None


def draws(seed: int, tenant: str, number: int) -> tuple[float, float, float]:
    """Three numbers in [0, 1) for a tenant's call of that number: the same for the same seed."""
    found = blake2b(b"%d/%b/%d" % (seed, tenant.encode(), number), digest_size=24).digest()
    one, two, three = (int.from_bytes(found[i : i + 8], "big") >> 11 for i in (0, 8, 16))
    return one / 2**53, two / 2**53, three / 2**53


def decide(step: Step, elapsed: float, in_flight: int, chance: tuple[float, float, float]) -> Decision:
    """The fate of a call that arrives `elapsed` seconds into the script, while `in_flight` others are answered."""
    capacity = step.capacity_at(elapsed)
    if capacity is not None and in_flight >= capacity:
        wait = step.hint if isinstance(step.hint, float) else None  # nobody knows when a place is free
        return _decision(step, Does.RATE_LIMIT, 429, (0.0, capacity, wait))
    if chance[0] >= step.share:
        return _decision(step, Does.HEALTHY, 200, (step.healthy.draw(*chance[1:]), capacity, None))
    wait = _hint(step, elapsed) if step.status >= 400 else None
    return _decision(step, step.does, step.status, (step.takes.draw(*chance[1:]), capacity, wait))


def _hint(step: Step, elapsed: float) -> float | None:
    if step.hint == "exact":
        return step.end - elapsed if step.end < float("inf") else None
    return step.hint if isinstance(step.hint, float) else None


def _decision(step: Step, does: Does, status: int, rest: tuple[float, int | None, float | None]) -> Decision:
    latency, capacity, wait = rest
    return Decision(
        step=step,
        does=does,
        verdict=_VERDICTS[does],
        status=status,
        latency=latency,
        capacity=capacity,
        retry_after=wait,
    )
