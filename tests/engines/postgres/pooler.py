"""A transaction pooler: each transaction of a client runs on whichever server connection is free.

As PgBouncer in transaction mode, it forgets a session after each transaction; to make sure that nobody relies on
one, it sends DISCARD ALL between them, and hands out the connection that was used longest ago.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

Message: TypeAlias = tuple[bytes, bytes]

_SSL: Final = 80877103
_GOODBYE: Final = b"X"
_READY: Final = b"Z"
_ENDS_A_TURN: Final = b"QSF"
"""Query, Sync, FunctionCall: after these a client waits for ReadyForQuery."""

_DISCARD: Final = b"Q" + struct.pack("!I", 16) + b"DISCARD ALL\0"


@dataclass
class Line:
    """One connection to the server, opened at first need, and how many transactions have run on it."""

    turns: int = 0
    greeting: bytes = b""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self, port: int, startup: bytes) -> None:
        """Connect, unless it is, as the first client did."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", port)
            self.greeting = await self.ask(startup)

    async def ask(self, message: bytes) -> bytes:
        """All that the server says to a message up to ReadyForQuery."""
        assert self.streams is not None
        reader, writer = self.streams
        writer.write(message)
        said = b""
        while True:
            kind, part = await _message(reader)
            said += part
            if kind == _READY:
                return said

    async def turn(
        self, said: "asyncio.Future[Message]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> "asyncio.Future[Message]":
        """Carry a client's messages, from `said` on, to the end of the transaction; what it says next."""
        assert self.streams is not None
        self.turns += 1
        answering, asked = asyncio.ensure_future(_message(self.streams[0])), 0
        try:
            while True:
                await asyncio.wait([said, answering], return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    kind, message = answering.result()
                    if writer.is_closing():
                        raise ConnectionError("the client left")
                    writer.write(message)
                    asked -= kind == _READY
                    if kind == _READY and message.endswith(b"I") and not asked:
                        return said
                    answering = asyncio.ensure_future(_message(self.streams[0]))
                if said.done():
                    kind, message = said.result()
                    if kind == _GOODBYE:
                        raise ConnectionError("the client left")
                    self.streams[1].write(message)
                    asked += kind in _ENDS_A_TURN
                    said = asyncio.ensure_future(_said(reader))
        finally:
            answering.cancel()

    def close(self) -> None:
        """Leave the server, whatever is under way."""
        if self.streams is not None:
            self.streams[1].transport.abort()
            self.streams = None


class Pooler:
    """The pooler; `port` is where its clients come."""

    def __init__(self, server_port: int, size: int) -> None:
        self.port = 0
        self.lines = [Line() for _ in range(size)]
        self._server_port = server_port
        self._startup = b""
        self._free: asyncio.Queue[Line] = asyncio.Queue()
        for line in self.lines:
            self._free.put_nowait(line)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            startup = await _startup(reader, writer)
            self._startup = self._startup or startup
            async with self._lent() as line:
                writer.write(line.greeting)
            said: asyncio.Future[Message] = asyncio.ensure_future(_said(reader))
            while (await said)[0] != _GOODBYE:
                async with self._lent() as line:
                    said = await line.turn(said, reader, writer)
                    await line.ask(_DISCARD)
        writer.close()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Line]:
        """A server connection for one transaction; one that is left in the middle is closed."""
        line = await self._free.get()
        try:
            await line.open(self._server_port, self._startup)
            yield line
        except BaseException:
            line.close()
            raise
        finally:
            self._free.put_nowait(line)


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The startup message of a client, which is refused TLS first where it asks for it."""
    while True:
        size = await reader.readexactly(4)
        body = await reader.readexactly(struct.unpack("!I", size)[0] - 4)
        if struct.unpack("!I", body[:4])[0] != _SSL:
            return size + body
        writer.write(b"N")


async def _said(reader: asyncio.StreamReader) -> Message:
    """What a client says next; one that is gone says goodbye."""
    try:
        return await _message(reader)
    except (asyncio.IncompleteReadError, ConnectionError):
        return _GOODBYE, b""


async def _message(reader: asyncio.StreamReader) -> Message:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


@asynccontextmanager
async def pooler(server_port: int, size: int = 2) -> AsyncIterator[Pooler]:
    """A pooler before a server, with so many connections to it."""
    made = Pooler(server_port, size)
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = int(listener.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        listener.close()
        for line in made.lines:
            line.close()
