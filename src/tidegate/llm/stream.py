"""An answer while it is being made."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import TracebackType

from tidegate.errors import ConfigError
from tidegate.llm.values import Reply

Done = Callable[[Reply[None]], None]


class Stream:
    """Pieces of an answer: `async for piece in stream`, once; `reply` is the whole after the last.

    Leaving early closes the connection: at once in an `async with stream` block or by `aclose`, else when the
    iterator is forgotten. A provider is asked again only before the first piece; later it raises LLMError, and the
    pieces so far are no answer.
    """

    def __init__(self, made: Callable[[Done], AsyncGenerator[str, None]]) -> None:
        self._replies: list[Reply[None]] = []
        self._pieces = made(self._replies.append)  # which does not lead back here: forgotten is closed, at once

    def __aiter__(self) -> AsyncIterator[str]:
        """The pieces that are still to come."""
        return self._pieces

    async def __aenter__(self) -> "Stream":
        """Closed when the block is left."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `aclose`."""
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the answer, and close its connection."""
        await self._pieces.aclose()

    @property
    def reply(self) -> Reply[None]:
        """The whole answer with its usage; raises ConfigError before the last piece was taken."""
        if not self._replies:
            raise ConfigError("the answer is not whole yet: take all of its pieces first")
        return self._replies[0]
