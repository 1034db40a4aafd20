"""A TCP proxy on loopback that cuts, or stops carrying, the connections through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class TcpProxy:
    """Carries bytes to `server_port` and back, until told otherwise."""

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self._server_port = server_port
        self._open: set[asyncio.StreamWriter] = set()
        self._carries = asyncio.Event()
        self._carries.set()

    @property
    def connections(self) -> int:
        """How many clients there are."""
        return len(self._open) // 2

    def cut(self) -> None:
        """End all connections, in the middle of whatever is under way."""
        for writer in self._open:
            writer.transport.abort()

    def hold(self) -> None:
        """Carry nothing until `release`, and leave the connections open: as a network that drops all packets."""
        self._carries.clear()

    def release(self) -> None:
        """Carry again."""
        self._carries.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        with suppress(ConnectionError):
            to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._open |= {writer, to_server[1]}
            await asyncio.gather(self._carry(reader, to_server[1]), self._carry(to_server[0], writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._carries.wait()
                if writer.transport.is_closing():
                    break
                writer.write(data)
        writer.close()
        self._open.discard(writer)


@asynccontextmanager
async def tcp_proxy(server_port: int) -> AsyncIterator[TcpProxy]:
    """A proxy before a server."""
    proxy = TcpProxy(server_port)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = int(listener.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        proxy.release()
        listener.close()
        proxy.cut()
