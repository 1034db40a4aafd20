"""What each user has spent at each upstream: a document for each, changed by compare-and-swap.

An amount has a name of its own, so that one whose answer was lost is told again and counts once.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from tidegate.clock import Clock
from tidegate.core.budget import Budget, Spending, charged, spent_out
from tidegate.core.verbs import Document, Swap
from tidegate.errors import EngineUnavailable
from tidegate.ports import Engine
from tidegate.upstreams.folding import DEADLINE, MOST_TRIES

Answer = TypeVar("Answer")

KIND: Final = "spending"

FRESH: Final = 1.0
"""Seconds for which what was read is good for whoever submits."""

MOST_KNOWN: Final = 10_000
"""Purses that are remembered; of the others the store is asked."""

PAGE: Final = 200

_decoder = msgspec.json.Decoder(Spending)


@dataclass(frozen=True, slots=True)
class Owed:
    """An amount on its way to the store; whether it arrived may not be known."""

    micros: int
    receipt: str


@dataclass(slots=True)
class Purse:
    """What is known of one, when it was read, and what the store was not told of: `owed` has been sent once."""

    spending: Spending = field(default_factory=Spending)
    version: int = 0
    read_at: float = float("-inf")
    untold: int = 0
    owed: Owed | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def waiting(self) -> int:
        """What is not known to be in the store."""
        return self.untold + (self.owed.micros if self.owed else 0)

    def adopt(self, document: Document, at: float) -> None:
        """Take over what the store has."""
        self.spending, self.version, self.read_at = _decoded(document.value), document.version, at


@dataclass(slots=True)
class Purses:
    """Purses by the key of their document. `spend` and `until` may be called from any thread."""

    engine: Engine
    clock: Clock
    now: Callable[[], datetime]
    nonce: Callable[[], str]
    _purses: dict[str, Purse] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _after: str = ""

    def __len__(self) -> int:
        return len(self._purses)

    def spend(self, key: str, micros: int) -> None:
        """A call cost so much."""
        with self._lock:
            self._found(key).untold += micros

    def owing(self) -> list[str]:
        """Those of which the store was not told all."""
        with self._lock:
            return [key for key, purse in self._purses.items() if purse.waiting]

    def until(self, key: str, budget: Budget) -> datetime | None:
        """Until when nothing more may be spent, as far as this process knows; None where something may."""
        purse = self._purse(key)
        return spent_out(purse.spending, budget, self.now(), purse.waiting)

    async def read(self, key: str, older_than: float = 0.0) -> None:
        """Know what the store has, unless that was read just now; raises EngineUnavailable."""
        purse = self._purse(key)
        if self.clock.monotonic() - purse.read_at < older_than:
            return
        [document] = await _in_time(self.engine.load(KIND, [key]))
        if document.version >= purse.version:
            purse.adopt(document, self.clock.monotonic())

    async def tell(self, key: str, budget: Budget) -> None:
        """Have in the store all that was spent; after EngineUnavailable it is kept, and told by the next call."""
        purse = self._purse(key)
        async with purse.lock:
            while purse.waiting:
                if purse.owed is None:
                    with self._lock:
                        purse.owed, purse.untold = Owed(purse.untold, self.nonce()[:12]), 0
                await self._add(key, purse, purse.owed, budget)
                purse.owed = None

    async def _add(self, key: str, purse: Purse, owed: Owed, budget: Budget) -> None:
        for _ in range(MOST_TRIES):
            changed = charged(purse.spending, budget, owed.micros, owed.receipt, self.now())
            if changed is purse.spending:
                return
            value = msgspec.json.encode(changed)
            swap = Swap(kind=KIND, key=key, value=value, expected=purse.version, nonce=self.nonce())
            swapped = await _in_time(self.engine.swap(swap))
            purse.adopt(swapped.document, self.clock.monotonic())
            if swapped.won:
                return
        raise EngineUnavailable("a purse changes too fast to be changed")

    async def prune(self) -> None:
        """Forget purses whose window is over, a page at a time; raises EngineUnavailable."""
        page, now = await _in_time(self.engine.scan(KIND, self._after, PAGE)), self.now()
        self._after = page[-1].key if len(page) == PAGE else ""
        for document in page:
            spending = _decoded(document.value)
            if spending.ends is None or spending.ends < now:
                swap = Swap(kind=KIND, key=document.key, value=None, expected=document.version, nonce=self.nonce())
                await _in_time(self.engine.swap(swap))

    def _purse(self, key: str) -> Purse:
        with self._lock:
            return self._found(key)

    def _found(self, key: str) -> Purse:
        purse = self._purses.get(key)
        if purse is None:
            if len(self._purses) >= MOST_KNOWN:
                self._forget()
            purse = self._purses[key] = Purse()
        return purse

    def _forget(self) -> None:
        """Forget the oldest half, but nothing that the store was not told."""
        for key in list(self._purses)[: MOST_KNOWN // 2]:
            purse = self._purses[key]
            if not purse.waiting and not purse.lock.locked():
                del self._purses[key]


async def _in_time(asked: Awaitable[Answer]) -> Answer:
    try:
        async with asyncio.timeout(DEADLINE.total_seconds()):
            return await asked
    except TimeoutError as exc:
        raise EngineUnavailable(f"the store did not answer within {DEADLINE.total_seconds():g} s") from exc


def _decoded(value: bytes | None) -> Spending:
    """What was written; nothing where that can't be read."""
    if value is not None:
        with suppress(msgspec.DecodeError, msgspec.ValidationError):
            read = _decoder.decode(value)
            instants = [getattr(read, part.name) for part in fields(read)]
            if all(at.tzinfo is not None for at in instants if isinstance(at, datetime)):
                return read
    return Spending()
