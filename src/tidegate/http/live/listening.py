"""Somebody who listens to the feed: what he was not told yet, in bounded memory, and where he is."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from tidegate.http.live.feed_pages import Key, Page, Place, Step
from tidegate.http.live.streams import mark, message, silence
from tidegate.http.schemas.events import StreamNotice

BUFFER: Final = 2_000
"""Events that wait for a slow listener: more, and he has lost them."""

_RESET: Final = StreamNotice(event="reset").model_dump_json()


class Listener:
    """Somebody who sees `viewer`'s jobs, or everybody's. `cursor` is behind all that he was ever offered."""

    def __init__(self, viewer: str | None, place: Place) -> None:
        self.viewer = viewer
        self.cursor = place.cursor
        self._behind = place.behind
        self._had = set[Key]()
        self._waiting = [_reset(place.cursor) if place.lost else mark(str(place)) + b"\n"]
        self._news = asyncio.Event()
        self._news.set()
        self._untold = True
        self._fault: Exception | None = None

    def offer(self, key: Key, event: bytes) -> None:
        """Tell him, unless he had it; what is too much for him he loses."""
        if key in self._had:
            return
        if len(self._waiting) >= BUFFER:
            self.lose(self.cursor)
        self._waiting.append(event)
        self._news.set()

    def lose(self, cursor: str) -> None:
        """Forget what waits for him: he goes on behind `cursor`."""
        self.cursor = cursor
        self._waiting = [_reset(cursor)]
        self._news.set()

    def read(self, page: Page, upto: Key | None = None) -> bool:
        """Offer him a page of his own, from where he is on; whether it held `upto`, behind which he then is."""
        if page.reset:
            self.lose(page.next)
        steps = _after(page.steps, self._behind)
        self._behind = None
        met = [number for number, step in enumerate(steps, 1) if step.key == upto]
        mine = steps[: met[0]] if met else steps
        show(mine, [self])
        self._had = set() if met else self._had | {step.key for step in steps}
        self.cursor = page.next
        return bool(met)

    def forget(self) -> None:
        """What he had by himself is not offered again."""
        self._had.clear()

    def fail(self, fault: Exception) -> None:
        """Nothing more will come."""
        self._fault = fault
        self._news.set()

    async def next(self) -> bytes:
        """What he was not told yet, once there is something; he was told what this gave before."""
        self._untold = False
        await self._news.wait()
        if self._fault is not None:
            raise self._fault
        return self.taken()

    def taken(self) -> bytes:
        """What waits for him, which it no longer does."""
        taken, self._waiting = self._waiting, []
        self._news.clear()
        self._untold = bool(taken)
        return b"".join(taken)

    def alive(self) -> bytes:
        """A sign of life; it tells him where he is, also while nothing happens that he may see."""
        return silence() if self._untold or self._waiting else mark(self.cursor) + silence()


def show(steps: Iterable[Step], listeners: Iterable[Listener]) -> None:
    """Offer these steps to those of the listeners who may see them."""
    everybody = list(listeners)
    for step in steps:
        allowed = [listener for listener in everybody if listener.viewer in (None, step.of.user_id)]
        event = step.event() if allowed else b""
        for listener in allowed:
            listener.offer(step.key, event)


def _after(steps: Sequence[Step], behind: Key | None) -> Sequence[Step]:
    """The steps behind that one; all of them where it is gone with its job: better twice than never."""
    keys = [step.key for step in steps]
    return steps[keys.index(behind) + 1 :] if behind in keys else steps


def _reset(cursor: str) -> bytes:
    return message("reset", _RESET, cursor)
