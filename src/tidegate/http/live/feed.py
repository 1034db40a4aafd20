"""All steps of all jobs: one reader of the store's feed for everybody who listens in this process.

What a cursor of the feed means, only the store knows. So whoever comes with one first reads for himself, up to the
feed's end; then the reader, at its end too, takes him in and reads for him what came in between.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from datetime import timedelta
from itertools import chain
from typing import Final

from tidegate.errors import EngineUnavailable
from tidegate.http.live.feed_pages import Key, Page, Pages
from tidegate.http.live.listening import Listener, show

SOON: Final = 0.1
"""Seconds until the next look after one that found something; then ever longer."""

CATCH_UP: Final = 500
"""Pages that a listener may be behind: who is further back does better to list jobs."""

MEETING: Final = 50
"""Pages in which a listener who was at the feed's end just now meets the reader, who is there."""


class Feed:
    """The reader, and those who listen. It runs only while somebody does; `rest` is the longest between two looks."""

    def __init__(self, pages: Pages, rest: Callable[[], timedelta]) -> None:
        self._pages = pages
        self._rest = rest
        self._coming: dict[Listener, None] = {}
        self._here: dict[str | None, dict[Listener, None]] = {}
        self._cursor = ""
        self._newest: Key | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def reading(self) -> bool:
        """Whether the reader runs."""
        return self._task is not None

    async def listener(self, viewer: str | None, place: str | None) -> Listener:
        """Somebody who listens from `place` on, or from now on; raises EngineUnavailable."""
        return Listener(viewer, await self._pages.place(place))

    async def follow(self, listener: Listener) -> AsyncGenerator[bytes, None]:
        """What he is told, for as long as somebody asks for it."""
        yield listener.taken()
        async with aclosing(self._catch_up(listener)) as missed:
            async for piece in missed:
                yield piece
        self._join(listener)
        try:
            while True:
                yield await listener.next()
        finally:
            self._leave(listener)

    async def _catch_up(self, listener: Listener) -> AsyncGenerator[bytes, None]:
        """What happened from his place to the feed's end, as fast as he takes it."""
        for _ in range(CATCH_UP):
            try:
                page = await self._pages.read(listener.cursor)
            except EngineUnavailable:
                await asyncio.sleep(self._rest().total_seconds())
                continue
            listener.read(page)
            listener.forget()
            if piece := listener.taken():
                yield piece
            if not page.full:
                return
        listener.lose((await self._pages.place(None)).cursor)

    def _join(self, listener: Listener) -> None:
        self._coming[listener] = None
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._read(), name="tidegate-feed")

    def _leave(self, listener: Listener) -> None:
        self._coming.pop(listener, None)
        here = self._here.get(listener.viewer, {})
        here.pop(listener, None)
        if not here:
            self._here.pop(listener.viewer, None)
        self._changed.set()

    def _all(self) -> Iterator[Listener]:
        return chain.from_iterable(self._here.values())

    async def _read(self) -> None:
        pause = SOON
        try:
            while self._coming or self._here:
                found = await self._look()
                pause = SOON if found else min(pause * 2, self._rest().total_seconds())
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                self._changed.clear()
        except Exception as exc:  # each stream raises it, and breaks: its client comes back
            for listener in (*self._coming, *self._all()):
                listener.fail(exc)
            self._coming, self._here = {}, {}
        finally:
            self._task, self._cursor, self._newest = None, "", None

    async def _look(self) -> bool:
        """Read up to the feed's end, and take in who came; whether there was anything. While the store is away, not."""
        found = False
        with suppress(EngineUnavailable):
            full = True
            while full and (self._coming or self._here):
                page = await self._page()
                full, found = page.full, found or bool(page.steps)
                await asyncio.sleep(0)  # they take it meanwhile
            await self._take_in()
        return found

    async def _page(self) -> Page:
        """Read a page for all who are here."""
        if not self._cursor:
            self._cursor = next(iter(self._coming)).cursor
        page = await self._pages.read(self._cursor)
        if page.reset:
            self._newest = None
            for listener in self._all():
                listener.lose(page.next)
        for step in page.steps:
            show([step], chain(self._here.get(step.of.user_id, ()), self._here.get(None, ())))
            self._newest = step.key
        self._cursor = page.next
        for listener in self._all():
            listener.cursor = page.next
        return page

    async def _take_in(self) -> None:
        """Those who came listen from now on; what the others read by themselves as they came has been met."""
        for listener in self._all():
            listener.forget()
        for listener in list(self._coming):
            await self._meet(listener)
            if self._coming.pop(listener, listener) is None:
                self._here.setdefault(listener.viewer, {})[listener] = None

    async def _meet(self, listener: Listener) -> None:
        """Read for him up to where the reader is; where he is further, he is not offered again what he had."""
        for _ in range(MEETING):
            before = listener.cursor
            page = await self._pages.read(before)
            if listener.read(page, self._newest):
                listener.cursor = self._cursor
                return
            if page.next == before:
                return
