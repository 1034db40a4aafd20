"""What a worker knows of its store's outages: each is told once, however many calls meet it."""

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

    def recovering(self, period: timedelta) -> float:
        """How many seconds to leave other workers' leases alone: until `period` has passed since a long outage."""
        if self._failing:
            return period.total_seconds()
        if self._over_at is None:
            return 0.0
        return max(self._over_at + period.total_seconds() - self._clock.monotonic(), 0.0)
