"""The store's clock, which never goes back."""

from tidegate.clock import Clock
from tidegate.engines.sql.codec import stamp


class Present:
    """`clock`, held at the latest instant that was ever given out or is written in the store."""

    def __init__(self, clock: Clock, newest: int) -> None:
        self._clock = clock
        self._newest = newest

    def advance(self) -> int:
        """Now, for the writer: what it gives out becomes the mark that no later instant falls behind."""
        self._newest = max(self._newest, stamp(self._clock.now()))
        return self._newest

    def now(self) -> int:
        """Now, for readers."""
        return max(self._newest, stamp(self._clock.now()))
