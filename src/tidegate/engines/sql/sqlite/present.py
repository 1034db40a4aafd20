"""The store's clock, which never goes back and never stands still."""

from tidegate.clock import Clock
from tidegate.engines.sql.codec import stamp


class Present:
    """`clock`, but never before the latest instant that was given out or is written in the store.

    While the machine's clock is behind that, time goes on from it at the machine's monotonic pace: one wrong
    reading must not stop every timer until the clock catches up.
    """

    def __init__(self, clock: Clock, newest: int) -> None:
        self._clock = clock
        self._newest = newest, clock.monotonic()

    def advance(self) -> int:
        """Now, for the writer: what it gives out becomes the mark that no later instant falls behind."""
        monotonic = self._clock.monotonic()
        self._newest = self._at(monotonic), monotonic
        return self._newest[0]

    def now(self) -> int:
        """Now, for readers."""
        return self._at(self._clock.monotonic())

    def _at(self, monotonic: float) -> int:
        newest, since = self._newest
        wall = stamp(self._clock.now())
        return wall if wall >= newest else newest + max(int((monotonic - since) * 1_000_000), 0)
