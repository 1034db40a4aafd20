"""Bugs in `settle`: what a settlement makes of a job."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from tests.conformance.mutants.broken import breaks
from tidegate.core.job import Body, Bury, Cancel, Defer, Ending, JobId, Retry, Status
from tidegate.core.verbs import Settled
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.state import Record


@breaks("settle.succeed")
class KeepsTheErrorOfAnEarlierRun(MemoryEngine):
    """A job that succeeded still shows why it failed before."""

    def _apply(self, record: Record, ending: Ending) -> None:
        error = record.job.error
        super()._apply(record, ending)
        record.job = replace(record.job, error=record.job.error or error)


@breaks("settle.succeed", "bodies.exact")
class ReadsResultsAsText(MemoryEngine):
    """Bytes are decoded and encoded again."""

    async def bodies(self, job_ids: Sequence[JobId]) -> list[Body | None]:
        """See `MemoryEngine.bodies`."""
        found = await super().bodies(job_ids)
        return [body and replace(body, result=_as_text(body.result)) for body in found]


def _as_text(data: bytes | None) -> bytes | None:
    return None if data is None else data.decode("utf-8", "replace").encode()


@breaks("settle.succeed")
class TakesAnEmptyResultForNone(MemoryEngine):
    """No bytes are no result."""

    def _apply(self, record: Record, ending: Ending) -> None:
        super()._apply(record, ending)
        record.result = record.result or None


@breaks("settle.succeed", "settle.bury", "settle.cancel")
class KeepsEveryOutcomeAsLong(MemoryEngine):
    """One retention for all outcomes."""

    def _apply(self, record: Record, ending: Ending) -> None:
        super()._apply(record, ending)
        if record.job.finished_at is not None:
            record.job = replace(record.job, prune_at=record.job.finished_at + timedelta(hours=24))


@breaks("settle.retry")
class RetriesAtOnce(MemoryEngine):
    """The delay of a retry is lost."""

    def _apply(self, record: Record, ending: Ending) -> None:
        if isinstance(ending.settlement, Retry):
            ending = replace(ending, settlement=replace(ending.settlement, delay=timedelta(0)))
        super()._apply(record, ending)


@breaks("settle.retry")
class ForgetsWhyItRetries(MemoryEngine):
    """A job that waits for its next attempt shows no error."""

    def _apply(self, record: Record, ending: Ending) -> None:
        super()._apply(record, ending)
        if isinstance(ending.settlement, Retry):
            record.job = replace(record.job, error=None)


@breaks("settle.defer", "settle.retry")
class ForgetsWhenTheJobWasFirstDue(MemoryEngine):
    """A job that comes back is due for the first time."""

    def _apply(self, record: Record, ending: Ending) -> None:
        super()._apply(record, ending)
        if record.job.status is Status.QUEUED:
            record.job = replace(record.job, due_at=record.job.run_at)


@breaks("settle.defer")
class HoldsDeferralsAgainstTheJob(MemoryEngine):
    """A deferral uses up an attempt."""

    def _apply(self, record: Record, ending: Ending) -> None:
        counters = record.job.counters
        super()._apply(record, ending)
        record.job = replace(record.job, counters=counters)


@breaks("settle.defer")
class LeavesDeferredJobsWhereTheyWere(MemoryEngine):
    """The lane of a deferral is not looked at."""

    def _apply(self, record: Record, ending: Ending) -> None:
        if isinstance(ending.settlement, Defer):
            ending = replace(ending, settlement=replace(ending.settlement, lane=None))
        super()._apply(record, ending)


@breaks("settle.defer")
class ClearsTheErrorOfADeferredJob(MemoryEngine):
    """A deferral without a failure takes the last error away."""

    def _apply(self, record: Record, ending: Ending) -> None:
        super()._apply(record, ending)
        if isinstance(ending.settlement, Defer):
            record.job = replace(record.job, error=ending.settlement.failure)


@breaks("settle.bury")
class ForgetsTheRefundOfABurial(MemoryEngine):
    """The last crash is not counted."""

    def _apply(self, record: Record, ending: Ending) -> None:
        if isinstance(ending.settlement, Bury):
            ending = replace(ending, settlement=replace(ending.settlement, refund=None))
        super()._apply(record, ending)


@breaks("settle.cancel")
class CancelsOnlyOnRequest(MemoryEngine):
    """A run may not end as cancelled unless somebody asked for it."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        asked = record is not None and record.job.cancel_requested_at is not None
        return super()._settle(ending) if asked or not isinstance(ending.settlement, Cancel) else Settled.LOST
