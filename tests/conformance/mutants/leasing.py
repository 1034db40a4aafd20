"""Bugs in `renew` and `reclaim`."""

from dataclasses import replace
from datetime import datetime, timedelta

from tests.conformance.mutants.broken import breaks
from tidegate.core.job import Owner, Progress, Status
from tidegate.core.verbs import Beat, Reason, Reclaimed, ReclaimRequest, Renewal
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.state import Held, Record, State


@breaks("renew.lost", "renew.progress", "reclaim.fences")
class RenewsByIdAlone(MemoryEngine):
    """Whoever knows the job may renew its lease."""

    def _renew(self, beat: Beat, lease_for: timedelta) -> Renewal:
        record = self._state.records.get(beat.job_id)
        held = record.held if record is not None else None
        return super()._renew(replace(beat, token=held.token) if held is not None else beat, lease_for)


@breaks("renew.progress")
class StoresProgressOfAnybody(MemoryEngine):
    """Progress is written before the token is looked at."""

    def _renew(self, beat: Beat, lease_for: timedelta) -> Renewal:
        record = self._state.records.get(beat.job_id)
        if record is not None and beat.progress is not None:
            record.job = replace(record.job, progress=beat.progress)
        return super()._renew(beat, lease_for)


@breaks("renew.progress")
class ClearsProgress(MemoryEngine):
    """A beat without progress takes the last one away."""

    def _renew(self, beat: Beat, lease_for: timedelta) -> Renewal:
        return super()._renew(replace(beat, progress=beat.progress or Progress()), lease_for)


@breaks("renew.late")
class RefusesLateBeats(MemoryEngine):
    """A lease past its expiry is lost, though nobody took it."""

    def _renew(self, beat: Beat, lease_for: timedelta) -> Renewal:
        record = self._state.records.get(beat.job_id)
        if record is not None and record.held is not None and record.held.expires_at <= self._clock.now():
            return Renewal.LOST
        return super()._renew(beat, lease_for)


@breaks("renew.held")
class AddsToTheLease(MemoryEngine):
    """A lease lasts longer with every beat."""

    def _renew(self, beat: Beat, lease_for: timedelta) -> Renewal:
        record = self._state.records.get(beat.job_id)
        held = record.held if record is not None else None
        left = held.expires_at - self._clock.now() if held is not None else timedelta(0)
        return super()._renew(beat, left + lease_for)


@breaks("renew.held", "renew.cancelling")
class RenewsNothing(MemoryEngine):
    """The answer is right, and the lease ends when it would have."""

    def _renew(self, beat: Beat, lease_for: timedelta) -> Renewal:
        record = self._state.records.get(beat.job_id)
        held = record.held if record is not None else None
        until = held.expires_at if held is not None else None
        answer = super()._renew(beat, lease_for)
        if held is not None and until is not None:
            held.expires_at = until
        return answer


@breaks("renew.cancelling")
class TellsNoHolderOfACancel(MemoryEngine):
    """A beat is answered by the lease alone."""

    def _renew(self, beat: Beat, lease_for: timedelta) -> Renewal:
        answer = super()._renew(beat, lease_for)
        return Renewal.HELD if answer is Renewal.CANCELLING else answer


# reclaim ---------------------------------------------------------------------------------------------------


@breaks("reclaim.only")
class TakesWhateverIsNamed(MemoryEngine):
    """By id, a lease is taken whether or not it ran out."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        why = super()._why(record, request)
        named = request.only is not None and record.job.id in request.only
        return Reason.EXPIRED if why is None and named and record.held is not None else why


@breaks("reclaim.expired")
class TakesALeaseAMomentLate(MemoryEngine):
    """A lease is over after its expiry, not at it."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        at_expiry = record.held is not None and record.held.expires_at == self._clock.now()
        return None if at_expiry and not request.dead else super()._why(record, request)


@breaks("reclaim.expired")
class TakesInTheOrderOfAcceptance(MemoryEngine):
    """Whose lease ran out first is not asked."""

    def _take_over(self, request: ReclaimRequest, nonce: str) -> None:
        for record in sorted(self._state.records.values(), key=lambda record: record.job.seq):
            if len(self._state.under(nonce)) < request.limit:
                super()._take_over(replace(request, only=(record.job.id,), limit=1), nonce)


@breaks("reclaim.dead")
class IgnoresWhoIsDead(MemoryEngine):
    """Every lease is waited for."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        return super()._why(record, replace(request, dead=()))


@breaks("reclaim.dead")
class AsksWhoClaimedNotWhoHolds(MemoryEngine):
    """A dead reaper's leases are those of the worker before it."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        held = record.held
        if held is not None and held.owner != held.claimed_by:
            return super()._why(record, replace(request, dead=()))
        return super()._why(record, request)


