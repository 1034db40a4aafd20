"""Serve an application: uvicorn, an embedded worker, and a stop that loses nothing."""

import asyncio
import gc
import json
import os
import signal
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.engines import shown
from tidegate.errors import ConfigError
from tidegate.http.app import Api, create_app
from tidegate.http.guards.auth import LOCAL_NAMES
from tidegate.http.guards.openness import is_open, tell_open
from tidegate.http.protocol import Guard, GuardedConfig, GuardedProtocol
from tidegate.worker.worker import Worker

SERVER_FILE: Final = "server.json"
"""In the data folder: where a running server is, so that commands on this machine find it."""

COLLECTING: Final = (10_000, 10, 10)
"""When garbage is looked for: by default after 700 new objects, which is every few requests, and mostly in vain."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_WILDCARDS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


async def serve(application: Tidegate, settings: Settings, *, worker: bool = True) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs within the grace; a second signal ends the grace.

    Runs on the main thread's loop. Raises ConfigError when the address can't be listened on, and EngineError.
    """
    await run(Server(application, settings, worker=worker))


async def run(server: "Server") -> None:
    """Run a server until SIGTERM or SIGINT, as `serve` does."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, server.stop)
    gc.collect()
    gc.freeze()  # code and routes are no garbage: to look through them at each collection made answers late
    gc.set_threshold(*COLLECTING)
    try:
        await server.run()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


class Server:
    """An application being served. Once `started` is set, `url` is where this machine reaches it."""

    host_variable = "TIDEGATE_HOST"

    def __init__(self, application: Tidegate, settings: Settings, *, worker: bool = True) -> None:
        self._application = application
        self._settings = settings
        self._with_worker = worker
        self._stopping = asyncio.Event()
        api = self._made()
        setattr(api.state, LOCAL_NAMES, True)
        config = uvicorn_config(api, settings)
        config.straight = api.straight if isinstance(api, Api) else None
        self._http = _Http(config, self._listening)
        self._worker: Worker | None = None
        self.started = asyncio.Event()
        self.url = self._bound_to = ""

    def _made(self) -> FastAPI:
        """What is served."""
        return create_app(self._application, worker=False, stopping=self._stopping)

    def stop(self) -> None:
        """Accept no more and finish what runs; called again, end that at once."""
        if self._stopping.is_set():
            self._http.force_exit = True
            if self._worker is not None:
                self._worker.hurry()
        self._http.should_exit = True
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`. Raises ConfigError when the address can't be listened on, and EngineError."""
        async with self._application.connected():
            await self._check_open()
            with _bound(self._settings.host, self._settings.port) as listener:
                host, port = self._settings.host, listener.getsockname()[1]
                self.url, self._bound_to = _url(_WILDCARDS.get(host, host), port), _url(host or "0.0.0.0", port)
                try:
                    await self._serve(listener)
                finally:
                    _forget(self._settings.data_dir / SERVER_FILE)

    async def _check_open(self) -> None:
        """While there is no key anybody may do anything, so nobody elsewhere may reach it. Raises ConfigError."""
        settings = self._settings
        if not await is_open(settings, self._application.system.engine):
            return
        if settings.auth != "none" and not _loopback(settings.host):
            raise ConfigError(
                f"{self.host_variable}={settings.host} can be reached from elsewhere, and there is no API key: make "
                "one with `tidegate keys create`, set TIDEGATE_ADMIN_KEY, or TIDEGATE_AUTH=none where somebody else "
                "checks"
            )
        tell_open(settings)

    async def _serve(self, listener: socket.socket) -> None:
        if self._with_worker:
            self._worker = self._application.system.worker()
            await self._worker.start()
        async with asyncio.TaskGroup() as group:
            if self._worker is not None:
                group.create_task(self._stop_worker(self._worker))
            try:
                await self._http.serve([listener])
            finally:
                self._stopping.set()

    async def _stop_worker(self, worker: Worker) -> None:
        """Both sides stop together: jobs are not claimed while the last answers are being sent."""
        try:
            await self._stopping.wait()
        finally:
            await worker.stop()

    def _listening(self) -> None:
        _note(self._settings.data_dir / SERVER_FILE, self.url, shown(self._settings.engine_url))
        here = {"here": self.url} if self._bound_to != self.url else {}
        structlog.get_logger().info("server.listening", address=self._bound_to, **here)
        self.started.set()


class _Http(uvicorn.Server):
    """Uvicorn, telling when it listens, and leaving signals to us."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def uvicorn_config(app: ASGIApp, settings: Settings) -> GuardedConfig:
    """How an application is served: what its connections may take, and what is logged of them."""
    config = GuardedConfig(
        app,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",  # the store is opened around the server, so that it outlives the last answer
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=round(settings.http_keep_alive.total_seconds()),
        timeout_graceful_shutdown=max(round(settings.grace.total_seconds()), 1),
    )
    config.guard = Guard(patience=settings.http_receive_timeout.total_seconds(), requests=settings.http_requests)
    return config


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise ConfigError(f"can't listen on {host}:{port}: {exc.strerror or exc}") from exc
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
        except OSError as exc:
            raise ConfigError(f"can't listen on {host}:{port}: {exc.strerror or exc}") from exc
        yield listener


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _note(file: Path, url: str, store: str) -> None:
    """Say where this server is; another one of the same folder that still runs is kept in mind."""
    before = _noted(file)
    note = {"url": url, "pid": os.getpid(), "store": store}
    _write(file, {**note, "before": {**before, "before": None}} if _lives(before) else note)


def _forget(file: Path) -> None:
    """Remove the note, or bring back the one before; another server's is left alone."""
    noted = _noted(file)
    if noted.get("pid") != os.getpid():
        return
    before = noted.get("before")
    if isinstance(before, dict) and _lives(before):
        _write(file, before)
    else:
        file.unlink(missing_ok=True)


def _noted(file: Path) -> dict[str, object]:
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _write(file: Path, note: Mapping[str, object]) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as writer:
        json.dump(note, writer)
    part.replace(file)


def _lives(note: Mapping[str, object]) -> bool:
    """Whether another process than this one wrote the note, and runs."""
    pid = note.get("pid")
    if not isinstance(pid, int) or pid in (0, os.getpid()):
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
