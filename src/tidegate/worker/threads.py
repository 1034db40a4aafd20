"""Threads for what blocks: kept for the next call, and never waited for when the process ends."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

Answer = TypeVar("Answer")


class Threads:
    """As many as there are calls at once. A call that never returns costs its thread and nothing else.

    The standard library's pools wait for theirs at exit, so one stuck handler would keep a worker from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[_Thread] = []

    async def run(self, call: Callable[[], Answer]) -> Answer:
        """What `call` returns or raises (Exceptions only). When this is cancelled, the call goes on unheard."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        thread = self._idle.pop() if self._idle else _Thread(self._name)

        def work() -> None:
            try:
                told: Callable[[], None] = partial(future.set_result, call())
            except Exception as exc:
                told = partial(future.set_exception, exc)
            self._idle.append(thread)
            with suppress(RuntimeError):  # the loop has been closed meanwhile: nobody listens
                loop.call_soon_threadsafe(_tell, future, told)

        thread.calls.put(work)
        return await future

    def close(self) -> None:
        """Let idle threads end."""
        while self._idle:
            self._idle.pop().calls.put(None)


class _Thread(threading.Thread):
    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.start()

    def run(self) -> None:
        while (work := self.calls.get()) is not None:
            work()
            del work  # what it holds must not live until the next call


def _tell(future: asyncio.Future[Answer], told: Callable[[], None]) -> None:
    if not future.done():
        told()
