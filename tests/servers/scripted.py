"""An HTTP server that does on command what no well-behaved server can: break off, stall, reset, answer nonsense."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Act = Callable[["Exchange"], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client sent."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """Its body."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass(kw_only=True)
class Exchange:
    """One request, and the line to whoever sent it."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: str) -> None:
        """Send text as it is."""
        for part in parts:
            self.writer.write(part.encode())
        await self.writer.drain()

    async def gone(self) -> None:
        """Return once the client has closed its side."""
        with suppress(ConnectionError):
            await self.reader.read()

    def reset(self) -> None:
        """Cut the line with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Scripted:
    """Answers the n-th request by the n-th act, and all further ones by the last."""

    acts: Sequence[Act]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The base URL."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Listen no more, and end every act."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                request = await _read(reader)
                act = self.acts[min(len(self.requests), len(self.acts) - 1)]
                self.requests.append(request)
                self.arrived.set()
                await act(Exchange(request=request, reader=reader, writer=writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(path=first.split()[1], headers=headers, body=body)


@asynccontextmanager
async def scripted(*acts: Act) -> AsyncIterator[Scripted]:
    """A server with a script."""
    server = Scripted(acts)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


# acts ------------------------------------------------------------------------------------------------------


def answers(status: int, body: object, **headers: str) -> Act:
    """Answer in one piece; a text goes out as it is, anything else as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    length = f"content-length: {len(text.encode())}"
    head = "\r\n".join([f"HTTP/1.1 {status} Said", length, *lines])

    async def act(exchange: Exchange) -> None:
        await exchange.send(f"{head}\r\n\r\n{text}")

    return act


STREAM_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(text: str) -> str:
    """A piece of a chunked body."""
    return f"{len(text.encode()):x}\r\n{text}\r\n"


def event(data: object) -> str:
    """One server-sent event, chunked."""
    return chunk(f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n")


END = "0\r\n\r\n"


def streams(*events: object, end: bool = True) -> Act:
    """Send events, then end well, or break off in the middle of a chunk."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, *map(event, events), END if end else "ff\r\ndata: {")
        if not end:
            exchange.writer.close()

    return act


def hangs(*before: str) -> Act:
    """Send these, then nothing until the client goes."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(*before)
        await exchange.gone()

    return act


def resets(*before: str) -> Act:
    """Send these, then cut the line."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(*before)
        await asyncio.sleep(0.05)
        exchange.reset()

    return act
