"""How jobs come in: requests are checked, made jobs, and stored. The library and the HTTP face both go through here."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from tidegate.batching import Batcher
from tidegate.clock import Clock
from tidegate.core.job import JobId, NewJob
from tidegate.core.verbs import Receipt, Submission
from tidegate.errors import (
    ArtifactNotFound,
    ConfigError,
    EngineUnavailable,
    IdempotencyConflict,
    InvalidInput,
    TidegateError,
)
from tidegate.handlers import JobType, Registry
from tidegate.ports import Engine, Transactional
from tidegate.requests import Builder, JobRequest, fingerprint_of
from tidegate.telemetry.events import Emitter, JobRef, Replayed, Submitted, ref

LOST_WITHIN: Final = timedelta(seconds=3)
"""A connection is lost sooner than this. A store that let more pass hangs: whoever waits shall not wait twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeReach:
    """What jobs come in through. `check_file` raises unless (reference, user) is an upload of that user's."""

    engine: Engine
    registry: Registry
    clock: Clock
    emit: Emitter
    new_id: Callable[[], JobId]
    check_file: Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submitted job's id; `created` is False when an earlier request had made it."""

    job_id: JobId
    created: bool


class Intake:
    """Where an application's jobs come in."""

    def __init__(self, reach: IntakeReach) -> None:
        self._to = reach
        engine = reach.engine

        async def submit(jobs: list[NewJob]) -> list[Receipt]:
            return await engine.submit(jobs)

        async def known(keys: list[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
            return await engine.known(keys)

        self._builder = Builder()
        self._submits, self._keys = Batcher(submit), Batcher(known)

    def build(self, request: JobRequest) -> NewJob:
        """The job that `request` asks for, not stored; raises InvalidInput. Files in its payload are not looked at."""
        to = self._to
        return self._builder.build(request, to.registry.get(request.type), to.new_id(), to.clock.now())

    async def check(self, request: JobRequest) -> NewJob:
        """The job that `request` asks for, not stored; raises InvalidInput that names the field."""
        [job] = await self.check_all([request])
        return job

    async def check_all(self, requests: Sequence[JobRequest]) -> list[NewJob]:
        """The same for several."""
        jobs = [self.build(request) for request in requests]
        for job in jobs:
            job_type = self._to.registry.get(job.spec.type)
            if job_type.files:
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
        """Accept checked jobs; raises IdempotencyConflict or EngineUnavailable.

        A single job shares its call with others'; several stay together.
        """
        if len(jobs) > 1:
            return await self._store_together(jobs)
        answers = await self.store_each(jobs)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [answer for answer in answers if isinstance(answer, Accepted)]

    async def _store_together(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        """Submit, and once more when the answer was lost: ids are ours, so that is safe."""
        started = self._to.clock.monotonic()
        try:
            receipts = await self._to.engine.submit(jobs)
        except EngineUnavailable:
            if self._since(started) > LOST_WITHIN:
                raise
            receipts = await self._to.engine.submit(jobs)
        return self._all_accepted(jobs, receipts, self._since(started))

    async def store_each(self, jobs: Sequence[NewJob]) -> list[Accepted | Exception]:
        """Accept checked jobs, each for itself, in calls shared with others': what `store` returns or raises for it."""
        started = self._to.clock.monotonic()
        receipts = await self._submits.ask_all(jobs)
        again = [place for place, receipt in enumerate(receipts) if isinstance(receipt, EngineUnavailable)]
        if again and self._since(started) <= LOST_WITHIN:  # the outcome is unknown, and ids are ours
            for place, receipt in zip(
                again, await self._submits.ask_all([jobs[place] for place in again]), strict=True
            ):
                receipts[place] = receipt
        latency, heard = self._since(started), self._to.emit.hears(Submitted)
        return [
            receipt if isinstance(receipt, Exception) else self._accepted(job, receipt, latency, heard=heard)
            for job, receipt in zip(jobs, receipts, strict=True)
        ]

    async def store_in(self, connection: object, requests: Sequence[JobRequest]) -> list[Accepted]:
        """Check jobs, and accept them in the caller's own transaction; raises as `store` does, and ConfigError."""
        engine = self._to.engine
        if not isinstance(engine, Transactional):
            raise ConfigError("jobs in a transaction of your own need PostgreSQL: set TIDEGATE_ENGINE=postgresql://…")
        jobs = await self.check_all(requests)
        return self._all_accepted(jobs, await engine.submit_in(connection, jobs), timedelta(0))

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

    def _since(self, started: float) -> timedelta:
        return timedelta(seconds=self._to.clock.monotonic() - started)

    def _all_accepted(self, jobs: Sequence[NewJob], receipts: Sequence[Receipt], latency: timedelta) -> list[Accepted]:
        heard, accepted = self._to.emit.hears(Submitted), list[Accepted]()
        for job, receipt in zip(jobs, receipts, strict=True):
            answer = self._accepted(job, receipt, latency, heard=heard)
            if isinstance(answer, TidegateError):
                raise answer
            accepted.append(answer)
        return accepted

    def _accepted(
        self, job: NewJob, receipt: Receipt, latency: timedelta, *, heard: bool
    ) -> Accepted | IdempotencyConflict | EngineUnavailable:
        """What became of a job, told to all who listen, if anybody does."""
        match receipt.submission:
            case Submission.CREATED:
                if heard:
                    self._to.emit(Submitted(job=ref(job), latency=latency))
                return Accepted(receipt.job_id, created=True)
            case Submission.REPLAYED:
                self._to.emit(Replayed(job=replace(ref(job), job_id=receipt.job_id)))
                return Accepted(receipt.job_id, created=False)
            case Submission.CONFLICT:
                return IdempotencyConflict(job.spec.idempotency_key or job.id, receipt.job_id)
            case Submission.BUSY:
                return EngineUnavailable("another transaction holds this idempotency key; try again")
