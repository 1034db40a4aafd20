"""A bell that wakes waiters on any thread's event loop: the hint behind every engine's `wait`."""

import asyncio
import threading
from collections.abc import Iterable
from datetime import timedelta


class Bell:
    """Ring from any thread, wait on any loop. Hints may be lost.

    A ring for a queue or gates that nobody waits for is kept for the next who does: a job may come between a
    worker's claim and its rest. One for a job is forgotten: whoever waits for a job asks first and looks afterwards.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unheard: set[str] = set()
        self._waiting: dict[asyncio.Future[None], tuple[asyncio.AbstractEventLoop, frozenset[str]]] = {}

    def ring(self, topics: Iterable[str]) -> None:
        """Wake whoever waits for one of `topics`."""
        rung = set(topics)
        if not rung:
            return
        with self._lock:
            woken = [(future, loop) for future, (loop, wanted) in self._waiting.items() if wanted & rung]
            heard = frozenset[str]().union(*(wanted for _, wanted in self._waiting.values()))
            self._unheard |= {topic for topic in rung - heard if not topic.startswith("job:")}
        _wake_all(woken)

    def ring_all(self) -> None:
        """Wake everybody: something may have happened that nobody was told of."""
        with self._lock:
            woken = [(future, loop) for future, (loop, _) in self._waiting.items()]
        _wake_all(woken)

    async def wait(self, topics: Iterable[str], timeout: timedelta) -> None:
        """Return at a ring for one of `topics`, or after `timeout`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        wanted = frozenset(topics)
        with self._lock:
            if wanted & self._unheard:
                self._unheard -= wanted
                return
            self._waiting[future] = (loop, wanted)
        try:
            async with asyncio.timeout(max(timeout.total_seconds(), 0.0)):
                await future
        except TimeoutError:
            pass
        finally:
            with self._lock:
                del self._waiting[future]


def _wake_all(waiting: Iterable[tuple[asyncio.Future[None], asyncio.AbstractEventLoop]]) -> None:
    for future, loop in waiting:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_wake, future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
