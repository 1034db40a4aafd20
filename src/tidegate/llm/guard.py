"""What a call asks of whoever watches over upstreams. A worker's context has this shape, and knows nothing of us.

Every try is one `async with guard.upstream(...)` block, so the fleet hears of every try.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Protocol

from tidegate.core.verbs import Pace
from tidegate.llm.values import Usage


class Call(Protocol):
    """One try at an upstream, while it runs."""

    def hint(self, retry_after: timedelta | None, pace: Pace | None) -> None:
        """What the answer's headers told: when to come back, how fast to go on."""
        ...

    def may_retry(self) -> bool:
        """Whether the fleet's retry budget allows another try; asked once a retry, after the block was left too."""
        ...

    def spent(self, usage: Usage) -> None:
        """What the try used, where the provider said so: also of tries that failed. A success is told without, too."""
        ...


class Guard(Protocol):
    """Who knows the health of upstreams."""

    def upstream(self, name: str, parents: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Call]:
        """A block for one try. Entering raises UpstreamUnavailable when it is shut.

        An exception that leaves the block is a failed try, and is read by `failure_of` and `fault_of`.
        """
        ...


class _Unwatched:
    """The call of nobody's guard."""

    def hint(self, retry_after: timedelta | None, pace: Pace | None) -> None:
        """Nobody asked."""

    def may_retry(self) -> bool:
        """Nobody forbids it."""
        return True

    def spent(self, usage: Usage) -> None:
        """Nobody counts."""


@asynccontextmanager
async def entered(guard: Guard | None, name: str, parents: tuple[str, ...]) -> AsyncIterator[Call]:
    """The guard's block, or one that does nothing."""
    if guard is None:
        yield _Unwatched()
        return
    async with guard.upstream(name, parents) as call:
        yield call
