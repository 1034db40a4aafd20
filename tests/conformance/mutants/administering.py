"""Bugs in `cancel`, `revive`, `dismiss` and `prune`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from tests.conformance.mutants.broken import breaks
from tidegate.core import steps
from tidegate.core.job import Counters, Job, JobId, Status
from tidegate.core.query import Event
from tidegate.core.verbs import Cancellation, Dismissal, Revival
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.documents import Papers
from tidegate.engines.memory.state import Record


@breaks("cancel.finished")
class CancelsWhatIsFinished(MemoryEngine):
    """A cancel wins over whatever the job came to."""

    def _cancel(self, record: Record | None, nonce: str) -> Cancellation:
        if record is not None and record.job.status.finished:
            self._state.end(record, steps.ended(record.job, Status.CANCELLED, self._clock.now()), Event.CANCELLED)
            return Cancellation.CANCELLED
        return super()._cancel(record, nonce)


@breaks("cancel.running")
class CancelsARunningJobAtOnce(MemoryEngine):
    """A running job ends as cancelled while its worker goes on."""

    def _cancel(self, record: Record | None, nonce: str) -> Cancellation:
        if record is not None and record.job.status is Status.RUNNING:
            self._state.end(record, steps.ended(record.job, Status.CANCELLED, self._clock.now()), Event.CANCELLED)
            return Cancellation.CANCELLED
        return super()._cancel(record, nonce)


@breaks("cancel.queued")
class AsksAQueuedJobToCancel(MemoryEngine):
    """A queued job is marked, and ends when somebody claims it."""

    def _cancel(self, record: Record | None, nonce: str) -> Cancellation:
        if record is not None and record.job.status is Status.QUEUED:
            record.job = replace(record.job, cancel_requested_at=self._clock.now())
            return Cancellation.REQUESTED
        return super()._cancel(record, nonce)


@breaks("cancel.nonce")
class SaysFinishedToARepeatedCancel(MemoryEngine):
    """Who repeats a cancel hears that he came too late."""

    def _cancel(self, record: Record | None, nonce: str) -> Cancellation:
        if record is not None:
            record.cancelled_by = ""
        return super()._cancel(record, nonce)


@breaks("revive.illegal")
class RevivesWhatSucceeded(MemoryEngine):
    """Whatever is finished runs again."""

    def _revive(self, record: Record | None, nonce: str) -> Revival:
        if record is not None and record.job.status is Status.SUCCEEDED:
            record.job = replace(record.job, status=Status.FAILED)
        return super()._revive(record, nonce)


@breaks("revive.illegal")
class RevivesWhatRuns(MemoryEngine):
    """A job that is running is queued a second time."""

    def _revive(self, record: Record | None, nonce: str) -> Revival:
        if record is not None and record.job.status is Status.RUNNING and record.revived_by != nonce:
            record.job, record.held = replace(record.job, status=Status.FAILED), None
        return super()._revive(record, nonce)


@breaks("revive.fresh")
class RevivesWithTheOldAttempts(MemoryEngine):
    """A revived job has used up its attempts already."""

    def _revive(self, record: Record | None, nonce: str) -> Revival:
        counters = record.job.counters if record is not None else Counters()
        answer = super()._revive(record, nonce)
        if record is not None:
            record.job = replace(record.job, counters=counters)
        return answer


@breaks("revive.fresh")
class RevivesWithTheOldExpiry(MemoryEngine):
    """A revived job expires when it would have."""

    def _revive(self, record: Record | None, nonce: str) -> Revival:
        answer = super()._revive(record, nonce)
        if record is not None:
            record.job = replace(record.job, expires_at=record.job.spec.expires_at)
        return answer


@breaks("revive.fresh")
class RevivesWithTheOldMarks(MemoryEngine):
    """A revived job is still dismissed, and asked to cancel."""

    def _revive(self, record: Record | None, nonce: str) -> Revival:
        before: Job | None = record.job if record is not None else None
        answer = super()._revive(record, nonce)
        if record is not None and before is not None and answer is Revival.REVIVED:
            dismissed_at, asked_at = before.dismissed_at, before.cancel_requested_at
            record.job = replace(record.job, dismissed_at=dismissed_at, cancel_requested_at=asked_at)
        return answer


@breaks("revive.nonce")
class RevivesAgainWithTheSameNonce(MemoryEngine):
    """A repeated revival is a new one."""

    def _revive(self, record: Record | None, nonce: str) -> Revival:
        if record is not None:
            record.revived_by = ""
        return super()._revive(record, nonce)


@breaks("dismiss.dead")
class EndsWhatIsDismissed(MemoryEngine):
    """A dismissed job is cancelled."""

    def _dismiss(self, record: Record | None) -> Dismissal:
        answer = super()._dismiss(record)
        if record is not None and answer is Dismissal.DISMISSED:
            record.job = replace(record.job, status=Status.CANCELLED)
        return answer


@breaks("dismiss.illegal")
class DismissesAnything(MemoryEngine):
    """Every job can be dismissed."""

    def _dismiss(self, record: Record | None) -> Dismissal:
        answer = super()._dismiss(record)
        return Dismissal.DISMISSED if answer is Dismissal.ILLEGAL else answer


@breaks("prune.only-finished")
class KeepsTheNewestHundred(MemoryEngine):
    """Finished jobs beyond a number are trimmed."""

    async def prune(self, limit: int) -> list[JobId]:
        """See `MemoryEngine.prune`."""
        finished = [record for record in self._state.records.values() if record.job.status.finished]
        for record in finished[:-100]:
            record.job = replace(record.job, prune_at=self._clock.now())
        return await super().prune(limit)


@breaks("prune.only-finished")
class PrunesByAge(MemoryEngine):
    """Whatever is older than its retention goes, also if it never ran."""

    async def prune(self, limit: int) -> list[JobId]:
        """See `MemoryEngine.prune`."""
        for record in self._state.with_status(Status.QUEUED):
            record.job = replace(record.job, prune_at=record.job.created_at + record.job.spec.retention.succeeded)
        return await super().prune(limit)


@breaks("prune.due")
class PrunesInTheOrderOfAcceptance(MemoryEngine):
    """The oldest job goes first, not the one whose retention was over first."""

    async def prune(self, limit: int) -> list[JobId]:
        """See `MemoryEngine.prune`."""
        now = self._clock.now()
        over = [r.job.id for r in self._state.records.values() if r.job.prune_at and r.job.prune_at <= now]
        self._papers.forget(over[:limit], now)
        return over[:limit]


@breaks("prune.due")
class KnowsNoLimitToPrune(MemoryEngine):
    """All that is due goes at once."""

    async def prune(self, limit: int) -> list[JobId]:
        """See `MemoryEngine.prune`."""
        return await super().prune(1_000_000)


@breaks("prune.keys")
class ForgetsKeysOfJobsThatLive(Papers):
    """A key goes a day after the end, whether or not its job is still there."""

    def forget(self, pruned: Sequence[JobId], now: datetime) -> None:
        """See `Papers.forget`."""
        super().forget(pruned, now)
        rows = self._state.keys.items()
        self._state.keys = {name: row for name, row in rows if row.forget_at is None or row.forget_at > now}


@breaks("known.keys")
class TakesTheKeyItIsAskedFor(MemoryEngine):
    """A look at a key is answered by the job that came last."""

    async def known(self, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
        """See `MemoryEngine.known`."""
        found = await super().known(keys)
        jobs = [record.job for record in self._state.records.values()]
        last = {job.spec.user_id: (job.id, job.spec.fingerprint) for job in jobs}
        return [answer and last.get(user, answer) for answer, (user, _) in zip(found, keys, strict=True)]


@breaks("known.keys")
class KnowsOnlyKeysOfLivingJobs(MemoryEngine):
    """A key is looked up in the jobs."""

    async def known(self, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
        """See `MemoryEngine.known`."""
        found = await super().known(keys)
        return [answer if answer and answer[0] in self._state.records else None for answer in found]
