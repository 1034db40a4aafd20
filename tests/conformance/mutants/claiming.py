"""Bugs in `claim`: what a lease is, and what may be taken."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from tests.conformance.mutants.broken import breaks
from tidegate.clock import SystemClock
from tidegate.core.job import Owner, Status, Token
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.claiming import Claim, waited
from tidegate.engines.memory.state import Held, Line, Record, State

TICK = timedelta(microseconds=1)


@breaks("claim.exclusive")
class ReadsThenLeases(MemoryEngine):
    """What is free is read first and leased a moment later, whatever happened between."""

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """See `MemoryEngine.claim`."""
        free = list(self._state.with_status(Status.QUEUED))
        await asyncio.sleep(0)
        for record in free:
            _put_back(record)
        return await super().claim(request, nonce)


@breaks("claim.exclusive")
class ClaimsWhatRanOut(MemoryEngine):
    """A lease that ran out is no lease: the next claim takes the job without a reaper."""

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """See `MemoryEngine.claim`."""
        for record in self._state.with_status(Status.RUNNING):
            if record.held is not None and record.held.expires_at <= self._clock.now():
                _put_back(record)
        return await super().claim(request, nonce)


def _put_back(record: Record) -> None:
    if record.job.status is Status.RUNNING:
        record.job, record.ready, record.held = replace(record.job, status=Status.QUEUED), True, None


@breaks("claim.running")
class LeasesByTheWorkersClock(State):
    """A lease ends by the clock of who asks, which is not the store's."""

    def hold(self, record: Record, nonce: str, place: int, owner: Owner, until: datetime) -> Held:
        """See `State.hold`."""
        held = super().hold(record, nonce, place, owner, until)
        held.expires_at = SystemClock().now() + timedelta(seconds=30)
        return held


@breaks("claim.running", "settle.fenced")
class CountsRunsForTokens(State):
    """The token of a lease is the number of its run."""

    def hold(self, record: Record, nonce: str, place: int, owner: Owner, until: datetime) -> Held:
        """See `State.hold`."""
        held = super().hold(record, nonce, place, owner, until)
        held.token = Token(f"run.{record.job.counters.runs}")
        return held


@breaks("claim.running")
class KeepsTheProgressOfTheRunBefore(Claim):
    """A new run begins where the last one said it was."""

    def _lease(self, record: Record) -> None:
        progress = record.job.progress
        super()._lease(record)
        record.job = replace(record.job, progress=progress)
        self._taken[-1] = replace(self._taken[-1], job=record.job)


@breaks("claim.running")
class KeepsTheClockOfTheFirstRun(Claim):
    """A run's timeout counts from the start of the first."""

    def _lease(self, record: Record) -> None:
        begun = record.job.started_at
        super()._lease(record)
        timeout_at = (begun or self._now) + record.job.spec.timeout
        record.job = replace(record.job, timeout_at=timeout_at)
        self._taken[-1] = replace(self._taken[-1], job=record.job)


@breaks("claim.limit")
class TakesOneMore(Claim):
    """The limit is passed by one."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        super().__init__(state, replace(request, limit=request.limit + 1), nonce, now)


@breaks("claim.limit")
class TakesTheLimitFromEveryQueue(Claim):
    """Each queue gives up to the limit."""

    def _serve(self, queue: str, wanted: int, *, capped: bool) -> None:
        taken, self._taken = self._taken, []
        super()._serve(queue, wanted, capped=capped)
        self._taken = taken + self._taken


@breaks("claim.limit")
class TakesOneWhenAskedForNone(Claim):
    """A limit of 0 is no limit worth the name."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        super().__init__(state, replace(request, limit=request.limit or 1), nonce, now)


