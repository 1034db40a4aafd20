"""Decide what becomes of a job whose run has ended, and settle it."""

from dataclasses import dataclass, replace
from datetime import timedelta

from tidegate.core.job import Bury, Ending, Lease, Outcome
from tidegate.core.lifecycle import decide
from tidegate.core.verbs import Settled
from tidegate.telemetry.events import EndingLost, finished, ref
from tidegate.worker.keeping import keep_error
from tidegate.worker.runtime import Runtime
from tidegate.worker.settling import Settler


@dataclass(frozen=True, slots=True)
class Ender:
    """Ends runs: a worker's own, and those that a reaper took over."""

    to: Runtime
    settler: Settler

    async def settle(self, lease: Lease, outcome: Outcome, latency: timedelta | None) -> None:
        """Settle until the store has taken an ending or says that the lease is gone.

        A cancel that was committed meanwhile is decided anew. `latency` is how long the run took.
        """
        to, job = self.to, lease.job
        now = to.clock.now()
        settlement = decide(job, outcome, now=now, dice=to.dice())
        if isinstance(settlement, Bury):
            await keep_error(lease, settlement.failure, to)
        match await self.settler.settle(Ending(job_id=job.id, token=lease.token, settlement=settlement)):
            case Settled.APPLIED:
                to.emit(finished(job, settlement, now=now, latency=latency))
            case Settled.LOST:
                to.emit(EndingLost(job=ref(job)))
            case Settled.CANCELLING:
                cancelled = replace(lease, job=replace(job, cancel_requested_at=now))
                await self.settle(cancelled, outcome, latency)
