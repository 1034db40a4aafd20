"""Keep a process's views fresh, and tell the store what calls came to: one duty for all gates."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tidegate.clock import Clock
from tidegate.core.breaker import lent
from tidegate.core.job import Owner
from tidegate.core.upstream import State, Upstream, quiet
from tidegate.core.verbs import ClaimRequest, Document
from tidegate.errors import EngineUnavailable
from tidegate.ports import Engine
from tidegate.telemetry.events import Emitter, StoreBack, StoreDown
from tidegate.upstreams.board import Board, StoreClock, View
from tidegate.upstreams.folding import DEADLINE, Change, Folder
from tidegate.upstreams.policies import GATES, KINDS, QUEUES, UPSTREAM, Policies, gate_of
from tidegate.upstreams.probes import Probes
from tidegate.upstreams.tallies import Tallies

_log = logging.getLogger(__name__)

UNHEARD: Final = 1.7
"""Seconds without news from a worker's claims, after which they are asked for: an idle worker claims more often.

Looked at once a second: whoever has no worker and misses a hint is 2 s late, and no more.
"""

WORKERS_FIRST: Final = 0.05
"""Seconds that a worker of this process has to claim after a hint, before its news are asked for apart."""

PATIENCE: Final = 0.05
"""Seconds that a claim waits for the store to know of failures."""

READ_APART: Final = 0.1
"""Seconds between two readings of all documents: many upstreams may change in one of them."""

SETTLING: Final = 60.0
"""Seconds between two tellings of successes while nothing is wrong: so that what is usual becomes known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the health of upstreams is kept with. `owner` asks the store for news where no worker does."""

    engine: Engine
    clock: Clock
    emit: Emitter
    dice: Callable[[], float]
    nonce: Callable[[], str]
    owner: Owner
    every: timedelta = timedelta(seconds=1)


@dataclass(slots=True)
class Keeper:
    """Runs on one event loop; `hurry` may be called from any thread."""

    to: Reach
    policies: Policies
    board: Board = field(default_factory=Board)
    tallies: Tallies = field(default_factory=Tallies)
    probes: Probes = field(default_factory=Probes)
    _newest: int = 0
    _read: int = -1
    _told: dict[str, float] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _folds: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _heard: float = float("-inf")
    _works: bool = False
    _away_since: float | None = None
    clock: StoreClock = field(init=False)
    _folder: Folder = field(init=False)

    def __post_init__(self) -> None:
        self.clock = StoreClock(self.to.clock)
        to = self.to
        self._folder = Folder(to.engine, self.board, self.policies, self.clock, to.emit, to.dice, to.nonce)

    def hurry(self) -> None:
        """There is something that may change what is claimed."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._wake.set)

    def saw(self, version: int, at: datetime) -> None:
        """A worker's claim brought news: the store's present, and the version of its newest document."""
        self._works = True
        self._hear(version, at)

    def _hear(self, version: int, at: datetime) -> None:
        self.clock.saw(at)
        self._heard = self.to.clock.monotonic()
        if version != self._newest:  # lower where the store failed over to a copy that lacks the newest writes
            self._newest = version
            self.hurry()

    @property
    def newest(self) -> int:
        """The version of the store's newest document of any kind, as far as was heard."""
        return self._newest

    @property
    def limiting(self) -> bool:
        """Whether some gate has a limit on how many jobs run at once."""
        return self.board.limiting

    async def refresh(self) -> None:
        """Read what the store has; raises EngineUnavailable."""
        newest, before = self._newest, self.board.all()
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                for kind in KINDS:
                    self.board.replace(await self._scan(kind), kind, before)
        except TimeoutError as exc:
            raise EngineUnavailable("the store did not answer in time") from exc
        self._read, self._read_at = newest, self.to.clock.monotonic()

    async def _scan(self, kind: str) -> list[Document]:
        found: list[Document] = []
        while len(page := await self.to.engine.scan(kind, found[-1].key if found else "", 200)) == 200:
            found += page
        return found + page

    async def change(self, gate: str, change: Change) -> View:
        """Change a gate's document; raises EngineUnavailable."""
        await self._ask()  # an operator's word lasts by the store's clock
        await self.refresh()
        return await self._folder.change(gate, change)

    async def declare(self) -> None:
        """Have every gate in the store that was declared with a limit or a pace; raises EngineUnavailable."""
        await self._ask()  # a budget's window is the store's: a wrong clock here must not open what is spent
        named = ((UPSTREAM, self.policies.upstreams), (QUEUES, self.policies.queues))
        for gate in [gate_of(kind, name) for kind, names in named for name in names]:
            rules = self.policies.rules(gate)
            if rules.limit is not None or rules.pace is not None or self.board.view(gate).version:
                await self._folder.declare(gate)

    async def bound(self, gate: str) -> None:
        """Have a gate in the store that it does not know, where its rules have a limit; raises EngineUnavailable."""
        if self.policies.rules(gate).limit is not None and not self.board.view(gate).version:
            await self._ask()
            await self._folder.declare(gate)

    async def borrow(self, gate: str) -> bool:
        """Ask for a half-open gate's probe, of which the fleet has one; raises EngineUnavailable."""
        rules, given = self.policies.rules(gate), False

        def change(upstream: Upstream, now: datetime) -> Upstream:
            nonlocal given
            changed = lent(upstream, rules, now)
            given = changed is not upstream
            return changed

        await self._folder.change(gate, change)
        return given

    async def flush(self, gate: str) -> None:
        """Tell the store now what calls through a gate came to; raises EngineUnavailable."""
        await self.refresh()
        await self._fold(gate)

    async def catch_up(self) -> None:
        """Return once the store knows of every failure so far: whoever claims then gets nothing that they forbid.

        Or a little later, where it takes its time: a document that hangs delays nobody else for long.
        """
        urgent = [gate for gate in self.tallies.waiting(urgent=True) if gate not in self._folder.unknown]
        telling = [*self._folds.values(), *(self._begin(gate) for gate in urgent if gate not in self._folds)]
        if telling:
            await asyncio.wait(telling, timeout=PATIENCE)

    async def told(self, gate: str) -> None:
        """Return once the store knows what calls through a gate cost; after some seconds in any case."""
        for _ in range(2):  # a fold that is under way may have begun without the newest
            if self.tallies.untold(gate):
                await asyncio.wait([self._begin(gate)], timeout=DEADLINE.total_seconds())

    def _begin(self, gate: str) -> asyncio.Task[None]:
        """Fold what a gate has, in a task of its own: no gate waits for another."""
        task = self._folds.get(gate)
        if task is None:
            task = self._folds[gate] = asyncio.get_running_loop().create_task(self._fold_safely(gate))
            task.add_done_callback(lambda _: self._folds.pop(gate, None))
        return task

    async def _fold_safely(self, gate: str) -> None:
        try:
            await self._fold(gate)
            self._answered()
        except EngineUnavailable as exc:
            self._unanswered(exc)
        except Exception as exc:  # what the store will never take is given up, so that the rest goes on
            self._folder.forget(gate)
            self.tallies.told(gate)
            _log.error("what calls through %s came to could not be told", gate, exc_info=exc)

    async def work(self) -> None:
        """Go on until cancelled. While the store is away the views stay as they are, and tallies are kept."""
        self.loop, every, said = asyncio.get_running_loop(), self.to.every.total_seconds(), ""
        while True:
            try:
                await self._round()
                self._answered()
                said = ""
            except EngineUnavailable as exc:
                self._unanswered(exc)
                await asyncio.sleep(every)
            except Exception as exc:  # a duty that silently ended would leave every view as it is
                if said != str(exc):
                    said = str(exc)
                    _log.error("what keeps the health of upstreams broke, and goes on", exc_info=exc)
                await asyncio.sleep(every)
            await self._rest()

    def _unanswered(self, error: EngineUnavailable) -> None:
        """The store is away: said once, by a worker where this process has one."""
        if self._away_since is None:
            self._away_since = self.to.clock.monotonic()
            if not self._works:
                self.to.emit(StoreDown(error_type=type(error).__name__))

    def _answered(self) -> None:
        if self._away_since is not None:
            away, self._away_since = self.to.clock.monotonic() - self._away_since, None
            if not self._works:
                self.to.emit(StoreBack(down_for=timedelta(seconds=away)))

    async def _rest(self) -> None:
        """Until there is something to tell or to hear, or for a second."""
        hint = asyncio.ensure_future(self.to.engine.wait([GATES], self.to.every))
        told, began = asyncio.ensure_future(self._wake.wait()), self.to.clock.monotonic()
        every = self.to.every.total_seconds()
        try:
            await asyncio.wait((hint, told), timeout=every, return_when=asyncio.FIRST_COMPLETED)
            rung = hint.done() and self.to.clock.monotonic() - began < every * 0.9
        finally:
            for waiting in (hint, told):
                waiting.cancel()
            await asyncio.gather(hint, told, return_exceptions=True)
        if rung:
            await asyncio.sleep(WORKERS_FIRST)
            if self._heard < began:
                self._heard = float("-inf")

    async def _round(self) -> None:
        urgent = self._wake.is_set()
        self._wake.clear()
        if self.to.clock.monotonic() - self._heard > UNHEARD:
            await self._ask()
        if self._newest != self._read:
            if self.to.clock.monotonic() - self._read_at < READ_APART:
                await asyncio.sleep(READ_APART)
            await self.refresh()
        gates = {gate for gate in self.tallies.waiting(urgent=urgent) if urgent or self._worth_telling(gate)}
        if not urgent:
            gates.update(self._ageing())
        telling = [self._begin(gate) for gate in sorted(gates)]
        if telling:
            await asyncio.wait(telling, timeout=self.to.every.total_seconds())

    async def _ask(self) -> None:
        """The store's present and news, where no worker of this process has asked for them lately."""
        request = ClaimRequest(owner=self.to.owner, turns=(), types=frozenset(), limit=0, lease_for=DEADLINE)
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                claimed = await self.to.engine.claim(request, self.to.nonce())
        except TimeoutError as exc:
            raise EngineUnavailable("the store did not answer in time") from exc
        self._hear(claimed.version, claimed.at)

    async def _fold(self, gate: str) -> None:
        self._told[gate] = self.to.clock.monotonic()
        before = self.board.view(gate)
        await self._folder.fold(gate, lambda: self.tallies.take(gate), self._probing(gate, before.upstream))
        self.tallies.told(gate)

    def _worth_telling(self, gate: str) -> bool:
        """While nothing is wrong, no pace is charged and nothing was spent, successes are told once a minute."""
        rules, paid = self.policies.rules(gate), self.tallies.untold(gate) > 0
        if paid or not quiet(self.board.view(gate).upstream) or rules.pace is not None:
            return True
        return self.to.clock.monotonic() - self._told.get(gate, float("-inf")) > SETTLING

    def _ageing(self) -> Sequence[str]:
        """Gates that time may change, and those of which it is not known what the store has."""
        views = self.board.all().items()
        ageing = {gate for gate, view in views if view.upstream.override or not quiet(view.upstream)}
        return sorted(ageing | self._folder.unknown)

    def _probing(self, gate: str, upstream: Upstream) -> timedelta | None:
        if upstream.state is not State.OPEN:
            return None
        begun = self.probes.oldest(gate, upstream.since)
        return None if begun is None else timedelta(seconds=self.to.clock.monotonic() - begun)
