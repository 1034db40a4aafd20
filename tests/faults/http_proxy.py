"""An HTTP/1.1 proxy on loopback that spoils the next requests as told, then lets all others through.

Each request is forwarded on a connection of its own and byte for byte, so signed requests stay valid.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import TypeAlias, assert_never


@dataclass(frozen=True, slots=True)
class Answer:
    """Read the whole request, answer `status` with an S3-shaped error body, forward nothing."""

    status: int


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Close the connection after `after` bytes of the request's body, forward nothing."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class CutResponse:
    """Forward the request, then close the connection after `after` bytes of the response's body."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class LoseResponse:
    """Forward the request, let it take effect, then close the connection without a word."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Read the request and never answer it."""


_S3_CODES = {403: "AccessDenied", 404: "NoSuchKey", 429: "SlowDown", 503: "SlowDown"}

Fault: TypeAlias = Answer | CutRequest | CutResponse | LoseResponse | Hang


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came in, before its body was read."""

    method: str
    target: str


@dataclass(frozen=True, slots=True)
class _Head:
    text: bytes
    seen: Seen
    fields: dict[str, str]

    @property
    def length(self) -> int:
        return int(self.fields.get("content-length", "0"))


class FaultyProxy:
    """Forwards to one upstream port; `fail` queues faults, `seen` lists every request in order."""

    def __init__(self, upstream_port: int) -> None:
        self.seen: list[Seen] = []
        self.port = 0
        self._upstream_port = upstream_port
        self._faults: deque[Fault] = deque()
        self._applies: Callable[[Seen], bool] = lambda _: True

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.port}"

    def fail(self, *faults: Fault, when: Callable[[Seen], bool] = lambda _: True) -> None:
        """Spoil the next requests that `when` accepts, one fault each, in order; forgets earlier plans."""
        self._faults = deque(faults)
        self._applies = when
        self.seen.clear()

    @property
    def spent(self) -> bool:
        """Whether every planned fault has struck."""
        return not self._faults

    @classmethod
    @asynccontextmanager
    async def before(cls, upstream_port: int) -> "AsyncIterator[FaultyProxy]":
        """Listen on a free loopback port for as long as the block lasts."""
        proxy = cls(upstream_port)
        listener = socket.create_server(("127.0.0.1", 0))
        proxy.port = listener.getsockname()[1]
        connections: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(proxy._serve(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_server(accept, sock=listener)
        try:
            yield proxy
        finally:
            server.close()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await _read_head(reader)
            self.seen.append(head.seen)
            fault = self._faults.popleft() if self._faults and self._applies(head.seen) else None
            if isinstance(fault, CutRequest):
                await reader.readexactly(min(fault.after, head.length))
                return
            body = await reader.readexactly(head.length)
            await self._carry(head, body, fault, writer)

    async def _carry(self, head: _Head, body: bytes, fault: Fault | None, writer: asyncio.StreamWriter) -> None:
        match fault:
            case None:
                writer.write(await self._forward(head, body))
            case Answer(status):
                writer.write(_refusal(status))
            case CutResponse(after):
                answer_head, _, answer_body = (await self._forward(head, body)).partition(b"\r\n\r\n")
                writer.write(answer_head + b"\r\n\r\n" + answer_body[:after])
            case LoseResponse() | CutRequest():
                await self._forward(head, body)
            case Hang():
                await asyncio.Event().wait()
            case _:
                assert_never(fault)
        with suppress(ConnectionError):
            await writer.drain()

    async def _forward(self, head: _Head, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        with closing(writer):
            writer.write(head.text + body)
            return await reader.read(-1)  # to the end of the connection, which was asked for


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    text = await reader.readuntil(b"\r\n\r\n")
    first, *lines = text.decode("latin-1").rstrip("\r\n").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, target, _ = first.split(" ", 2)
    text = text.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    return _Head(text, Seen(method, target), fields)


def _refusal(status: int) -> bytes:
    code = _S3_CODES.get(status, "InternalError")
    body = f"<Error><Code>{code}</Code><Message>planned</Message></Error>".encode()
    return (
        f"HTTP/1.1 {status} Planned\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
