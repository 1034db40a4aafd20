"""Bugs in `settle` and `wait`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from tests.conformance.mutants.broken import breaks
from tidegate.core.job import (
    Cancel,
    Ending,
    NewJob,
    Status,
    Succeed,
    Token,
)
from tidegate.core.verbs import Receipt, Settled
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.state import Record


@breaks("settle.fenced", "reclaim.fences")
class SettlesByIdAlone(MemoryEngine):
    """Whoever knows a running job may end it."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        held = record.held if record is not None else None
        return super()._settle(replace(ending, token=held.token) if held is not None else ending)


@breaks("settle.fenced")
class SettlesWhatIsNotRunning(MemoryEngine):
    """A job that no lease is held for may be ended by anybody."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        if record is not None and record.held is None and record.settled_by != ending.token:
            self._apply(record, ending)
            return Settled.APPLIED
        return super()._settle(ending)


@breaks("settle.late")
class RefusesLateEndings(MemoryEngine):
    """A run whose lease ran out is lost, though nobody took it."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        late = record is not None and record.held is not None and record.held.expires_at <= self._clock.now()
        return Settled.LOST if late else super()._settle(ending)


@breaks("settle.repeat")
class KnowsNoRepeat(MemoryEngine):
    """An ending whose answer was lost is lost itself."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        if record is not None:
            record.settled_by = None
        return super()._settle(ending)


@breaks("settle.repeat")
class KnowsARepeatOnlyOfAFinishedJob(MemoryEngine):
    """While a newer run is under way, the repeat of an older ending is lost."""

    def _settle(self, ending: Ending) -> Settled:
        answer = super()._settle(ending)
        record = self._state.records.get(ending.job_id)
        return Settled.LOST if record is not None and record.held is not None and answer is Settled.APPLIED else answer


@breaks("settle.repeat", "settle.fenced")
class TakesEveryOldTokenForARepeat(MemoryEngine):
    """Any token that ever ended a run is applied again."""

    def _settle(self, ending: Ending) -> Settled:
        answer = super()._settle(ending)
        known = getattr(self, "_known", set[Token]())
        if answer is Settled.APPLIED:
            known.add(ending.token)
        self._known: set[Token] = known
        return Settled.APPLIED if answer is Settled.LOST and ending.token in known else answer


@breaks("settle.repeat")
class AppliesARepeatAgain(MemoryEngine):
    """The repeat of an ending ends the job once more."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        if record is not None and record.settled_by == ending.token and record.held is None:
            self._apply(record, ending)
        return super()._settle(ending)


@breaks("settle.cancelling")
class LetsAnyEndingWinOverACancel(MemoryEngine):
    """A run that was to be cancelled ends as it likes."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        if record is None or record.held is None or record.held.token != ending.token:
            return super()._settle(ending)
        record.job = replace(record.job, cancel_requested_at=None)
        return super()._settle(ending)


@breaks("settle.cancelling")
class LetsSuccessWinOverACancel(MemoryEngine):
    """A success that was just in time is taken."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        if record is not None and isinstance(ending.settlement, Succeed) and record.held is not None:
            record.job = replace(record.job, cancel_requested_at=None)
        return super()._settle(ending)


@breaks("settle.repeat")
class AnswersTheRepeatByTheCancel(MemoryEngine):
    """Whether a cancel was requested is asked before whose token it is."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        asked = record is not None and record.job.cancel_requested_at is not None
        if asked and not isinstance(ending.settlement, Cancel):
            return Settled.CANCELLING
        return super()._settle(ending)


@breaks("settle.then")
class SubmitsFollowUpsOfLostEndings(MemoryEngine):
    """Follow-up jobs exist, whatever became of their ending."""

    def _settle(self, ending: Ending) -> Settled:
        for job in ending.then:
            self._state.submit(job, self._clock.now())
        return super()._settle(replace(ending, then=()))


@breaks("settle.then")
class SubmitsFollowUpsWithEveryRepeat(MemoryEngine):
    """Follow-up jobs are submitted whenever the answer is APPLIED."""

    def _settle(self, ending: Ending) -> Settled:
        answer = super()._settle(replace(ending, then=()))
        if answer is Settled.APPLIED:
            for job in ending.then:
                self._state.submit(job, self._clock.now())
        return answer


@breaks("settle.then")
class ForgetsFollowUpsOfFailures(MemoryEngine):
    """Only a success has follow-up jobs."""

    def _settle(self, ending: Ending) -> Settled:
        return super()._settle(ending if isinstance(ending.settlement, Succeed) else replace(ending, then=()))


@breaks("settle.then")
class FindsABadFollowUpTooLate(MemoryEngine):
    """Endings are applied one by one, and a refusal leaves those before it."""

    async def settle(self, endings: Sequence[Ending]) -> list[Settled]:
        """See `MemoryEngine.settle`."""
        answers: list[Settled] = []
        for ending in endings:
            answers += await super().settle([ending])
        return answers


@breaks("settle.release")
class FreesAPlaceWithEveryRepeat(MemoryEngine):
    """A gate's count goes down with every answer APPLIED."""

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        repeat = record is not None and record.settled_by == ending.token
        if repeat:
            for other in self._state.with_status(Status.RUNNING):
                if other.held is not None and other.held.limited:
                    other.held.limited = frozenset()
                    break
        return super()._settle(ending)


@breaks("settle.release")
class KeepsThePlaceOfARetry(MemoryEngine):
    """A gate's place is freed when the job is finished, not when its run is."""

    def _apply(self, record: Record, ending: Ending) -> None:
        held = record.held
        super()._apply(record, ending)
        if record.job.status is Status.QUEUED and held is not None and held.limited:
            self._keep(held.limited)

    def _keep(self, names: frozenset[str]) -> None:
        for name in names:
            row = self._state.gates[name]
            row.gate = replace(row.gate, limit=(row.gate.limit or 0) - 1)


# wait ------------------------------------------------------------------------------------------------------


@breaks("wait.wakes")
class WakesNobody(MemoryEngine):
    """Polling is all there is."""

    async def wait(self, topics: Sequence[str], timeout: timedelta) -> None:
        """See `MemoryEngine.wait`."""
        await asyncio.sleep(timeout.total_seconds())


@breaks("wait.bounded")
class WaitsForever(MemoryEngine):
    """Only a hint ends a wait."""

    async def wait(self, topics: Sequence[str], timeout: timedelta) -> None:
        """See `MemoryEngine.wait`."""
        await super().wait(topics, timedelta(days=1))


@breaks("wait.wakes")
class WakesBeforeTheWork(MemoryEngine):
    """The bell rings in the thread that submits, and not for waiters on another loop."""

    async def submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """See `MemoryEngine.submit`."""
        with self._lock:
            return [self._state.submit(job, self._clock.now()) for job in jobs]
