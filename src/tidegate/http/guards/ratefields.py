"""The fields that tell of limits: those of the IETF's draft (RateLimit-Policy, RateLimit), and the three before it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A limit as it stands: `left` of `limit` in any `window` seconds; in `reset` seconds there is more."""

    name: str
    limit: int
    window: int
    left: int
    reset: int


def fields(rates: Sequence[Rate]) -> dict[str, str]:
    """The headers; the older three tell of the limit with the least left."""
    nearest = min(rates, key=lambda rate: rate.left)
    return {
        "RateLimit-Policy": ", ".join(f'"{rate.name}";q={rate.limit};w={rate.window}' for rate in rates),
        "RateLimit": ", ".join(f'"{rate.name}";r={rate.left};t={rate.reset}' for rate in rates),
        "RateLimit-Limit": str(nearest.limit),
        "RateLimit-Remaining": str(nearest.left),
        "RateLimit-Reset": str(nearest.reset),
    }
