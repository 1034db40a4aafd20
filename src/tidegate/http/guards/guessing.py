"""Who guesses keys: counted in the store, and sent away without a question to it from when it has said no."""

from datetime import timedelta
from typing import Final

from tidegate.clock import Clock
from tidegate.errors import RateLimited
from tidegate.http.guards.limits import Limits, refusal, wrong_key

FAILURES_PER_MINUTE: Final = 30
"""Wrong keys from one address; what guesses is told to wait."""

MOST_REMEMBERED: Final = 10_000
"""Addresses; of more, those that were sent away first are counted in the store again."""


class Guesses:
    """One process's memory of who was sent away, and until when: so a wrong key costs the store little or nothing."""

    def __init__(self, counting: Limits, clock: Clock) -> None:
        self._limits = counting
        self._clock = clock
        self._until: dict[str, float] = {}

    async def count(self, address: str) -> None:
        """Count a wrong key; raises RateLimited for an address that keeps guessing."""
        take, now = wrong_key(address, FAILURES_PER_MINUTE), self._clock.monotonic()
        left = self._until.get(address, now) - now
        if left > 0:
            raise refusal(take, timedelta(seconds=left))
        try:
            await self._limits.take([take])
        except RateLimited as exc:
            self._until.pop(address, None)
            self._until[address] = now + exc.retry_after.total_seconds()
            if len(self._until) > MOST_REMEMBERED:
                del self._until[next(iter(self._until))]
            raise