@breaks("claim.types")
class TakesAnyType(Claim):
    """What a worker can't run is taken too."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        every = frozenset(line.type for line in state.lines.values())
        super().__init__(state, replace(request, types=every), nonce, now)


@breaks("claim.types")
class LooksOnlyAtTheHead(Claim):
    """One line a lane: a job of another type at its head holds up the rest."""

    def _in_line(self, line: Line) -> list[Record]:
        queued = [r for r in self._state.with_status(Status.QUEUED) if r.ready and r.job.lane == line.lane]
        head = min(queued, key=lambda record: (record.rank or 0.0, record.job.seq), default=None)
        return super()._in_line(line) if head and head.job.spec.type == line.type else []


@breaks("claim.nonce")
class IgnoresTheNonce(Claim):
    """A repeated claim is a new one."""

    def answer(self) -> Claimed:
        """See `Claim.answer`."""
        self._state.nonces.pop(self._nonce, None)
        return super().answer()


@breaks("claim.nonce")
class FillsUpARepeatedClaim(Claim):
    """A repeated claim gives what is held, and new jobs for what is not."""

    def answer(self) -> Claimed:
        """See `Claim.answer`."""
        self._taken = [self._state.lease(record, held) for record, held in self._state.under(self._nonce)]
        self._state.nonces.pop(self._nonce, None)
        return super().answer()


@breaks("claim.nonce")
class ForgetsNoncesWhileTheirLeasesLast(State):
    """A nonce is remembered for an hour, however long its leases are."""

    def remember(self, nonce: str, now: datetime, lease_for: timedelta) -> None:
        """See `State.remember`."""
        super().remember(nonce, now, timedelta(0))


@breaks("claim.due", "claim.promote")
class NeverPromotes(Claim):
    """What was not due when it was queued is never looked at again."""

    def _promote(self) -> None:
        return


@breaks("claim.due")
class TakesAMomentTooEarly(Claim):
    """Instants are compared in whole seconds."""

    def _promote(self) -> None:
        now, self._now = self._now, self._now + timedelta(milliseconds=500)
        super()._promote()
        self._now = now


@breaks("claim.promote")
class PromotesInTheOrderOfAcceptance(Claim):
    """Due jobs line up by when they were submitted."""

    def _promote(self) -> None:
        due = [r for r in self._state.with_status(Status.QUEUED) if not r.ready and r.job.run_at <= self._now]
        for record in sorted(due, key=lambda record: record.job.seq):
            self._state.queue(record, self._now)


@breaks("claim.promote")
class PromotesOnlyWhatItServes(Claim):
    """A claim promotes a bounded number of jobs, whether or not it may take them, and forgets the rest."""

    def _promote(self) -> None:
        super()._promote()
        for record in self._state.with_status(Status.QUEUED):
            if not record.ready and record.job.run_at <= self._now:
                record.job = replace(record.job, run_at=datetime.max.replace(tzinfo=self._now.tzinfo))


@breaks("claim.expired")
class TakesWhatExpired(Claim):
    """A job that waited too long is run all the same."""

    def _in_line(self, line: Line) -> list[Record]:
        expires_at = {r.job.id: r.job.expires_at for r in self._state.records.values()}
        for record in self._state.with_status(Status.QUEUED):
            record.job = replace(record.job, expires_at=None)
        found = super()._in_line(line)
        for record in self._state.records.values():
            record.job = replace(record.job, expires_at=expires_at[record.job.id])
        return found


@breaks("claim.expired")
class StopsAtAnExpiredJob(Claim):
    """Expired jobs are read like others, and thrown away after the limit was applied."""

    def _in_line(self, line: Line) -> list[Record]:
        stale = sum(1 for record in self._state.with_status(Status.QUEUED) if waited(record.job, self._now))
        return super()._in_line(line)[stale:]


@breaks("claim.expired")
class CountsOnlyLeasesAsOverdue(Claim):
    """Nobody is told of jobs that waited too long."""

    def _overdue(self) -> int:
        now, running = self._now, self._state.with_status(Status.RUNNING)
        return sum(1 for record in running if record.held and record.held.expires_at <= now)
