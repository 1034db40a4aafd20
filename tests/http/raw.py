"""Connections to a real server as no HTTP library makes them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx2

LONGEST = 15.0
"""Seconds in which any connection here must have ended; most end in a fraction of one."""

HELLO = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, or find out that nobody listens any more."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def drip(self, data: bytes, pause: float) -> bytes:
        """Send byte by byte until the server has had enough; what it said."""
        said = asyncio.create_task(self.rest())
        for byte in data:
            if said.done():
                break
            await self.send(bytes([byte]))
            await asyncio.sleep(pause)
        return await said

    async def rest(self) -> bytes:
        """All that comes until the server closes the connection, which it must."""
        said = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(LONGEST):
                while piece := await self.reader.read(65_536):
                    said += piece
        return said

    async def ask(self, data: bytes) -> bytes:
        """Send, and read to the end."""
        said = asyncio.create_task(self.rest())
        await self.send(data)
        return await said


@asynccontextmanager
async def wired(server: httpx2.AsyncClient) -> AsyncIterator[Wire]:
    """A fresh connection to a server."""
    url = httpx2.URL(server.base_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def asked(server: httpx2.AsyncClient, data: bytes) -> bytes:
    """What a fresh connection is answered to `data`, until the server closes it."""
    async with wired(server) as wire:
        return await wire.ask(data)


def statuses(said: bytes) -> list[int]:
    """The statuses of all answers in what a server said."""
    return [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]


def a_submit(body: bytes, *headers: bytes) -> bytes:
    """Ada's `POST /jobs` as it is sent."""
    lines = [b"POST /jobs HTTP/1.1", b"Host: localhost", b"X-User-ID: ada", b"Content-Length: %d" % len(body)]
    return b"\r\n".join((*lines, *headers, b"", body))


LAST = b"Connection: close"
"""A header that ends the connection with its answer."""


def answers_in(said: bytes) -> list[tuple[int, dict[str, object]]]:
    """The answers that came on one connection, none of them in chunks."""
    answers = []
    while said:
        head, _, said = said.partition(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        answers.append((int(head.split()[1]), json.loads(said[:length])))
        said = said[length:]
    return answers


async def submitted(server: httpx2.AsyncClient, body: bytes) -> int:
    """The status that a submit on a connection of its own is answered with."""
    async with wired(server) as wire:
        return answers_in(await wire.ask(a_submit(body, LAST)))[0][0]
