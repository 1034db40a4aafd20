"""The client: submit jobs, look at them, wait for them. What the library and the HTTP face both use."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, repeat

import msgspec

from tidegate.batching import Batcher
from tidegate.clock import Clock
from tidegate.core.ids import is_uuid
from tidegate.core.job import Body, Cancel, Job, JobId, Status
from tidegate.core.ledger import USAGE, Entry
from tidegate.core.lifecycle import overdue
from tidegate.core.paths import job_prefix
from tidegate.core.query import HistoryEntry, JobQuery, Page
from tidegate.core.verbs import Cancellation, Dismissal, Revival
from tidegate.errors import (
    IllegalTransition,
    JobCancelled,
    JobFailed,
    JobNotFound,
    ResultTimeout,
)
from tidegate.intake import Accepted, Intake
from tidegate.ports import Artifacts, Engine
from tidegate.requests import JobRequest
from tidegate.telemetry.events import (
    CancelRequested,
    Dismissed,
    Emitter,
    Revived,
    finished,
    ref,
)

RESULT_LIMIT = 64 * 1024 * 1024
"""Bytes of a result that `result` reads into memory; larger ones are read as artifacts."""

POLLS = tuple(timedelta(seconds=s) for s in (0.1, 0.2, 0.5, 1, 2, 4, 8, 15))
"""How long a waiter waits for a hint before it asks again; the last repeats (REQUIREMENTS E11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a client reaches. `settle_overdue` ends a job whose run is past its timeout, if it still is.

    `cancelled` is told of jobs that a cancel met, so that whoever wants to hear of their end does.
    """

    intake: Intake
    engine: Engine
    artifacts: Artifacts
    clock: Clock
    emit: Emitter
    nonce: Callable[[], str]
    settle_overdue: Callable[[JobId], Awaitable[bool]]
    cancelled: Callable[[Sequence[Job]], Awaitable[None]]


class Client:
    """Everything an application does with jobs. Where `user_id` is given, others' jobs are unknown."""

    def __init__(self, reach: Reach) -> None:
        self._to = reach
        self.intake = reach.intake
        engine = reach.engine

        async def get(job_ids: list[JobId]) -> list[Job | None]:
            return await engine.get(job_ids)

        self._looks = Batcher(get)

    async def submit(self, request: JobRequest) -> Accepted:
        """Accept one job, durably.

        Raises InvalidInput that names the field, IdempotencyConflict, or EngineUnavailable.
        """
        [accepted] = await self.intake.store([await self.intake.check(request)])
        return accepted

    async def submit_many(self, requests: Sequence[JobRequest]) -> list[Accepted]:
        """Accept jobs. All are checked before any is stored; raises as `submit` does.

        A key that belongs to other work raises IdempotencyConflict, and the others *are* stored: ask again without it,
        under their keys.

        They are stored in one step, on Redis and Valkey in one for each 500: after EngineUnavailable ask again with
        the same idempotency keys.
        """
        return await self.intake.store(await self.intake.check_all(requests))

    async def submit_in(self, connection: object, requests: Sequence[JobRequest]) -> list[Accepted]:
        """Accept jobs in the caller's own transaction: they exist if and only if that commits.

        Raises as `submit` does, and ConfigError where the store has no such thing.
        """
        return await self.intake.store_in(connection, requests)

    async def get(self, job_id: str, *, user_id: str | None = None) -> Job:
        """The job as it is. A run past its timeout whose worker is gone is settled first. Raises JobNotFound."""
        job = await self._get(job_id, user_id)
        if overdue(job, self._to.clock.now()) and await self._to.settle_overdue(job.id):
            job = await self._get(job_id, user_id)
        return job

    async def _get(self, job_id: str, user_id: str | None) -> Job:
        if not is_uuid(job_id):
            raise JobNotFound(job_id)
        job = await self._looks.ask(JobId(job_id))
        if job is None or user_id not in (None, job.spec.user_id):
            raise JobNotFound(job_id)
        return job

    async def body(self, job: Job) -> Body:
        """The job's payload and inline result; raises JobNotFound when it was pruned meanwhile."""
        [body] = await self._to.engine.bodies([job.id])
        if body is None:
            raise JobNotFound(job.id)
        return body

    async def find(self, query: JobQuery) -> Page:
        """Jobs that match, newest first."""
        return await self._to.engine.find(query)

    async def history(self, job: Job, after: int = 0) -> list[HistoryEntry]:
        """The job's steps, oldest first."""
        return await self._to.engine.history(job.id, after)

    async def spent(self, job: Job) -> list[Entry]:
        """What each of the job's runs spent on models, as far as the artifact store has it; raises ArtifactError."""
        entries: list[Entry] = []
        async for info in self._to.artifacts.list(job_prefix(job.id)):
            if info.path.endswith(f"/{USAGE}"):
                kept = await self._to.artifacts.get(info.path, max_bytes=RESULT_LIMIT)
                entries += msgspec.json.decode(kept, type=list[Entry])
        return sorted(entries, key=lambda entry: entry.run)

    async def cancel(self, job_id: str, *, user_id: str | None = None) -> Job:
        """Cancel a waiting job, or ask a running one to stop; raises IllegalTransition once it has ended."""
        job = await self.get(job_id, user_id=user_id)
        [answer] = await self._to.engine.cancel([job.id], self._to.nonce())
        match answer:
            case Cancellation.UNKNOWN:
                raise JobNotFound(job_id)
            case Cancellation.FINISHED:
                ended = await self._after_cancel(job_id, user_id)
                raise IllegalTransition(job.id, ended.status, "cancelled")
            case Cancellation.CANCELLED:
                self._to.emit(finished(job, Cancel(), now=self._to.clock.now()))
            case Cancellation.REQUESTED:
                self._to.emit(CancelRequested(job=ref(job)))
        return await self._after_cancel(job_id, user_id)

    async def _after_cancel(self, job_id: str, user_id: str | None) -> Job:
        """The job as it is, its end told: a repeat makes up for what a call that broke off left undone."""
        job = await self.get(job_id, user_id=user_id)
        await self._to.cancelled([job])
        return job

    async def retry(self, job_id: str, *, user_id: str | None = None) -> Job:
        """Queue a failed or cancelled job again, as if new; raises IllegalTransition for any other."""
        job = await self.get(job_id, user_id=user_id)
        [answer] = await self._to.engine.revive([job.id], self._to.nonce())
        if answer is not Revival.REVIVED:
            raise IllegalTransition(job.id, job.status, "retried")
        self._to.emit(Revived(job=ref(job)))
        return await self.get(job_id, user_id=user_id)

    async def dismiss(self, job_id: str, *, user_id: str | None = None) -> Job:
        """Take a failed job off the dead letters; raises IllegalTransition for any other."""
        job = await self.get(job_id, user_id=user_id)
        [answer] = await self._to.engine.dismiss([job.id])
        if answer is not Dismissal.DISMISSED:
            raise IllegalTransition(job.id, job.status, "dismissed")
        self._to.emit(Dismissed(job=ref(job)))
        return await self.get(job_id, user_id=user_id)

    async def wait(self, job_id: str, timeout: timedelta, *, user_id: str | None = None) -> Job:
        """The job once it has ended, or as it is after `timeout`; raises JobNotFound."""
        if not is_uuid(job_id):
            raise JobNotFound(job_id)
        deadline = self._to.clock.monotonic() + timeout.total_seconds()
        for poll in chain(POLLS, repeat(POLLS[-1])):
            left = timedelta(seconds=max(deadline - self._to.clock.monotonic(), 0))
            # Asked for before the look: an ending between the two must be heard, or it is met at the next look.
            hint = asyncio.ensure_future(self._to.engine.wait([f"job:{job_id}"], min(poll, left)))
            await asyncio.sleep(0)
            try:
                job = await self.get(job_id, user_id=user_id)
                if job.status.finished or not left:
                    return job
                await hint
            finally:
                hint.cancel()
        raise AssertionError("repeat() never ends")

    async def result(self, job_id: str, timeout: timedelta, *, user_id: str | None = None) -> bytes | None:
        """The result as JSON once the job succeeds; None when it returned nothing.

        Raises JobFailed, JobCancelled, or ResultTimeout when it has not ended within `timeout`.
        """
        job = await self.wait(job_id, timeout, user_id=user_id)
        match job.status:
            case Status.SUCCEEDED:
                return await self.read_result(job)
            case Status.FAILED:
                code, message = (job.error.code, job.error.message) if job.error else ("failed", "")
                raise JobFailed(job.id, code, message)
            case Status.CANCELLED:
                raise JobCancelled(job.id)
            case _:
                raise ResultTimeout(job.id, job.status)

    async def read_result(self, job: Job) -> bytes | None:
        """A succeeded job's result, from the store or its artifact; raises ArtifactError."""
        body = await self.body(job)
        if body.result is not None or job.result_path is None:
            return body.result
        return await self._to.artifacts.get(job.result_path, max_bytes=RESULT_LIMIT)
