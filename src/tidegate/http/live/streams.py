"""Server-Sent Events: how they are written, and how a stream lives and ends."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from tidegate.http.live.rooms import Guest, Room

KEEP_ALIVE: Final = 15.0
"""Seconds between signs of life: proxies close what is silent."""

LONGEST: Final = 3_600.0
"""Seconds that a stream lasts: whoever comes back is asked for the key again, and goes on where it was."""

LAST_WORDS: Final = 1.0
"""Seconds that a client gets to take a stream's end."""

RETRY: Final = b"retry: 2000\n\n"
"""What a browser is told to wait before it comes back, in milliseconds."""

Pieces = AsyncGenerator[bytes, None]
Holds = Callable[[], Awaitable[bool]]
"""Whether who reads a stream may still read it."""


def message(event: str, data: str, place: str | None = None) -> bytes:
    """One event; `data` is one line. A client that lost the stream comes back with the newest `place` it was told."""
    return (mark(place) if place is not None else b"") + f"event: {event}\ndata: {data}\n\n".encode()


def mark(place: str) -> bytes:
    """The line that tells a client where it is."""
    return f"id: {place}\n".encode()


def silence() -> bytes:
    """What is sent where there is nothing to tell."""
    return b": keep-alive\n\n"


class Streams:
    """The open streams of one application, as far as there is room."""

    def __init__(self, room: Room, stopping: asyncio.Event) -> None:
        self._room = room
        self._stopping = stopping

    def answer(self, guest: Guest, pieces: Pieces, holds: Holds, alive: Callable[[], bytes] = silence) -> "EventStream":
        """A stream for that guest, while his key `holds`; raises RateLimited where too many are open."""
        self._room.enter(guest)
        return EventStream(_Source(pieces, alive, holds), self._stopping, lambda: self._room.leave(guest))


class _Source(NamedTuple):
    """What a stream tells, what it says where there is nothing to tell, and for how long."""

    pieces: Pieces
    alive: Callable[[], bytes]
    holds: Holds


class EventStream(StreamingResponse):
    """An answer that goes on until its pieces end, its reader leaves or may no longer read, or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, source: _Source, stopping: asyncio.Event, left: Callable[[], None]) -> None:
        super().__init__(source.pieces, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._source = source
        self._stopping = stopping
        self._left = left
        self._sending = asyncio.Lock()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Answer; whatever ends it, nothing of it goes on afterwards."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send(_body(RETRY))
            await first(
                self._tell(send), self._live(send), gone(receive), self._stopping.wait(), asyncio.sleep(LONGEST)
            )
        except OSError as exc:
            raise ClientDisconnect from exc
        finally:
            await self._source.pieces.aclose()
            self._left()
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(LAST_WORDS):
                await send(_body(b"", more=False))

    async def _tell(self, send: Send) -> None:
        async for piece in self._source.pieces:
            async with self._sending:
                await send(_body(piece))

    async def _live(self, send: Send) -> None:
        """Return where the reader's key does not hold any more."""
        while await self._source.holds():
            await asyncio.sleep(KEEP_ALIVE)
            async with self._sending:
                await send(_body(self._source.alive()))


async def gone(receive: Receive) -> None:
    """Return once the client has left; what it still sends is not wanted."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def first(*endings: Awaitable[object]) -> None:
    """Return at the first of them to end, and end the others; raises what it raised."""
    tasks = [asyncio.ensure_future(ending) for ending in endings]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _body(piece: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}
