"""Serves a provider with uvicorn until a signal, and writes its log to the end."""

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.errors import ConfigError
from tidegate.provider.app import Application
from tidegate.provider.log import Log

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def listen(host: str, port: int) -> socket.socket:
    """A socket to serve on; port 0 picks a free one. Raises ConfigError."""
    if not 0 <= port <= 65_535:
        raise ConfigError(f"can't listen on {host}:{port}: a port is 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2_048)
    except (OSError, ValueError) as exc:
        raise ConfigError(f"can't listen on {host}:{port}: {getattr(exc, 'strerror', None) or exc}") from exc


async def serve(application: Application, log: Log, listener: socket.socket, listening: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; calls that are being answered then are cut, as by a server that dies."""
    server = _Server(_config(application), listening)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, server.stop)
    log.start()
    try:
        await server.serve([listener])
        cut = list(server.server_state.tasks)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)
    finally:
        await log.stop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """Uvicorn, telling when it listens, and leaving signals to us."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = listening

    def stop(self) -> None:
        """End, without waiting for calls that may take for ever."""
        self.should_exit = self.force_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Protocol(HttpToolsProtocol):
    """HTTP that lets the application close a connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


def _config(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # an answer cut short on purpose is no error
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
