"""wait: woken by what this process, or another one, says it did."""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from tidegate.engines.redis.connection import Links

MOST_KEPT: Final = 10_000
"""Hints kept for who is not waiting yet; the oldest are dropped first."""


class Hints:
    """The topics that scripts publish, heard on the connections of those who wait. Nothing depends on them.

    A hint that comes while nobody waits for its topic is kept for the next who does: a worker that claims learns
    of a job submitted meanwhile only so. Where a connection is lost hints may be, too, and all are woken.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Future[None], tuple[asyncio.AbstractEventLoop, frozenset[str]]] = {}
        self._kept: dict[str, None] = {}

    def listen(self, links: Links) -> None:
        """Hear what is published from now on; before a claim, so that nothing falls between it and the wait."""
        links.here().listen(self._channel)

    def hear(self, message: bytes) -> None:
        """Wake who waits for one of the topics, a line each; everybody where there are none."""
        topics = frozenset(message.decode().split("\n")) if message else None
        with self._lock:
            woken = [
                (future, loop) for future, (loop, wanted) in self._waiting.items() if topics is None or wanted & topics
            ]
            met = frozenset[str]().union(*(self._waiting.pop(future)[1] for future, _ in woken))
            self._keep(() if topics is None else topics - met)
        for future, loop in woken:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, future)

    def _keep(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._kept.pop(topic, None)
            self._kept[topic] = None
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    async def wait(self, links: Links, topics: Sequence[str], timeout: timedelta) -> None:
        """Return at a hint for one of `topics`, at once where one was kept, or after `timeout`."""
        self.listen(links)
        loop, wanted = asyncio.get_running_loop(), frozenset(topics)
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            kept = [topic for topic in wanted if topic in self._kept]
            for topic in kept:
                del self._kept[topic]
            if kept:
                future.set_result(None)
            else:
                self._waiting[future] = (loop, wanted)
        try:
            async with asyncio.timeout(max(timeout.total_seconds(), 0.0)):
                await future
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.pop(future, None)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
