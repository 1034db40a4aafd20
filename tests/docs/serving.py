"""The tutorial's application, served to pages that call it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.greet import app
from tests.http.reach import plain_settings
from tidegate.http.server import Server


@contextmanager
def tutorial(folder: Path) -> Iterator[str]:
    """Its URL. It is served on a loop of its own: blocking snippets hold up the page's."""
    settings = plain_settings(folder)
    server = Server(app.configured(settings, app.emit), settings)
    tried = threading.Event()

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        task = asyncio.create_task(server.run())
        await asyncio.wait({task, asyncio.create_task(server.started.wait())}, return_when=asyncio.FIRST_COMPLETED)
        tried.set()
        await task

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert tried.wait(60)
    assert server.started.is_set(), "it did not start"
    try:
        yield server.url
    finally:
        loops[0].call_soon_threadsafe(server.stop)
        thread.join(60)
