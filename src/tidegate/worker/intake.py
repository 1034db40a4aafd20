"""The claim loop: ask for as many jobs as there are free slots, and rest as long as the store says."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tidegate.core.fairness import Turn, charge, turns
from tidegate.core.job import Lease, Owner
from tidegate.core.retry import delay
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.errors import EngineUnavailable
from tidegate.upstreams import GATES
from tidegate.worker.active import Actives, Stop
from tidegate.worker.outage import STORE_BACKOFF, Outage
from tidegate.worker.runtime import Runtime

OVERLAP_FROM: Final = 32
"""Slots from which one claim takes half of them at most.

Claims for all slots fall into step with handlers that take no time, and then store and worker wait for each other.
"""


@dataclass(frozen=True, slots=True)
class Calls:
    """`start` begins a run; `reap` is called when the store says that there is something to reclaim."""

    start: Callable[[Lease], None]
    reap: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Question:
    """A claim, the nonce that makes it repeatable, and when it was first asked."""

    request: ClaimRequest
    nonce: str
    asked_at: float


class Intake:
    """Claims for one worker until it is told to stop."""

    def __init__(self, owner: Owner, actives: Actives, to: Runtime, outage: Outage, calls: Calls) -> None:
        self._owner = owner
        self._actives = actives
        self._to = to
        self._outage = outage
        self._calls = calls
        self._served: Mapping[str, float] = {}
        self._asking: Question | None = None
        self._freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._most = to.settings.slots if to.settings.slots < OVERLAP_FROM else -(-to.settings.slots // 2)
        self._topics = [*(f"queue:{queue}" for queue in to.settings.queues), GATES]

    def stop(self) -> None:
        """Claim no more. A claim under way is finished: its jobs must not be left without a worker."""
        self._stopping.set()
        self._freed.set()

    def freed(self) -> None:
        """A slot is free again."""
        self._freed.set()

    async def work(self) -> None:
        """Claim, start, rest, until stopped. An unreachable store is asked again, ever more slowly."""
        failures = 0
        while not self._stopping.is_set():
            try:
                claimed = await self._claim()
            except EngineUnavailable as exc:
                failures += 1
                self._outage.met("claim", exc)
                await _within(delay(STORE_BACKOFF, failures, dice=self._to.dice()), self._stopping.wait())
                continue
            failures = 0
            self._outage.answered("claim")
            self._take(claimed)
            await self._rest(claimed)

    async def _claim(self) -> Claimed:
        """The answer to one question. Where it is not known what became of the last one, that is asked again."""
        self._freed.clear()
        await self._to.upstreams.keeper.catch_up()
        asking = self._asking = self._question()
        claimed = await self._to.engine.claim(asking.request, asking.nonce)
        self._asking = None
        self._to.upstreams.keeper.saw(claimed.version, claimed.at)
        taken = Counter(lease.job.lane.queue for lease in claimed.leases)
        self._served = charge(self._to.settings.queues, self._served, asking.request.turns, taken)
        return claimed

    def _question(self) -> Question:
        """The one that was not answered, while the store knows its nonce; else a fresh one."""
        now, known_for = self._to.clock.monotonic(), self._to.settings.lease_for.total_seconds()
        if self._asking is not None and now - self._asking.asked_at < known_for:
            return self._asking
        free = min(self._free(), self._most)
        asked = turns(self._to.settings.queues, self._served, free)
        return Question(self._request(asked, free), self._to.nonce(), now)

    def _free(self) -> int:
        """Slots without a handler, and no more runs than two a slot, so that unsettled endings can't pile up."""
        slots = self._to.settings.slots
        return max(min(slots - self._actives.busy, 2 * slots - len(self._actives)), 0)

    def _request(self, asked: tuple[Turn, ...], free: int) -> ClaimRequest:
        settings = self._to.settings
        return ClaimRequest(
            owner=self._owner,
            turns=asked,
            types=self._to.registry.names,
            limit=free,
            lease_for=settings.lease_for,
            share=max(int(settings.slots * settings.upstream_share), 1),
            held=self._actives.upstreams(),
        )

    def _take(self, claimed: Claimed) -> None:
        for lease in claimed.leases:
            self._calls.start(lease)
        if claimed.cancelling:
            wanted = set(claimed.cancelling)
            for active in self._actives:
                if active.lease.job.id in wanted:
                    active.stop(Stop.CANCELLED)
        if claimed.overdue:
            self._calls.reap()

    async def _rest(self, claimed: Claimed) -> None:
        """Until there may be more to take: a hint, a freed slot where there is more, a due time, or the next poll."""
        full = self._free() == 0
        if claimed.more and not full:
            await asyncio.sleep(0)
            return
        pause = self._to.settings.poll * (1.1 + 0.4 * self._to.dice())  # spread, so that a fleet does not ask as one
        if claimed.wake_at is not None and claimed.wake_at > claimed.at and not full:
            pause = min(pause, max(claimed.wake_at - claimed.at, timedelta(milliseconds=1)))
        if full or claimed.more:
            await _within(pause, self._freed.wait())
            await asyncio.sleep(0)  # lets runs that end in this turn of the loop free their slots too
        else:
            await _within(pause, self._hint(pause))

    async def _hint(self, pause: timedelta) -> None:
        """A hint of the store's; or a freed slot, where a gate's limit may be all that holds jobs back."""
        hint = asyncio.ensure_future(self._to.engine.wait(self._topics, pause))
        woken = self._freed if self._to.upstreams.keeper.limiting else self._stopping
        other = asyncio.ensure_future(woken.wait())
        try:
            await asyncio.wait((hint, other), return_when=asyncio.FIRST_COMPLETED)
            if hint.done() and hint.exception() is not None:  # no hints: polling is the truth
                await other
        finally:
            for waiting in (hint, other):
                waiting.cancel()
            await asyncio.gather(hint, other, return_exceptions=True)


async def _within(pause: timedelta, waiting: Coroutine[object, object, object]) -> None:
    try:
        async with asyncio.timeout(pause.total_seconds()):
            await waiting
    except TimeoutError:
        pass
