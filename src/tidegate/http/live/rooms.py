"""How many answers that last a server has under way, of one user and in all: streams of events, and long polls."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from tidegate.config import Settings
from tidegate.errors import RateLimited

COME_BACK: Final = timedelta(seconds=10)

Bounds = Callable[[], tuple[int, int]]
"""The most of one user, and the most in all; 0 is any number."""


class Room:
    """Room for answers of one sort, of which a user is told as `what`."""

    def __init__(self, what: str, bounds: Bounds) -> None:
        self._what = what
        self._bounds = bounds
        self._under_way = Counter[str | None]()

    @property
    def count(self) -> int:
        """How many there are."""
        return self._under_way.total()

    def enter(self, viewer: str | None) -> None:
        """One more, until `leave`; raises RateLimited where there are too many.

        An operator, who sees everybody's jobs, counts among all only.
        """
        per_user, most = self._bounds()
        if viewer is not None:
            self._check("this user", self._under_way[viewer], per_user)
        self._check("this server", self.count, most)
        self._under_way[viewer] += 1

    def leave(self, viewer: str | None) -> None:
        """One less."""
        self._under_way[viewer] -= 1
        if not self._under_way[viewer]:
            del self._under_way[viewer]

    @contextmanager
    def taken(self, viewer: str | None) -> Iterator[None]:
        """One more for as long as this is open; raises RateLimited."""
        self.enter(viewer)
        try:
            yield
        finally:
            self.leave(viewer)

    def _check(self, whose: str, count: int, limit: int) -> None:
        if limit and count >= limit:
            wait = f"{COME_BACK.total_seconds():g} s"
            message = f"{count} {self._what} of {whose} are open: try again in {wait}"
            raise RateLimited(message, retry_after=COME_BACK, limit=limit)


class Rooms:
    """All of one server."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self.streams = Room("streams", lambda: (settings().limit_streams_per_user, settings().limit_streams))
        self.waits = Room("long polls", lambda: (settings().limit_waits_per_user, settings().limit_waits))

    def counts(self) -> Mapping[str, int]:
        """How many there are, by sort."""
        return {"stream": self.streams.count, "wait": self.waits.count}
