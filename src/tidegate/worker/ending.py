"""Decide what becomes of a job whose run has ended, and settle it."""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from tidegate.core.failure import PROCESSING_ERROR, Failure
from tidegate.core.job import Bury, Ending, Lease, Outcome, Settlement
from tidegate.core.lifecycle import decide
from tidegate.core.verbs import Settled
from tidegate.telemetry.events import EndingLost, finished, ref
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

    async def settle(self, lease: Lease, outcome: Outcome, latency: timedelta | None) -> None:
        """Settle until the store has taken an ending or says that the lease is gone.

        A cancel that was committed meanwhile is decided anew. `latency` is how long the run took. An ending
        that the store can't take buries the job: left alone, it would run again for ever.
        """
        settlement = decide(lease.job, outcome, now=self.to.clock.now(), dice=self.to.dice())
        try:
            answer = await self._settle(lease, settlement)
        except Exception as exc:
            _log.error("the store refused the ending of job %s", lease.job.id, exc_info=exc)
            settlement = Bury(failure=replace(UNSTORABLE, error_type=type(exc).__name__))
            answer = await self._settle(lease, settlement)
        match answer:
            case Settled.APPLIED:
                self.to.emit(finished(lease.job, settlement, now=self.to.clock.now(), latency=latency))
            case Settled.LOST:
                self.to.emit(EndingLost(job=ref(lease.job)))
            case Settled.CANCELLING:
                cancelled = replace(lease.job, cancel_requested_at=self.to.clock.now())
                await self.settle(replace(lease, job=cancelled), outcome, latency)

    async def _settle(self, lease: Lease, settlement: Settlement) -> Settled:
        if isinstance(settlement, Bury):
            await keep_error(lease, settlement.failure, self.to)
        return await self.settler.settle(Ending(job_id=lease.job.id, token=lease.token, settlement=settlement))
