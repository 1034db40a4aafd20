"""How many answers that last a server has under way, of a user, to an address, and in all: streams and long polls."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from tidegate.config import Settings
from tidegate.errors import RateLimited

Name = TypeVar("Name", bound=str | None)

COME_BACK: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The most of one user, to one address, and in all; 0 is any number."""

    user: int
    address: int
    all: int


@dataclass(frozen=True, slots=True)
class Guest:
    """Who asks: whose jobs he may see, None for everybody's, and from where; "" where nobody knows."""

    viewer: str | None
    address: str


class Room:
    """Room for answers of one sort, of which a user is told as `what`."""

    def __init__(self, what: str, bounds: Callable[[], Bounds]) -> None:
        self._what = what
        self._bounds = bounds
        self._users, self._addresses = Counter[str | None](), Counter[str]()

    @property
    def count(self) -> int:
        """How many there are."""
        return self._users.total()

    def enter(self, guest: Guest) -> None:
        """One more, until `leave`; raises RateLimited where there are too many.

        An operator, who sees everybody's jobs, counts for his address and among all only.
        """
        bounds = self._bounds()
        if guest.viewer is not None:
            self._check("this user", self._users[guest.viewer], bounds.user)
        if guest.address:
            self._check("this address", self._addresses[guest.address], bounds.address)
        self._check("this server", self.count, bounds.all)
        self._users[guest.viewer] += 1
        self._addresses[guest.address] += 1

    def leave(self, guest: Guest) -> None:
        """One less."""
        _less(self._users, guest.viewer)
        _less(self._addresses, guest.address)

    @contextmanager
    def taken(self, guest: Guest) -> Iterator[None]:
        """One more for as long as this is open; raises RateLimited."""
        self.enter(guest)
        try:
            yield
        finally:
            self.leave(guest)

    def _check(self, whose: str, count: int, limit: int) -> None:
        if limit and count >= limit:
            wait = f"{COME_BACK.total_seconds():g} s"
            message = f"{count} {self._what} of {whose} are open: try again in {wait}"
            raise RateLimited(message, retry_after=COME_BACK, limit=limit)


class Rooms:
    """All of one server."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self.streams = Room("streams", lambda: _streams(settings()))
        self.waits = Room("long polls", lambda: _waits(settings()))

    def counts(self) -> Mapping[str, int]:
        """How many there are, by sort."""
        return {"stream": self.streams.count, "wait": self.waits.count}


def _streams(told: Settings) -> Bounds:
    return Bounds(user=told.limit_streams_per_user, address=told.limit_streams_per_address, all=told.limit_streams)


def _waits(told: Settings) -> Bounds:
    return Bounds(user=told.limit_waits_per_user, address=told.limit_waits_per_address, all=told.limit_waits)


def _less(counts: Counter[Name], name: Name) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
