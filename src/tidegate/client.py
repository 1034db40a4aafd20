"""The client: submit jobs, look at them, wait for them. What the library and the HTTP face both use."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain, repeat

import msgspec

from tidegate.batching import Batcher
from tidegate.clock import Clock
from tidegate.core.ids import is_uuid
from tidegate.core.job import Body, Cancel, Job, JobId, NewJob, Status
from tidegate.core.ledger import USAGE, Entry
from tidegate.core.lifecycle import overdue
from tidegate.core.paths import job_prefix
from tidegate.core.query import HistoryEntry, JobQuery, Page
from tidegate.core.verbs import Cancellation, Dismissal, Receipt, Revival, Submission
from tidegate.errors import (
    ArtifactNotFound,
    ConfigError,
    EngineUnavailable,
    IdempotencyConflict,
    IllegalTransition,
    InvalidInput,
    JobCancelled,
    JobFailed,
    JobNotFound,
    ResultTimeout,
)
from tidegate.handlers import JobType, Registry
from tidegate.ports import Artifacts, Engine, Transactional
from tidegate.requests import Builder, JobRequest, fingerprint_of
from tidegate.telemetry.events import (
    CancelRequested,
    Dismissed,
    Emitter,
    JobRef,
    Replayed,
    Revived,
    Submitted,
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

    `check_file` raises unless (reference, user) is an upload of that user's.
    `cancelled` is told of jobs that a cancel met, so that whoever wants to hear of their end does.
    """

    engine: Engine
    registry: Registry
    artifacts: Artifacts
    clock: Clock
    emit: Emitter
    new_id: Callable[[], JobId]
    nonce: Callable[[], str]
    settle_overdue: Callable[[JobId], Awaitable[bool]]
    check_file: Callable[[str, str], Awaitable[None]]
    cancelled: Callable[[Sequence[Job]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submitted job's id; `created` is False when an earlier request had made it."""

    job_id: JobId
    created: bool


class Client:
    """Everything an application does with jobs. Where `user_id` is given, others' jobs are unknown."""

    def __init__(self, reach: Reach) -> None:
        self._to = reach
        engine = reach.engine

        async def submit(jobs: list[NewJob]) -> list[Receipt]:
            return await engine.submit(jobs)

        async def get(job_ids: list[JobId]) -> list[Job | None]:
            return await engine.get(job_ids)

        async def known(keys: list[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
            return await engine.known(keys)

        self._builder = Builder()
        self._submits, self._looks, self._keys = Batcher(submit), Batcher(get), Batcher(known)

    async def submit(self, request: JobRequest) -> Accepted:
        """Accept one job, durably.

        Raises InvalidInput that names the field, IdempotencyConflict, or EngineUnavailable.
        """
        [accepted] = await self.store([await self.check(request)])
        return accepted

    async def submit_many(self, requests: Sequence[JobRequest]) -> list[Accepted]:
        """Accept jobs. All are checked before any is stored; raises as `submit` does.

        A key that belongs to other work raises IdempotencyConflict, and the others *are* stored: ask again without it,
        under their keys.

        They are stored in one step, on Redis and Valkey in one for each 500: after EngineUnavailable ask again with
        the same idempotency keys.
        """
        return await self.store(await self._checked(requests))

    async def check(self, request: JobRequest) -> NewJob:
        """The job that `request` asks for, not stored; raises InvalidInput that names the field."""
        [job] = await self._checked([request])
        return job

    async def _checked(self, requests: Sequence[JobRequest]) -> list[NewJob]:
        to, now = self._to, self._to.clock.now()
        jobs, with_files = list[NewJob](), list[tuple[NewJob, JobType]]()
        for request in requests:
            job_type = to.registry.get(request.type)
            job = self._builder.build(request, job_type, to.new_id(), now)
            jobs.append(job)
            if job_type.files:
                with_files.append((job, job_type))
        for job, job_type in with_files:
            await self._check_files(job, job_type)
        return jobs

    async def _check_files(self, job: NewJob, job_type: JobType) -> None:
        payload = json.loads(job.payload)
        for name in job_type.files:
            if isinstance(payload, dict) and isinstance(payload.get(name), str):
                await self._check_file(name, payload[name], job.spec.user_id)

    async def _check_file(self, name: str, reference: str, user_id: str) -> None:
        try:
            await self._to.check_file(reference, user_id)
        except ArtifactNotFound as exc:
            raise InvalidInput(f"payload.{name}", str(exc)) from exc

    async def store(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        """Accept checked jobs; raises IdempotencyConflict or EngineUnavailable."""
        started = self._to.clock.monotonic()
        receipts = await self._submit(jobs)
        latency = timedelta(seconds=self._to.clock.monotonic() - started)
        return self._all_accepted(jobs, receipts, latency)

    async def submit_in(self, connection: object, requests: Sequence[JobRequest]) -> list[Accepted]:
        """Accept jobs in the caller's own transaction: they exist if and only if that commits.

        Raises as `submit` does, and ConfigError where the store has no such thing.
        """
        engine = self._to.engine
        if not isinstance(engine, Transactional):
            raise ConfigError("jobs in a transaction of your own need PostgreSQL: set TIDEGATE_ENGINE=postgresql://…")
        jobs = await self._checked(requests)
        receipts = await engine.submit_in(connection, jobs)
        return self._all_accepted(jobs, receipts, timedelta(0))

    async def replayed(self, request: JobRequest) -> Accepted | None:
        """The job that an earlier `request` made under the same key; None when there was none.

        For a request that may not be accepted as a new one: the answer to a repeat is the same, whatever has
        changed since. Raises IdempotencyConflict when the key belongs to another request.
        """
        key = request.idempotency_key
        if key is None:
            return None
        known = await self._keys.ask((request.user_id, key))
        if known is None:
            return None
        job_id, first_print = known
        if first_print != fingerprint_of(request):
            raise IdempotencyConflict(key, job_id)
        first_job = JobRef(job_id=job_id, request_id=request.request_id, user_id=request.user_id, type=request.type)
        self._to.emit(Replayed(job=first_job))
        return Accepted(job_id, created=False)

    async def _submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """Submit, and once more when the outcome is unknown: ids are ours, so that is safe.

        A single job shares its call with others'; several stay together.
        """
        try:
            return await self._submit_once(jobs)
        except EngineUnavailable:
            return await self._submit_once(jobs)

    async def _submit_once(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        return [await self._submits.ask(jobs[0])] if len(jobs) == 1 else await self._to.engine.submit(jobs)

    def _all_accepted(self, jobs: Sequence[NewJob], receipts: Sequence[Receipt], latency: timedelta) -> list[Accepted]:
        heard = self._to.emit.hears(Submitted)
        for job, receipt in zip(jobs, receipts, strict=True):
            if receipt.submission is not Submission.CREATED:
                self._not_created(job, receipt)
            elif heard:
                self._to.emit(Submitted(job=ref(job), latency=latency))
        return [Accepted(receipt.job_id, receipt.submission is Submission.CREATED) for receipt in receipts]

    def _not_created(self, job: NewJob, receipt: Receipt) -> None:
        match receipt.submission:
            case Submission.REPLAYED:
                self._to.emit(Replayed(job=replace(ref(job), job_id=receipt.job_id)))
            case Submission.CONFLICT:
                raise IdempotencyConflict(job.spec.idempotency_key or job.id, receipt.job_id)
            case Submission.BUSY:
                raise EngineUnavailable("another transaction holds this idempotency key; try again")

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
