"""A TCP proxy between an engine and its server that drops, delays and cuts on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import hiredis


@dataclass
class Proxy:
    """Forwards both ways; the test changes what it does between two awaits."""

    upstream_port: int
    port: int = 0
    delay: float = 0.0
    """Seconds before each piece of an answer goes on."""
    mute: bool = False
    """Whether answers vanish."""
    refuse: bool = False
    """Whether new connections are closed at once."""
    connections: int = 0
    commands: int = 0
    """Commands that went to the server."""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def url(self, options: str = "") -> str:
        """How an engine goes through here."""
        return f"redis://127.0.0.1:{self.port}/0{options}"

    def cut(self) -> None:
        """Drop every open connection, as a network does."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self.refuse:
            writer.transport.abort()
            return
        self.connections += 1
        inside, outside = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        self._writers |= {writer, outside}
        try:
            await asyncio.gather(self._carry(reader, outside, there=True), self._carry(inside, writer, there=False))
        finally:
            self._writers -= {writer, outside}

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, there: bool) -> None:
        requests = hiredis.Reader(notEnoughData=None)
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if there:
                    requests.feed(data)
                    while requests.gets() is not None:
                        self.commands += 1
                elif self.delay:
                    await asyncio.sleep(self.delay)
                if there or not self.mute:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    """A proxy before the server at `port`."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await server.wait_closed()
