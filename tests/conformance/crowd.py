"""Many at once: coroutines on one event loop, or each on an event loop and thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a crowd is stuck."""

Work = Callable[[], Coroutine[object, None, T]]


async def on_tasks(works: Sequence[Work[T]]) -> list[T]:
    """Do all as tasks of this event loop; the answers in order."""
    async with asyncio.timeout(PATIENCE):
        return list(await asyncio.gather(*(work() for work in works)))


async def on_threads(works: Sequence[Work[T]]) -> list[T]:
    """Do each on a thread and event loop of its own, all let go at one moment; the answers in order."""
    ready = threading.Barrier(len(works))

    def alone(work: Work[T]) -> T:
        with asyncio.Runner() as runner:
            return runner.run(_bounded(ready, work))

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(works)) as pool:
        return list(await asyncio.gather(*(loop.run_in_executor(pool, alone, work) for work in works)))


async def _bounded(ready: threading.Barrier, work: Work[T]) -> T:
    await asyncio.get_running_loop().run_in_executor(None, ready.wait, PATIENCE)
    async with asyncio.timeout(PATIENCE):
        return await work()


async def in_both(threads: int, tasks: int, work: Work[T]) -> list[T]:
    """Do `work` on `threads` threads, `tasks` times at once on each."""

    async def together() -> list[T]:
        return await on_tasks([work] * tasks)

    return [answer for answers in await on_threads([together] * threads) for answer in answers]
