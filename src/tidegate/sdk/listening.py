"""Listening to a stream of events, one connection after another, each from behind the newest event."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from tidegate.errors import JobNotFound, ServiceError, TidegateError
from tidegate.sdk.asking import Means
from tidegate.sdk.exchange import Answer, Body, Broken, Request
from tidegate.sdk.problems import error_of
from tidegate.sdk.sse import Message, Reader, TooLong

QUIET: Final = 20.0
"""Seconds that a stream may be silent: a server gives a sign of life every 15."""

SHORTEST: Final = 1.0
"""Seconds that a stream must last to be worth another: less is a proxy that cuts it."""

NOTHING_MORE: Final = 204
"""What is answered where all was told: the stream is over before it begins."""

_EVENTS: Final = "text/event-stream"
_NO_STREAM: Final = frozenset({404, 405, 406})


class Ear:
    """Listens at one place. `trouble` is why the last connection broke off, None where it ended well."""

    def __init__(self, means: Means, path: str, *, after: str = "", job_id: str = "") -> None:
        self.trouble: TidegateError | None = None
        self._means = means
        self._path = path
        self._job_id = job_id
        self._reader = Reader(after)
        self._begun = 0.0
        self._heard = False
        self._told = False
        self._failures = 0
        self._until: float | None = None

    @property
    def worth_another(self) -> bool:
        """Whether the last connection was a stream, and no proxy's idea of one."""
        return self._heard and self._means.clock.monotonic() - self._begun >= SHORTEST

    async def hear(self, silence: float = QUIET) -> AsyncGenerator[list[Message], None]:
        """The events of one connection as they come; none at first, and whenever there is only a sign of life.

        Raises refusals that will not pass; ServiceError where there is no such stream.
        """
        self._begun, self._heard, self._told = self._means.clock.monotonic(), False, False
        last = self._reader.last_id
        self._reader = Reader(last)
        headers = {"Accept": _EVENTS, **({"Last-Event-ID": last} if last else {})}
        request = Request(method="GET", path=self._path, headers=headers, silence=silence, job_id=self._job_id)
        async with self._means.line.open(request) as body:
            self.trouble = self._begin(body.head, request)
            heard: list[Message] | None = [] if self.trouble is None else None
            while heard is not None:
                yield heard
                heard = await self._next(body)

    async def rest(self) -> None:
        """Wait before another connection; raises the trouble where it lasts.

        That is for all of our patience after a stream that told something: a server may restart. Else for its tries.
        """
        now, patience = self._means.clock.monotonic(), self._means.patience
        self._failures = 1 if self.worth_another else self._failures + 1
        if self._told or self.worth_another:
            self._until = now + patience.within.total_seconds()
        lasts = self._failures >= patience.tries if self._until is None else now >= self._until
        if self.trouble is not None and lasts:
            raise self.trouble
        await self._means.line.rest(self._means.pause(self._failures))

    def _begin(self, came: Answer | Broken, request: Request) -> TidegateError | None:
        """Trouble that may pass, or None."""
        if isinstance(came, Broken):
            return self._broken(came.why)
        if came.status == NOTHING_MORE or (came.well and _is_stream(came)):
            return None
        error = error_of(came, request, self._means.where)
        if came.well or (came.status in _NO_STREAM and not isinstance(error, JobNotFound)):
            raise ServiceError(f"{self._means.where} gives no stream of events", status=came.status)
        if came.status == 429 or came.status >= 500:
            return error
        raise error

    async def _next(self, body: Body) -> list[Message] | None:
        """The next events, None behind the last."""
        piece = await body.read()
        if isinstance(piece, bytes):
            self._heard = True
            try:
                heard = list(self._reader.feed(piece))
            except TooLong:
                self.trouble = self._broken("an event is too long")
            else:
                self._told = self._told or bool(heard)
                return heard
        elif piece is not None:
            self.trouble = self._broken(piece.why)
        return None

    def _broken(self, why: str) -> ServiceError:
        return ServiceError(f"{self._means.where}: there is no stream of events, or it broke off ({why})")


async def messages(ear: Ear) -> AsyncGenerator[Message, None]:
    """The events of one connection, one by one."""
    async with aclosing(ear.hear()) as heard:
        async for some in heard:
            for message in some:
                yield message


def _is_stream(came: Answer) -> bool:
    return came.headers.get("content-type", "").startswith(_EVENTS)
