"""What a worker knows of its store's outages: each is told once, however many calls meet it."""

import asyncio
from datetime import timedelta

from tidegate.clock import Clock
from tidegate.core.retry import Exponential
from tidegate.errors import EngineUnavailable
from tidegate.telemetry.events import Emitter, StoreBack, StoreDown

STORE_BACKOFF = Exponential(initial=timedelta(seconds=0.1), factor=2.0, cap=timedelta(seconds=2), jitter=0.1)
"""The waits between two tries of one call while the store is away."""

LONG = 2.0
"""Seconds of an outage beyond which other workers may not have been able to keep their leases."""


class Outage:
    """It begins when a call fails while none was failing, and is over when every call that failed is answered."""

    def __init__(self, emit: Emitter, clock: Clock) -> None:
        self._emit = emit
        self._clock = clock
        self._failing: set[str] = set()
        self._began = 0.0
        self._over_at: float | None = None

    def met(self, verb: str, error: EngineUnavailable) -> None:
        """A call of `verb` failed, and will be made again."""
        if not self._failing:
            self._began = self._clock.monotonic()
            self._emit(StoreDown(error_type=type(error).__name__))
        self._failing.add(verb)

    def answered(self, verb: str) -> None:
        """A call of `verb` was answered."""
        if verb not in self._failing:
            return
        self._failing.remove(verb)
        if not self._failing:
            now = self._clock.monotonic()
            self._emit(StoreBack(down_for=timedelta(seconds=now - self._began)))
            if now - self._began > LONG:
                self._over_at = now

    async def recovered(self, period: timedelta) -> None:
        """Return when other workers may be held to their leases: `period` after the end of a long outage."""
        while True:
            left = self._left(period.total_seconds())
            if left <= 0:
                return
            await asyncio.sleep(left)

    def _left(self, period: float) -> float:
        if self._failing:
            return period
        return 0.0 if self._over_at is None else self._over_at + period - self._clock.monotonic()
