"""Decide what becomes of a job whose run has ended, and settle it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from tidegate.core.failure import PROCESSING_ERROR, Failure
from tidegate.core.job import Bury, Ending, Lease, Outcome, Settlement
from tidegate.core.lifecycle import decide
from tidegate.core.verbs import Settled
from tidegate.telemetry.events import ENDED, EndingLost, finished, ref
from tidegate.worker.active import Active
from tidegate.worker.keeping import keep_error
from tidegate.worker.runtime import Runtime
from tidegate.worker.settling import Settler

_log = logging.getLogger(__name__)

UNSTORABLE = Failure(code=PROCESSING_ERROR, message="the store could not take the run's ending", transient=False)


@dataclass(frozen=True, slots=True)
class Ender:
    """Ends runs: a worker's own, and those that a reaper took over."""

    to: Runtime
    settler: Settler
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def end(self, active: Active, outcome: Outcome, then: Callable[[Active], None]) -> None:
        """Settle without waiting, as `settle` does; `then` is called with the run when that is done.

        The common ending takes no task of its own: it joins the endings of its moment.
        """
        lease = active.lease
        settlement = self._decided(lease, outcome)
        if isinstance(settlement, Bury):
            self.spawn(self._end(active, outcome, then))
            return
        told = partial(self._told, active, outcome, settlement, then)
        self.settler.put(self._ending(lease, settlement), told)

    def _told(
        self,
        active: Active,
        outcome: Outcome,
        settlement: Settlement,
        then: Callable[[Active], None],
        answer: Settled | Exception,
    ) -> None:
        if answer is Settled.APPLIED:
            self._tell(active.lease, settlement, active.took)
            then(active)
        else:  # asked again, the store says the same
            self.spawn(self._end(active, outcome, then))

    async def _end(self, active: Active, outcome: Outcome, then: Callable[[Active], None]) -> None:
        try:
            await self.settle(active.lease, outcome, active.took)
        finally:
            then(active)

    async def settle(self, lease: Lease, outcome: Outcome, took: float | None) -> None:
        """Settle until the store has taken an ending or says that the lease is gone.

        A cancel that was committed meanwhile is decided anew. `took` is how many seconds the run took. An ending
        that the store can't take buries the job: left alone, it would run again for ever.
        """
        settlement = self._decided(lease, outcome)
        try:
            answer = await self._settle(lease, settlement)
        except Exception as exc:
            _log.error("the store refused the ending of job %s", lease.job.id, exc_info=exc)
            settlement = Bury(failure=replace(UNSTORABLE, error_type=type(exc).__name__))
            answer = await self._settle(lease, settlement)
        match answer:
            case Settled.APPLIED:
                self._tell(lease, settlement, took)
            case Settled.LOST:
                self.to.emit(EndingLost(job=ref(lease.job)))
            case Settled.CANCELLING:
                cancelled = replace(lease.job, cancel_requested_at=self.to.clock.now())
                await self.settle(replace(lease, job=cancelled), outcome, took)

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Do `work` in a task of its own, until `close`."""
        task = asyncio.get_running_loop().create_task(_said(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Stop what is under way: what the store has not taken by now, it will reclaim."""
        self.settler.close()
        for task in self._tasks:
            task.cancel()

    def _decided(self, lease: Lease, outcome: Outcome) -> Settlement:
        return decide(lease.job, outcome, now=self.to.clock.now(), dice=self.to.dice())

    async def _settle(self, lease: Lease, settlement: Settlement) -> Settled:
        if isinstance(settlement, Bury):
            await keep_error(lease, settlement.failure, self.to)
        return await self.settler.settle(self._ending(lease, settlement))

    def _ending(self, lease: Lease, settlement: Settlement) -> Ending:
        then = self.to.follow(lease.job, settlement)
        return Ending(job_id=lease.job.id, token=lease.token, settlement=settlement, then=then)

    def _tell(self, lease: Lease, settlement: Settlement, took: float | None) -> None:
        if self.to.emit.hears(ENDED[type(settlement)]):
            latency = None if took is None else timedelta(seconds=took)
            self.to.emit(finished(lease.job, settlement, now=self.to.clock.now(), latency=latency))


async def _said(work: Coroutine[object, object, None]) -> None:
    """Nobody awaits it: what it raises is said, not swallowed."""
    try:
        await work
    except Exception as exc:
        _log.error("the end of a run broke", exc_info=exc)
