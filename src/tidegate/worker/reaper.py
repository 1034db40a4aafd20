"""Take over what nobody looks after any more: decide, and settle. It needs no handler and reads no payload.

A worker announces itself before it renews, both for as long as a lease lasts, so when a lease runs out while
its owner still counts as at work, the owner lives and only this lease was not kept: that is an interruption, not a
crash. So it is when the owner's process can be seen to live on this host: a handler that holds the GIL stops
both.
"""

import asyncio
import logging
from collections.abc import Collection

from tidegate.core.job import Expired, JobId, Lost, Outcome, Owner, TimedOut
from tidegate.core.lifecycle import TIMEOUT_GRACE
from tidegate.core.verbs import Reason, Reclaimed, ReclaimRequest
from tidegate.errors import EngineUnavailable
from tidegate.telemetry import events
from tidegate.worker.ending import Ender
from tidegate.worker.identity import dead, identity, lives
from tidegate.worker.outage import Outage
from tidegate.worker.runtime import Runtime
from tidegate.worker.settling import Settler

BATCH = 100

_log = logging.getLogger(__name__)


async def settle_overdue(job_id: JobId, to: Runtime) -> bool:
    """Settle one job whose run is overdue or whose lease ran out, if it is; whether anything was done.

    For whoever reads such a job: no worker need be alive. Raises EngineUnavailable.
    """
    outage = Outage(to.emit, to.clock)
    reaper = Reaper(identity(to.nonce()), Ender(to, Settler(to.engine, outage)), outage)
    return await reaper.sweep(only=(job_id,)) > 0


class Reaper:
    """Reclaims for one worker, when asked and from time to time."""

    def __init__(self, owner: Owner, ender: Ender, outage: Outage) -> None:
        self._owner = owner
        self._ender = ender
        self._outage = outage
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """There is something to reclaim."""
        self._asked.set()

    async def work(self) -> None:
        """Take over what dead processes of this host left, then whatever runs out; for ever."""
        await self._try(await self._dead())
        while True:
            try:
                async with asyncio.timeout(self._ender.to.settings.lease_for.total_seconds()):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            await self._try(())

    async def _try(self, dead_owners: tuple[Owner, ...]) -> None:
        two_beats = 2 * self._ender.to.settings.renew_every
        await self._outage.recovered(two_beats)
        try:
            while await self.sweep(dead_owners=dead_owners) == BATCH:
                pass
        except EngineUnavailable:
            # Owners could not renew either: give them two periods before anything is taken from them.
            await asyncio.sleep(two_beats.total_seconds())

    async def sweep(self, *, dead_owners: tuple[Owner, ...] = (), only: tuple[JobId, ...] | None = None) -> int:
        """Reclaim one batch and settle it; how many there were. Raises EngineUnavailable.

        A lease that this process works on is left alone: its run has a deadline of its own, by a clock that
        does not jump.
        """
        to = self._ender.to
        request = ReclaimRequest(
            owner=self._owner,
            limit=BATCH,
            lease_for=to.settings.lease_for,
            overdue_by=TIMEOUT_GRACE,
            dead=dead_owners,
            keep=to.held.tokens,
            only=only,
        )
        taken = await to.engine.reclaim(request, to.nonce())
        if not taken:
            return 0
        alive = {each.owner for each in await to.engine.workers() if each.lives(taken[0].at)} - set(dead_owners)
        ends = await asyncio.gather(*(self._end(item, alive) for item in taken), return_exceptions=True)
        for item, error in zip(taken, ends, strict=True):
            if isinstance(error, Exception):  # one bad row must not keep the others from being settled
                _log.error("job %s could not be reclaimed", item.lease.job.id, exc_info=error)
        return len(taken)

    async def _end(self, item: Reclaimed, alive: Collection[Owner]) -> None:
        to, job = self._ender.to, item.lease.job
        to.emit(events.Reclaimed(job=events.ref(job), former=item.former))
        if item.reason is Reason.WAITED:
            to.emit(events.Expired(job=events.ref(job)))
        began = job.started_at if item.reason is not Reason.WAITED else None
        took = None if began is None else (item.at - began).total_seconds()
        await self._ender.settle(item.lease, outcome(item, alive), took)

    async def _dead(self) -> tuple[Owner, ...]:
        try:
            return tuple(owner for owner in await self._ender.to.engine.holders() if dead(owner))
        except EngineUnavailable:
            return ()


def outcome(item: Reclaimed, alive: Collection[Owner]) -> Outcome:
    """What a reclaimed job's run came to."""
    match item.reason:
        case Reason.WAITED:
            return Expired()
        case Reason.OVERDUE:
            return TimedOut()
        case Reason.EXPIRED:
            return Lost(owner_alive=item.former in alive or lives(item.former))
