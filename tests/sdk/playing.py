"""A line that plays what a test says comes of each step, on a clock that the test moves."""

import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from tidegate.clock import FakeClock
from tidegate.core.retry import Exponential
from tidegate.sdk import Patience
from tidegate.sdk.asking import Means
from tidegate.sdk.exchange import Answer, Broken, Request
from tidegate.sdk.lines import finished

T = TypeVar("T")

PROBLEM = {"content-type": "application/problem+json"}


def said(status: int, body: object, **headers: str) -> Answer:
    """An answer in JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers={"content-type": "application/json", **named}, body=json.dumps(body).encode())


def refused(status: int, slug: str, **members: object) -> Answer:
    """A problem."""
    body = {"type": f"/problems/{slug}", "title": "t", "status": status, "detail": "d", **members}
    return Answer(status=status, headers=PROBLEM, body=json.dumps(body).encode())


@dataclass(frozen=True, slots=True)
class Later:
    """What comes, and how many seconds it takes."""

    seconds: float
    came: Answer | Broken | bytes | None


Came = Answer | Broken | bytes | Later | None
Passed = Answer | Broken | bytes | None


@dataclass(frozen=True, slots=True)
class Open:
    """A stream was asked for."""

    silence: float


@dataclass(frozen=True, slots=True)
class Read:
    """The next bytes were asked for."""


Step = Request | Open | Read


@dataclass(frozen=True, slots=True)
class Played:
    """A body whose pieces the script has."""

    head: Answer | Broken
    play: "Play"

    async def read(self) -> bytes | Broken | None:
        piece = self.play.came_of(Read())
        assert not isinstance(piece, Answer)
        return piece


@dataclass
class Play:
    """A line to a server as the script has it; what was asked and how long was rested is kept."""

    came: Iterable[Came]
    clock: FakeClock = field(default_factory=FakeClock)
    asked: list[Request] = field(default_factory=list)
    rested: list[float] = field(default_factory=list)
    _came: Iterator[Came] = field(init=False)

    def __post_init__(self) -> None:
        self._came = iter(self.came)

    def means(self, patience: Patience | None = None, dice: float = 0.5) -> Means:
        """Means on this line and clock; a wait of 1 s that doubles, unless said otherwise."""
        plain = Patience(backoff=Exponential(initial=timedelta(seconds=1), cap=timedelta(seconds=60), jitter=0.5))
        return Means(line=self, where="http://here", patience=patience or plain, clock=self.clock, dice=lambda: dice)

    def run(self, work: Coroutine[object, object, T]) -> T:
        """What the call comes to."""
        return finished(work)

    def each(self, flow: AsyncGenerator[T, None]) -> list[T]:
        """What the flow gives."""

        async def all_of_it() -> list[T]:
            return [value async for value in flow]

        return finished(all_of_it())

    def next(self, step: Step) -> Came:
        """What comes of a step; here, what the script says."""
        return next(self._came)

    def came_of(self, step: Step) -> Passed:
        """What comes of a step, once its time has passed."""
        came = self.next(step)
        if isinstance(came, Later):
            self.clock.advance(timedelta(seconds=came.seconds))
            return came.came
        return came

    async def send(self, request: Request) -> Answer | Broken:
        self.asked.append(request)
        return _head(self.came_of(request))

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncGenerator[Played, None]:
        self.asked.append(request)
        assert request.silence is not None
        yield Played(_head(self.came_of(Open(request.silence))), self)

    async def rest(self, seconds: float) -> None:
        self.rested.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))

    async def do(self, act: Callable[[], T]) -> T:
        return act()


def _head(came: Passed) -> Answer | Broken:
    assert isinstance(came, Answer | Broken)
    return came
