"""Serve an application: uvicorn, an embedded worker, and a stop that loses nothing."""

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.errors import ConfigError
from tidegate.http.app import create_app
from tidegate.worker.worker import Worker

SERVER_FILE: Final = "server.json"
"""In the data folder: where a running server is, so that commands on this machine find it."""

_log = logging.getLogger(__name__)


async def serve(application: Tidegate, settings: Settings, *, worker: bool = True) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs within `settings.grace`; a second signal ends that.

    Must run on the main thread's loop. Raises ConfigError when the address can't be listened on, and EngineError.
    """
    server = Server(application, settings, worker=worker)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    try:
        await server.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class Server:
    """One application being served; `url` is where, once `started`."""

    def __init__(self, application: Tidegate, settings: Settings, *, worker: bool = True) -> None:
        self._application = application
        self._settings = settings
        self._with_worker = worker
        self._api = create_app(application, worker=False)
        self._http = _Http(_config(self._api, settings), self._listening)
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self.started = asyncio.Event()
        self.url = ""

    def stop(self) -> None:
        """Accept no more, finish what runs; called again, end that at once."""
        if self._stopping.is_set():
            self._hurried.set()
            self._http.force_exit = True
        self._stopping.set()
        self._http.should_exit = True

    async def run(self) -> None:
        """Serve until `stop`. Raises ConfigError when the address can't be listened on, and EngineError."""
        async with self._application.connected(), asyncio.TaskGroup() as group:
            with _bound(self._settings.host, self._settings.port) as listener:
                self.url = _url(self._settings.host, listener.getsockname()[1])
                working = group.create_task(self._work()) if self._with_worker else None
                try:
                    await self._http.serve([listener])
                finally:
                    self._stopping.set()
