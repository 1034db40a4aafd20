"""The memory engine: the contract as plain dictionaries, the executable specification of all engines.

It keeps every promise of `ports.py` but durability, for tests and for trying things out. It favours being
obviously right over being fast.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

from tidegate.clock import Clock, SystemClock
from tidegate.core import steps
from tidegate.core.job import Body, Cancel, Ending, Job, JobId, NewJob, Owner, Status
from tidegate.core.query import Event, HistoryEntry, JobQuery, Page, Stats, WorkerInfo
from tidegate.core.verbs import (
    Beat,
    Cancellation,
    Claimed,
    ClaimRequest,
    Dismissal,
    Document,
    Feed,
    Health,
    Reason,
    Receipt,
    Reclaimed,
    ReclaimRequest,
    Renewal,
    Revival,
    Settled,
    Swap,
    Swapped,
    Take,
    Taken,
)
from tidegate.engines.bell import Bell
from tidegate.engines.memory import finding
from tidegate.engines.memory.claiming import Claim, waited
from tidegate.engines.memory.documents import Papers
from tidegate.engines.memory.state import Record, State, check_follow_up


class MemoryEngine:
    """An `Engine` in this process's memory; `now` comes from `clock`.

    `by_given_ranks` chooses the second reading of `core.fairness`: a flow's last rank is the highest it was given,
    instead of the highest that one of its jobs in line has.
    """

    def __init__(self, clock: Clock | None = None, *, by_given_ranks: bool = False) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._bell = Bell()
        self._state = State(given={} if by_given_ranks else None)
        self._papers = Papers(self._state)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def check(self) -> Health:
        """Always well; nothing outlives the process."""
        return Health(engine="memory", durability="none", version="1", schema="1")

    # queue ------------------------------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """See `ports.JobQueue.submit`."""
        with self._lock:
            now = self._clock.now()
            receipts = [self._state.submit(job, now) for job in jobs]
        self._bell.ring({_topic(job.spec.lane.queue) for job in jobs})
        return receipts

    async def known(self, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
        """See `ports.JobQueue.known`."""
        with self._lock:
            rows = [self._state.keys.get(key) for key in keys]
            return [None if row is None else (row.job_id, row.fingerprint) for row in rows]

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """See `ports.JobQueue.claim`."""
        with self._lock:
            return Claim(self._state, request, nonce, self._clock.now()).answer()

    async def renew(self, beats: Sequence[Beat], lease_for: timedelta) -> list[Renewal]:
        """See `ports.JobQueue.renew`."""
        with self._lock:
            return [self._renew(beat, lease_for) for beat in beats]

    def _renew(self, beat: Beat, lease_for: timedelta) -> Renewal:
        record = self._state.records.get(beat.job_id)
        if record is None or record.held is None or record.held.token != beat.token:
            return Renewal.LOST
        record.held.expires_at = self._clock.now() + lease_for
        if beat.progress is not None:
            record.job = replace(record.job, progress=beat.progress)
        return Renewal.CANCELLING if record.job.cancel_requested_at else Renewal.HELD

    async def settle(self, endings: Sequence[Ending]) -> list[Settled]:
        """See `ports.JobQueue.settle`."""
        for job in (job for ending in endings for job in ending.then):
            check_follow_up(job)
        with self._lock:
            answers = [self._settle(ending) for ending in endings]
            topics = {topic for ending in endings for topic in self._touched(ending)}
        self._bell.ring(topics)
        return answers

    def _touched(self, ending: Ending) -> Iterator[str]:
        """The topics that an ending may matter to: its job, where that is ready again, and its follow-ups."""
        yield f"job:{ending.job_id}"
        record = self._state.records.get(ending.job_id)
        if record is not None and record.ready:
            yield _topic(record.job.lane.queue)
        yield from (_topic(job.spec.lane.queue) for job in ending.then)

    def _settle(self, ending: Ending) -> Settled:
        record = self._state.records.get(ending.job_id)
        if record is None or record.held is None or record.held.token != ending.token:
            repeated = record is not None and record.settled_by == ending.token
            return Settled.APPLIED if repeated else Settled.LOST
        if record.job.cancel_requested_at and not isinstance(ending.settlement, Cancel):
            return Settled.CANCELLING
        self._apply(record, ending)
        for job in ending.then:
            self._state.submit(job, self._clock.now())
        return Settled.APPLIED

    def _apply(self, record: Record, ending: Ending) -> None:
        now, settlement = self._clock.now(), ending.settlement
        event, note = steps.recorded(settlement)
        job = steps.settled(record.job, settlement, now)
        record.settled_by = ending.token
        record.held = None
        if job.status is not Status.QUEUED:
            record.result = getattr(settlement, "result", None)
            self._state.end(record, job, event, note)
            return
        if job.lane != record.job.lane:
            record.rank = None
        record.job = job
        self._state.note(record, now, event, note)
        self._state.queue(record, now)

    async def reclaim(self, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
        """See `ports.JobQueue.reclaim`."""
        with self._lock:
            if nonce not in self._state.nonces:
                self._state.remember(nonce, self._clock.now(), request.lease_for)
                self._take_over(request, nonce)
            return [
                Reclaimed(
                    lease=replace(self._state.lease(record, held), payload=b""),
                    former=held.claimed_by,
                    reason=held.reason or Reason.EXPIRED,
                    at=self._clock.now(),
                )
                for record, held in self._state.under(nonce)
            ]

    def _take_over(self, request: ReclaimRequest, nonce: str) -> None:
        now = self._clock.now()
        found = [(reason, r) for r in self._state.records.values() if (reason := self._why(r, request))]
        found.sort(key=lambda pair: (_since(pair[1]), pair[1].job.seq))
        for place, (reason, record) in enumerate(found[: request.limit]):
            if reason is Reason.WAITED and record.held is None:
                record.job, record.ready = steps.waited_out(record.job), False
            held = self._state.hold(record, nonce, place, request.owner, now + request.lease_for)
            held.reason = reason
            self._state.note(record, now, Event.RECLAIMED, reason.value)

    def _why(self, record: Record, request: ReclaimRequest) -> Reason | None:
        held, now = record.held, self._clock.now()
        if request.only is not None and record.job.id not in request.only:
            return None
        if held is None:
            return Reason.WAITED if waited(record.job, now) else None
        if held.token in request.keep:
            return None
        lost = held.expires_at <= now or held.owner in request.dead
        if held.reason is not None and not lost:
            return None  # a reaper has it
        if held.reason is Reason.WAITED:
            return Reason.WAITED
        timeout_at = record.job.timeout_at
        if timeout_at is not None and timeout_at + request.overdue_by <= now:
            return Reason.OVERDUE
        return Reason.EXPIRED if lost else None

    async def wait(self, topics: Sequence[str], timeout: timedelta) -> None:
        """See `ports.JobQueue.wait`."""
        await self._bell.wait(topics, timeout)

    # admin ------------------------------------------------------------------------------------------------

    async def cancel(self, job_ids: Sequence[JobId], nonce: str) -> list[Cancellation]:
        """See `ports.JobAdmin.cancel`."""
        with self._lock:
            records = [self._state.records.get(job_id) for job_id in job_ids]
            answers = [self._cancel(record, nonce) for record in records]
        self._ring(records)
        return answers

    def _ring(self, records: Sequence[Record | None]) -> None:
        jobs = [record.job for record in records if record is not None]
        self._bell.ring({*(_topic(job.lane.queue) for job in jobs), *(f"job:{job.id}" for job in jobs)})

    def _cancel(self, record: Record | None, nonce: str) -> Cancellation:
        if record is None:
            return Cancellation.UNKNOWN
        now, asked = self._clock.now(), record.job.cancel_requested_at is not None
        if record.cancelled_by == nonce:  # it did its work before, whatever became of the job since
            running = record.job.status is Status.RUNNING
            return Cancellation.REQUESTED if running and asked else Cancellation.CANCELLED
        if record.job.status is Status.QUEUED:
            record.cancelled_by = nonce
            self._state.end(record, steps.ended(record.job, Status.CANCELLED, now), Event.CANCELLED)
            return Cancellation.CANCELLED
        if record.job.status is not Status.RUNNING:
            return Cancellation.FINISHED
        if not asked:
            record.job, record.cancelled_by = replace(record.job, cancel_requested_at=now), nonce
            self._state.note(record, now, Event.CANCEL_REQUESTED)
        return Cancellation.REQUESTED

    async def revive(self, job_ids: Sequence[JobId], nonce: str) -> list[Revival]:
        """See `ports.JobAdmin.revive`."""
        with self._lock:
            records = [self._state.records.get(job_id) for job_id in job_ids]
            answers = [self._revive(record, nonce) for record in records]
        self._ring(records)
        return answers

    def _revive(self, record: Record | None, nonce: str) -> Revival:
        if record is None:
            return Revival.UNKNOWN
        if record.revived_by == nonce:
            return Revival.REVIVED
        if record.job.status not in (Status.FAILED, Status.CANCELLED):
            return Revival.ILLEGAL
        now = self._clock.now()
        record.job, record.result, record.revived_by = steps.revived(record.job, now), None, nonce
        key = self._state.key(record.job)
        if key is not None:
            key.forget_at = None
        self._state.note(record, now, Event.REVIVED)
        self._state.queue(record, now)
        return Revival.REVIVED

    async def dismiss(self, job_ids: Sequence[JobId]) -> list[Dismissal]:
        """See `ports.JobAdmin.dismiss`."""
        with self._lock:
            return [self._dismiss(self._state.records.get(job_id)) for job_id in job_ids]

    def _dismiss(self, record: Record | None) -> Dismissal:
        if record is None:
            return Dismissal.UNKNOWN
        if record.job.status is not Status.FAILED:
            return Dismissal.ILLEGAL
        if record.job.dismissed_at is None:
            now = self._clock.now()
            record.job = replace(record.job, dismissed_at=now)
            self._state.note(record, now, Event.DISMISSED)
        return Dismissal.DISMISSED

    async def prune(self, limit: int) -> list[JobId]:
        """See `ports.JobAdmin.prune`."""
        with self._lock:
            now = self._clock.now()
            over = [r for r in self._state.records.values() if r.job.prune_at and r.job.prune_at <= now]
            over.sort(key=lambda record: (record.job.prune_at, record.job.seq))
            pruned = [record.job.id for record in over[:limit]]
            self._papers.forget(pruned, now)
            return pruned

    # reading ----------------------------------------------------------------------------------------------

    async def get(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """See `ports.JobReader.get`."""
        with self._lock:
            records = [self._state.records.get(job_id) for job_id in job_ids]
            return [None if record is None else record.job for record in records]

    async def bodies(self, job_ids: Sequence[JobId]) -> list[Body | None]:
        """See `ports.JobReader.bodies`."""
        with self._lock:
            records = [self._state.records.get(job_id) for job_id in job_ids]
            return [None if r is None else Body(payload=r.payload, result=r.result) for r in records]

    async def find(self, query: JobQuery) -> Page:
        """See `ports.JobReader.find`."""
        with self._lock:
            return finding.find(self._state, query, self._clock.now())

    async def history(self, job_id: JobId, after: int = 0, limit: int = 200) -> list[HistoryEntry]:
        """See `ports.JobReader.history`."""
        with self._lock:
            record = self._state.records.get(job_id)
            mine = record.history if record is not None else []
            return [entry for entry in mine if entry.seq > after][:limit]

    async def events(self, after: str | None, limit: int = 1_000) -> Feed:
        """See `ports.JobReader.events`."""
        with self._lock:
            start = len(self._state.feed) if after is None else int(after)
            entries = self._state.feed[start : start + limit]
            known = [entry for entry in entries if entry.job_id in self._state.records]
            return Feed(entries=tuple(known), next=str(start + len(entries)))

    async def stats(self) -> Stats:
        """See `ports.JobReader.stats`."""
        with self._lock:
            return finding.stats(self._state, self._clock.now())

    # documents and presence -------------------------------------------------------------------------------

    async def load(self, kind: str, keys: Sequence[str]) -> list[Document]:
        """See `ports.Documents.load`."""
        with self._lock:
            return [self._papers.load(kind, key) for key in keys]

    async def swap(self, swap: Swap) -> Swapped:
        """See `ports.Documents.swap`."""
        with self._lock:
            swapped = self._papers.swap(swap)
        self._bell.ring({"gates"} if swapped.won and swap.gates else ())
        return swapped

    async def scan(self, kind: str, after: str = "", limit: int = 200) -> list[Document]:
        """See `ports.Documents.scan`."""
        with self._lock:
            return self._papers.scan(kind, after)[:limit]

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        """See `ports.Documents.take`."""
        with self._lock:
            return self._papers.take(takes, nonce, self._clock.now())

    async def give_back(self, nonce: str) -> None:
        """See `ports.Documents.give_back`."""
        with self._lock:
            self._papers.give_back(nonce)

    async def announce(self, worker: WorkerInfo, live_for: timedelta) -> None:
        """See `ports.Presence.announce`."""
        with self._lock:
            self._state.workers[worker.owner] = (worker, self._clock.now() + live_for)

    async def workers(self) -> list[WorkerInfo]:
        """See `ports.Presence.workers`."""
        with self._lock:
            now = self._clock.now()
            listed = [worker for worker, until in self._state.workers.values() if until > now]
            return sorted(listed, key=lambda worker: worker.owner)

    async def holders(self) -> list[Owner]:
        """See `ports.Presence.holders`."""
        with self._lock:
            held = [record.held for record in self._state.records.values()]
            return sorted({lease.owner for lease in held if lease is not None})


def _topic(queue: str) -> str:
    return f"queue:{queue}"


def _since(record: Record) -> datetime:
    """What a reclaim takes first: the lease, or the wait, that ended first."""
    if record.held is not None:
        return record.held.expires_at
    return record.job.expires_at or record.job.run_at
