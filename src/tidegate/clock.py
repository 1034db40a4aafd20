"""The only reader of time, dice and ids; everything else is given them.

`Clock` is what the inside asks for, `SystemClock` reads the machine, `FakeClock` is moved by hand and
ships because users test their own handlers with it.
"""

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol


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


_dice = random.Random()
"""Our own: whoever seeds the module's, for the sake of his own work, must not make a fleet's waits alike."""


def dice() -> float:
    """A fresh number in [0, 1)."""
    return _dice.random()


def token() -> str:
    """128 random bits as 32 hex digits, unguessable."""
    return _ids.token()


def chance(size: int) -> bytes:
    """So many random bytes, unguessable."""
    return os.urandom(size)


_BLOCK: Final = 2_048


class _Ids:
    """What this process's ids are made of. Chance is drawn in blocks: asking the system takes longer than all else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = 0
        self._sequence = 0
        self._chance = b""
        self._used = 0

    def parts(self) -> tuple[int, bytes]:
        """See `new_id_parts`."""
        with self._lock:
            now = max(time.time_ns() // 1_000_000, self._last_ms)
            self._sequence = self._sequence + 1 if now == self._last_ms else 0
            if self._sequence > 0xFFF:
                now, self._sequence = now + 1, 0
            self._last_ms = now
            return now, self._sequence.to_bytes(2, "big") + self._drawn(8)

    def token(self) -> str:
        """See `token`."""
        with self._lock:
            return self._drawn(16).hex()

    def _drawn(self, size: int) -> bytes:
        """So many bytes that nobody had; the lock is held."""
        start, self._used = self._used, self._used + size
        if self._used > len(self._chance):
            self._chance, start, self._used = os.urandom(_BLOCK), 0, size
        return self._chance[start : self._used]


_ids = _Ids()


def _forked() -> None:
    """A child that went on with its parent's chance would make its ids."""
    global _ids
    _ids = _Ids()
    _dice.seed()


os.register_at_fork(after_in_child=_forked)


def new_id_parts() -> tuple[int, bytes]:
    """(Unix milliseconds, 10 random bytes) for one UUIDv7, increasing within this process.

    RFC 9562 §6.2 method 1: within a millisecond, a 12-bit counter in the leading random bits, so ids made
    by one process sort in the order they were made.
    """
    return _ids.parts()
