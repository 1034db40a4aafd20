"""Fold what calls came to into the store's documents, by compare-and-swap."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tidegate.core.adaptive import lifting
from tidegate.core.billing import rebudgeted
from tidegate.core.breaker import observe, tick
from tidegate.core.fault import REACTIONS
from tidegate.core.upstream import Present, Tally, Upstream, fenced, gate
from tidegate.core.verbs import Swap
from tidegate.errors import EngineUnavailable
from tidegate.ports import Engine
from tidegate.telemetry.events import Emitter, UpstreamChanged
from tidegate.upstreams.board import Board, StoreClock, View, encode
from tidegate.upstreams.policies import Policies

DEADLINE: Final = timedelta(seconds=2)
"""A store that hangs must not stop who waits for it: beyond this a call counts as unanswered."""

MOST_TRIES: Final = 50
"""Swaps that lose in a row before the next second is waited for: each was lost to one that won."""

Change = Callable[[Upstream, datetime], Upstream]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A swap that may be in the store or not, and what it was to change."""

    swap: Swap
    change: Change
    before: Upstream
    after: Upstream

    def traced_in(self, stored: Upstream) -> bool:
        """Whether something of it shows in what others have stored since."""
        made = {*self.after.log, *self.after.faults} - {*self.before.log, *self.before.faults}
        return not made.isdisjoint({*stored.log, *stored.faults})


@dataclass(slots=True)
class Folder:
    """Changes documents, one swap at a time for each gate."""

    engine: Engine
    board: Board
    policies: Policies
    clock: StoreClock
    emit: Emitter
    dice: Callable[[], float]
    nonce: Callable[[], str]
    _unknown: dict[str, Attempt] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    @property
    def unknown(self) -> frozenset[str]:
        """Gates whose last change may be in the store or not."""
        return frozenset(self._unknown)

    def forget(self, name: str) -> None:
        """Give up a change that the store refuses for good."""
        self._unknown.pop(name, None)

    async def fold(self, name: str, take: Callable[[], Sequence[Tally]], probing: timedelta | None = None) -> None:
        """Observe the tallies that `take` hands over, and let time do its part; raises EngineUnavailable.

        They are not taken before the last change is known to be stored; once taken they are as `change` says.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            await self._settle(name)
            await self._apply(name, await self._observing(name, take(), probing))

    async def change(self, name: str, change: Change) -> View:
        """Apply `change` to what is stored, whatever else happens to it meanwhile.

        After EngineUnavailable it may have been applied or not, and perhaps will be, before the next change.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            await self._settle(name)
            return await self._apply(name, change)

    async def declare(self, name: str) -> None:
        """Have the gate in the store as the rules of this process have it; raises EngineUnavailable."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            await self._settle(name)
            rules = self.policies.rules(name)
            await self._apply(name, lambda upstream, now: rebudgeted(upstream, rules, now), force=True)

    async def _observing(self, name: str, tallies: Sequence[Tally], probing: timedelta | None) -> Change:
        rules = self.policies.rules(name)
        congested = any(tally.slow or any(REACTIONS[seen.fault].counts for seen in tally.faults) for tally in tallies)
        lifts = lifting(self.board.view(name).upstream, rules, self.clock.now())
        running = await self._running(name) if congested or lifts else 0
        dice = self.dice()
        tallies = [replace(tally, receipt=self.nonce()[:12]) if tally.spent else tally for tally in tallies]

        def change(upstream: Upstream, now: datetime) -> Upstream:
            present = Present(now=now, dice=dice, running=running)
            for tally in tallies:
                upstream = observe(upstream, tally, rules, present)
            return tick(upstream, rules, present, probing)

        return change

    async def _settle(self, name: str) -> None:
        """Have in the store what may be there or not, once."""
        attempt = self._unknown.get(name)
        if attempt is None or await self._won(name, attempt):
            return
        if attempt.traced_in(self.board.view(name).upstream):
            del self._unknown[name]
            self._tell(name, attempt)
        else:
            await self._apply(name, attempt.change)

    async def _apply(self, name: str, change: Change, *, force: bool = False) -> View:
        for _ in range(MOST_TRIES):
            view = self.board.view(name)
            now = self.clock.now()
            changed = fenced(change(view.upstream, now), self.policies.rules(name), now)
            if changed == view.upstream and not force:
                self._unknown.pop(name, None)
                return view
            swap = self._swap_of(name, replace(view, upstream=changed), now)
            if await self._won(name, Attempt(swap=swap, change=change, before=view.upstream, after=changed)):
                return self.board.view(name)
        raise EngineUnavailable(f"{name} changes too fast to be changed")

    def _swap_of(self, name: str, view: View, now: datetime) -> Swap:
        """What makes `view` of its version's successor, and the gate it implies."""
        kind, _, key = name.partition(":")
        admits = gate(view.upstream, self.policies.rules(name), name, now)
        value = encode(view.upstream)
        return Swap(kind=kind, key=key, value=value, expected=view.version, nonce=self.nonce(), gates=(admits,))

    async def _won(self, name: str, attempt: Attempt) -> bool:
        self._unknown[name] = attempt
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                swapped = await self.engine.swap(attempt.swap)
        except TimeoutError as exc:
            raise EngineUnavailable(f"the store did not answer within {DEADLINE.total_seconds():g} s") from exc
        self.board.adopt(swapped.document, forgot=swapped.document.version < attempt.swap.expected)
        if swapped.won:
            del self._unknown[name]
            self._tell(name, attempt)
        return swapped.won

    def _tell(self, name: str, attempt: Attempt) -> None:
        """Of each transition, once in the whole fleet: by whoever's swap won."""
        known = {(each.at, each.to) for each in attempt.before.log}
        for transition in reversed([each for each in attempt.after.log if (each.at, each.to) not in known]):
            self.emit(UpstreamChanged(gate=name, transition=transition))

    async def _running(self, name: str) -> int:
        """How many calls run now in the whole fleet, as far as lanes tell; asked for only when something failed."""
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                stats = await self.engine.stats()
        except (TimeoutError, EngineUnavailable):
            return 0
        return sum(lane.running for lane in stats.lanes if name in lane.lane.gates)
