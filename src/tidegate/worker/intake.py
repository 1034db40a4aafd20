"""The claim loop: ask for as many jobs as there are free slots, and rest as long as the store says."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta

from tidegate.core.fairness import Turn, charge, turns
from tidegate.core.job import Owner
from tidegate.core.retry import delay
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.errors import EngineUnavailable
from tidegate.telemetry.events import StoreBack, StoreDown
from tidegate.worker.active import Active, Actives, Stop
from tidegate.worker.runtime import Runtime
from tidegate.worker.settling import STORE_BACKOFF


class Intake:
    """Claims for one worker until it is told to stop.

    `start` begins a run; `reap` is called when the store says that there is something to reclaim.
    """

    def __init__(
        self, owner: Owner, to: Runtime, actives: Actives, start: Callable[[Active], None], reap: Callable[[], None]
    ) -> None:
        self._owner = owner
        self._to = to
        self._actives = actives
        self._start = start
        self._reap = reap
        self._served: Mapping[str, float] = {}
        self._freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._topics = [f"queue:{queue}" for queue in to.settings.queues]

    def stop(self) -> None:
        """Claim no more. A claim under way is finished: its jobs must not be left without a worker."""
        self._stopping.set()
        self._freed.set()

    def freed(self) -> None:
        """A slot is free again."""
        self._freed.set()

    async def work(self) -> None:
        """Claim, start, rest, until stopped. An unreachable store is asked again, ever more slowly."""
        down_since: float | None = None
        failures = 0
        while not self._stopping.is_set():
            try:
                claimed = await self._claim()
            except EngineUnavailable as exc:
                failures += 1
                if down_since is None:
                    down_since = self._to.clock.monotonic()
                    self._to.emit(StoreDown(error_type=type(exc).__name__))
                await asyncio.sleep(delay(STORE_BACKOFF, failures, dice=self._to.dice()).total_seconds())
                continue
            if down_since is not None:
                self._to.emit(StoreBack(down_for=timedelta(seconds=self._to.clock.monotonic() - down_since)))
                down_since, failures = None, 0
            self._take(claimed)
            await self._rest(claimed)

    async def _claim(self) -> Claimed:
        """One question, with a fresh nonce; repeated with the same one when the answer was lost."""
        self._freed.clear()
        settings = self._to.settings
        free = self._free()
        asked = turns(settings.queues, self._served, free)
        nonce = self._to.nonce()
        request = self._request(asked, free)
        try:
            claimed = await self._to.engine.claim(request, nonce)
        except EngineUnavailable:
            claimed = await self._to.engine.claim(request, nonce)
        taken = Counter(lease.job.lane.queue for lease in claimed.leases)
        self._served = charge(settings.queues, self._served, asked, taken)
        return claimed

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
            held=self._actives.held(),
        )

    def _take(self, claimed: Claimed) -> None:
        started = self._to.clock.monotonic()
        for lease in claimed.leases:
            self._start(Active(lease, started))
        if claimed.cancelling:
            wanted = set(claimed.cancelling)
            for active in self._actives:
                if active.lease.job.id in wanted:
                    active.stop(Stop.CANCELLED)
        if claimed.overdue:
            self._reap()

    async def _rest(self, claimed: Claimed) -> None:
        """Until there may be more to take: a hint, a freed slot where there is more, a due time, or the next poll."""
        full = self._free() == 0
        if claimed.more and not full:
            await asyncio.sleep(0)
            return
        pause = self._to.settings.poll * (0.9 + 0.2 * self._to.dice())
        if claimed.wake_at is not None and not full:
            pause = min(pause, max(claimed.wake_at - claimed.at, timedelta(milliseconds=1)))
        if full or claimed.more:
            await _within(pause, self._freed.wait())
            await asyncio.sleep(0)  # lets runs that end in this turn of the loop free their slots too
        else:
            await _within(pause, self._hint(pause))

    async def _hint(self, pause: timedelta) -> None:
        hint = asyncio.ensure_future(self._to.engine.wait(self._topics, pause))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((hint, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (hint, stop):
                waiting.cancel()
            await asyncio.gather(hint, stop, return_exceptions=True)


async def _within(pause: timedelta, waiting: Coroutine[object, object, object]) -> None:
    try:
        async with asyncio.timeout(pause.total_seconds()):
            await waiting
    except TimeoutError:
        pass
