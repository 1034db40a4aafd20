"""Bugs in `claim`: what is told besides leases."""

from dataclasses import replace
from datetime import datetime, timedelta

from tests.conformance.mutants.broken import breaks
from tidegate.core.job import JobId, Owner, Status
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.claiming import Claim

TICK = timedelta(microseconds=1)


@breaks("claim.news")
class TellsOfCancelsToEverybody(Claim):
    """Whoever asks hears of all cancelled runs."""

    def _cancelling(self, owner: Owner) -> tuple[JobId, ...]:
        running = self._state.with_status(Status.RUNNING)
        return tuple(record.job.id for record in running if record.job.cancel_requested_at)


@breaks("claim.news")
class TellsAFullWorkerNothing(Claim):
    """Who wants no jobs gets no news."""

    def answer(self) -> Claimed:
        """See `Claim.answer`."""
        return super().answer() if self._request.limit else Claimed(at=self._now)


@breaks("claim.news")
class CountsALeaseAsOverdueAMomentLate(Claim):
    """A lease is over after its expiry, not at it."""

    def _overdue(self) -> int:
        self._now -= TICK
        overdue = super()._overdue()
        self._now += TICK
        return overdue


@breaks("claim.wake-at")
class SendsEverybodyToSleep(Claim):
    """Nobody is told when to come back."""

    def _wake_at(self) -> datetime | None:
        return None


@breaks("claim.wake-at")
class ForgetsWhatIsAlreadyInLine(Claim):
    """Only due times wake; gates, leases and expiries do not."""

    def _wake_at(self) -> datetime | None:
        ahead = [record.job.run_at for record in self._state.with_status(Status.QUEUED) if not record.ready]
        return min(ahead, default=None)


@breaks("claim.wake-at")
class WakesALittleLate(Claim):
    """The wake-up is rounded up to whole seconds and one more."""

    def _wake_at(self) -> datetime | None:
        wake_at = super()._wake_at()
        return wake_at + timedelta(seconds=1) if wake_at else None


@breaks("claim.wake-at")
class NeverSaysMore(MemoryEngine):
    """A worker that took a full batch believes that this was all."""

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """See `MemoryEngine.claim`."""
        return replace(await super().claim(request, nonce), more=False)
