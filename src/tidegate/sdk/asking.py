"""One request, and when it is sent again. Only what may be done twice is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Final, TypeVar

import msgspec

from tidegate.clock import Clock, SystemClock, dice
from tidegate.core.retry import Backoff, Exponential, delay
from tidegate.errors import ConfigError, ServiceError
from tidegate.sdk.exchange import Answer, Broken, Line, Request
from tidegate.sdk.problems import error_of, retry_after

T = TypeVar("T")

LONGEST_WAIT: Final = timedelta(seconds=600)
"""What a result is waited for, unless said otherwise (REQUIREMENTS E11)."""

_AGAIN: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often a request is sent: at most `tries` times, none of them later than `within` after the first.

    The waits between them are `backoff`'s, and never shorter than a server's Retry-After. Raises ConfigError.
    """

    tries: int = 3
    within: timedelta = timedelta(seconds=30)
    backoff: Backoff = field(
        default=Exponential(initial=timedelta(seconds=0.25), cap=timedelta(seconds=5), jitter=0.25)
    )

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ConfigError(f"tries must be at least 1, not {self.tries}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What calls are made with. `where` is what errors call the server."""

    line: Line
    where: str
    patience: Patience = field(default_factory=Patience)
    max_wait: timedelta = LONGEST_WAIT
    clock: Clock = field(default_factory=SystemClock)
    dice: Callable[[], float] = dice

    def pause(self, tries: int, asked: timedelta | None = None) -> float:
        """Seconds to wait after so many tries."""
        return delay(self.patience.backoff, tries, dice=self.dice(), retry_after=asked).total_seconds()

    def check(self, came: Answer | Broken, request: Request) -> Answer:
        """The answer, unless it is none or a refusal; raises what that stands for."""
        if isinstance(came, Broken):
            raise ServiceError(f"{self.where} can't be reached, or broke off ({came.why}): is the server running?")
        if not came.well:
            raise error_of(came, request, self.where)
        return came


class Course:
    """The tries of one request."""

    def __init__(self, means: Means, request: Request) -> None:
        self._means = means
        self._may = request.repeatable or request.method == "GET"
        self._deadline = means.clock.monotonic() + means.patience.within.total_seconds()
        self._tries = count(1)

    def wait(self, came: Answer | Broken) -> float | None:
        """Seconds until the next try; None where there is none."""
        tries = next(self._tries)
        if not self._may or tries >= self._means.patience.tries or not _passing(came):
            return None
        wait = self._means.pause(tries, None if isinstance(came, Broken) else retry_after(came.headers))
        return wait if self._means.clock.monotonic() + wait < self._deadline else None


def _passing(came: Answer | Broken) -> bool:
    """Whether it may be better soon."""
    if isinstance(came, Broken) or came.status in _AGAIN:
        return True
    return came.status == 429 and retry_after(came.headers) is not None


async def ask(means: Means, request: Request) -> Answer:
    """What a server answers in the end; raises what its refusal stands for, and ServiceError where it is away."""
    course = Course(means, request)
    while True:
        came = await means.line.send(request)
        wait = course.wait(came)
        if wait is None:
            return means.check(came, request)
        await means.line.rest(wait)


async def fetch(means: Means, request: Request, kind: type[T]) -> T:
    """The value that a server answers with; ServiceError where it is another."""
    return decoded(means, await ask(means, request), kind)


def decoded(means: Means, answer: Answer, kind: type[T]) -> T:
    """The value that an answer holds; ServiceError where it is another."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, ValueError) as exc:
        # Without the cause: what it says may be part of the answer.
        told = f"{means.where} answered {answer.status} with something else than a {kind.__name__}"
        raise ServiceError(f"{told} ({type(exc).__name__})", status=answer.status) from None