@breaks("reclaim.overdue")
class LetsARenewedRunGoOnForEver(MemoryEngine):
    """A run whose lease is kept is never overdue."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        lasts = record.held is not None and record.held.expires_at > self._clock.now()
        why = super()._why(record, request)
        return None if lasts and why is Reason.OVERDUE else why


@breaks("reclaim.overdue")
class GivesNoGrace(MemoryEngine):
    """A run is overdue at its timeout, whatever the request says."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        return super()._why(record, replace(request, overdue_by=timedelta(0)))


@breaks("reclaim.reaper")
class LetsReapersTakeFromEachOther(MemoryEngine):
    """An overdue run is anybody's, also while a reaper has it."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        timeout_at, held = record.job.timeout_at, record.held
        if held is not None and timeout_at is not None and timeout_at + request.overdue_by <= self._clock.now():
            return Reason.OVERDUE
        return super()._why(record, request)


@breaks("reclaim.waited")
class ForgetsWhyItHoldsAJob(MemoryEngine):
    """What a dead reaper held is a run that expired, also where there was none."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        why = super()._why(record, request)
        return Reason.EXPIRED if record.held is not None and why is Reason.WAITED else why


@breaks("reclaim.waited")
class FindsOnlyWhatIsInLine(MemoryEngine):
    """A job that is not due yet does not expire."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        waits = record.job.status is Status.QUEUED and record.job.run_at > self._clock.now()
        return None if waits else super()._why(record, request)


@breaks("reclaim.keep")
class TakesWhatTheCallerKeeps(MemoryEngine):
    """A reaper takes the leases of its own process too."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        return super()._why(record, replace(request, keep=frozenset()))


@breaks("reclaim.keep")
class CountsWhatIsKeptToTheLimit(MemoryEngine):
    """Leases are found up to the limit, and those to keep left out of them."""

    def _take_over(self, request: ReclaimRequest, nonce: str) -> None:
        wide = replace(request, keep=frozenset())
        found = [record for record in self._state.records.values() if self._why(record, wide)]
        only = tuple(record.job.id for record in found[: request.limit])
        super()._take_over(replace(request, only=only), nonce)


@breaks("reclaim.only")
class TakesAllWhenNoneIsNamed(MemoryEngine):
    """An empty choice is no choice."""

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        return super()._why(record, replace(request, only=request.only or None))


@breaks("reclaim.fences", "settle.fenced", "renew.lost")
class HandsOnTheToken(State):
    """A reaper gets the lease as it was, with the token that the former holder has."""

    def hold(self, record: Record, nonce: str, place: int, owner: Owner, until: datetime) -> Held:
        """See `State.hold`."""
        before = record.held
        held = super().hold(record, nonce, place, owner, until)
        if before is not None:
            held.token = before.token
        return held


@breaks("reclaim.counts-no-run")
class CountsARunForEveryHolder(State):
    """A reclaimed run is one more."""

    def hold(self, record: Record, nonce: str, place: int, owner: Owner, until: datetime) -> Held:
        """See `State.hold`."""
        if record.held is not None or record.job.counters.runs == 0:
            record.job = replace(record.job, counters=replace(record.job.counters, runs=record.job.counters.runs + 1))
        return super().hold(record, nonce, place, owner, until)


@breaks("reclaim.counts-no-run")
class QueuesWhatItReclaims(MemoryEngine):
    """A reclaimed job shows as queued until it is settled."""

    async def reclaim(self, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
        """See `MemoryEngine.reclaim`."""
        taken = await super().reclaim(request, nonce)
        for one in taken:
            record = self._state.records[one.lease.job.id]
            record.job = replace(record.job, status=Status.QUEUED)
        return taken


@breaks("reclaim.former")
class NamesTheLastHolder(State):
    """The former owner is whoever held the lease just before."""

    def hold(self, record: Record, nonce: str, place: int, owner: Owner, until: datetime) -> Held:
        """See `State.hold`."""
        before = record.held
        held = super().hold(record, nonce, place, owner, until)
        held.claimed_by = before.owner if before is not None else owner
        return held


@breaks("reclaim.nonce")
class ReclaimsMoreWhenAskedAgain(MemoryEngine):
    """A repeated reclaim is a new one."""

    async def reclaim(self, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
        """See `MemoryEngine.reclaim`."""
        self._state.nonces.pop(nonce, None)
        return await super().reclaim(request, nonce)


@breaks("reclaim.nonce")
class GivesNothingWhenAskedAgain(MemoryEngine):
    """A repeated reclaim finds that there is nothing left."""

    async def reclaim(self, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
        """See `MemoryEngine.reclaim`."""
        return [] if nonce in self._state.nonces else await super().reclaim(request, nonce)
