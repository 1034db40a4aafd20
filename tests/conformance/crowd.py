"""Many at once: coroutines on one event loop, or each on an event loop and thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a crowd is stuck."""

Work = Callable[[], Coroutine[object, None, T]]


class _Threads:
    """The tasks under way on other threads, which can all be stopped."""

    def __init__(self, size: int) -> None:
        self._ready = threading.Barrier(size)
        self._stopped = threading.Event()
        self._tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[object]]] = []

    def alone(self, work: Work[T]) -> T:
        """Wait for the others, and do it on an event loop of its own."""
        self._ready.wait(PATIENCE)
        with asyncio.Runner() as runner:
            return runner.run(self._bounded(work))

    async def _bounded(self, work: Work[T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append((asyncio.get_running_loop(), task))
        assert not self._stopped.is_set()
        async with asyncio.timeout(PATIENCE):
            return await work()

    def stop(self) -> None:
        """Whoever is still at work is cancelled."""
        self._stopped.set()
        self._ready.abort()
        for loop, task in self._tasks:
            with suppress(RuntimeError):  # its loop is closed: it is done
                loop.call_soon_threadsafe(task.cancel)


async def on_threads(works: Sequence[Work[T]]) -> list[T]:
    """Do each on a thread and event loop of its own, all let go at one moment; the answers in order.

    When one fails the others are stopped.
    """
    threads, loop = _Threads(len(works)), asyncio.get_running_loop()
    with ThreadPoolExecutor(len(works)) as pool:
        try:
            return list(await asyncio.gather(*(loop.run_in_executor(pool, threads.alone, work) for work in works)))
        finally:
            threads.stop()


async def in_both(threads: int, tasks: int, work: Work[T]) -> list[T]:
    """Do `work` on `threads` threads, `tasks` times at once on each; all answers."""

    async def together() -> list[T]:
        return list(await asyncio.gather(*(work() for _ in range(tasks))))

    return [answer for answers in await on_threads([together] * threads) for answer in answers]
