"""Fold what calls came to into the store's documents, by compare-and-swap."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tidegate.core.breaker import observe, tick
from tidegate.core.fault import REACTIONS
from tidegate.core.upstream import Present, Tally, Upstream, fenced, gate
from tidegate.core.verbs import Swap, Swapped
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
    _unknown: dict[str, tuple[Swap, Change]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    @property
    def unknown(self) -> frozenset[str]:
        """Gates whose last change may be in the store or not."""
        return frozenset(self._unknown)

    async def fold(self, name: str, tallies: Sequence[Tally], probing: timedelta | None = None) -> None:
        """Observe tallies, and let time do its part; raises EngineUnavailable, and may then be asked again."""
        rules = self.policies.rules(name)
        congested = any(tally.slow or any(REACTIONS[seen.fault].counts for seen in tally.faults) for tally in tallies)
        running = await self._running(name) if congested else 0
        dice = self.dice()

        def change(upstream: Upstream, now: datetime) -> Upstream:
            present = Present(now=now, dice=dice, running=running)
            for tally in tallies:
                upstream = observe(upstream, tally, rules, present)
            return tick(upstream, rules, present, probing)

        await self.change(name, change)

    async def change(self, name: str, change: Change) -> View:
        """Apply `change` to what is stored, whatever else happens to it meanwhile.

        After EngineUnavailable it may have been applied or not; if not, it will be, before the next change.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            change = await self._pending(name, change)
            for _ in range(MOST_TRIES):
                view = self.board.view(name)
                now = self.clock.now()
                changed = fenced(change(view.upstream, now), self.policies.rules(name), now)
                if changed == view.upstream:
                    return view
                swapped = await self._swap(name, self._swap_of(name, replace(view, upstream=changed), now), change)
                if swapped.won:
                    self._tell(name, view.upstream, changed)
                    return self.board.view(name)
            raise EngineUnavailable(f"{name} changes too fast to be changed")

    async def _pending(self, name: str, change: Change) -> Change:
        """`change`, after the one whose outcome was unknown, unless that turns out to be in the store."""
        if name not in self._unknown:
            return change
        swap, earlier = self._unknown[name]
        before = self.board.view(name).upstream
        if (await self._swap(name, swap, earlier)).won:
            self._tell(name, before, self.board.view(name).upstream)
            return change
        return lambda upstream, now: change(earlier(upstream, now), now)

    def _swap_of(self, name: str, view: View, now: datetime) -> Swap:
        """What makes `view` of its version's successor, and the gate it implies."""
        kind, _, key = name.partition(":")
        admits = gate(view.upstream, self.policies.rules(name), name, now)
        value = encode(view.upstream)
        return Swap(kind=kind, key=key, value=value, expected=view.version, nonce=self.nonce(), gates=(admits,))

    async def _swap(self, name: str, swap: Swap, change: Change) -> Swapped:
        self._unknown[name] = swap, change
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                swapped = await self.engine.swap(swap)
        except TimeoutError as exc:
            raise EngineUnavailable(f"the store did not answer within {DEADLINE.total_seconds():g} s") from exc
        del self._unknown[name]
        self.board.adopt(swapped.document)
        return swapped

    def _tell(self, name: str, before: Upstream, after: Upstream) -> None:
        """Of each transition, once in the whole fleet: by whoever's swap won."""
        known = set(before.log)
        for transition in reversed([each for each in after.log if each not in known]):
            self.emit(UpstreamChanged(gate=name, transition=transition))

    async def _running(self, name: str) -> int:
        """How many calls run now in the whole fleet, as far as lanes tell; asked for only when something failed."""
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                stats = await self.engine.stats()
        except (TimeoutError, EngineUnavailable):
            return 0
        return sum(lane.running for lane in stats.lanes if name in lane.lane.gates)
