"""The only reader of time, dice and ids; everything else is given them.

`Clock` is what the inside asks for, `SystemClock` reads the machine, `FakeClock` is moved by hand and
ships because users test their own handlers with it.
"""

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where instants come from."""

    def now(self) -> datetime:
        """The wall clock, aware UTC, with microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for measuring durations only."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some point; only differences mean anything."""
        return time.monotonic()


class FakeClock:
    """A clock that a test moves; both readings move together."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._now = start

    def now(self) -> datetime:
        """The instant last moved to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds moved since the start."""
        return (self._now - self._start).total_seconds()

    def advance(self, by: timedelta) -> None:
        """Move on by `by` (backwards too, as a machine's clock may)."""
        self._now += by


def dice() -> float:
    """A fresh number in [0, 1)."""
    return random.random()


def token() -> str:
    """128 random bits as 32 hex digits, unguessable."""
    return os.urandom(16).hex()


_ids_lock = threading.Lock()
_last_ms = 0
_sequence = 0


def new_id_parts() -> tuple[int, bytes]:
    """(Unix milliseconds, 10 random bytes) for one UUIDv7, increasing within this process.

    RFC 9562 §6.2 method 1: within a millisecond, a 12-bit counter in the leading random bits, so ids made
    by one process sort in the order they were made.
    """
    global _last_ms, _sequence
    with _ids_lock:
        now = max(time.time_ns() // 1_000_000, _last_ms)
        _sequence = _sequence + 1 if now == _last_ms else 0
        if _sequence > 0xFFF:
            now, _sequence = now + 1, 0
        _last_ms = now
        counter = _sequence
    return now, counter.to_bytes(2, "big") + os.urandom(8)
