"""A house for workers under test: a real system with short times, and what tests ask of it again and again."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TypedDict, TypeVar, Unpack

import pytest

from tests.conformance.postgres_store import database
from tests.conformance.valkey_store import namespace
from tidegate.clock import Clock, token
from tidegate.config import load
from tidegate.core.fairness import Turn
from tidegate.core.job import Job, JobId, Lease, NewJob, Owner, Spec, Status
from tidegate.core.query import Event as Step
from tidegate.core.retry import RetryPolicy, Steps
from tidegate.core.verbs import ClaimRequest
from tidegate.handlers import Handler, JobOptions, Registry
from tidegate.ports import Engine
from tidegate.requests import JobRequest
from tidegate.telemetry.events import Emitter, Event
from tidegate.upstreams import Policies
from tidegate.wiring import System, new_job_id, open_system
from tidegate.worker.active import Held
from tidegate.worker.identity import identity
from tidegate.worker.runtime import Runtime, WorkerSettings
from tidegate.worker.worker import Worker

Answer = TypeVar("Answer")
Heard = TypeVar("Heard")

STORES = ("memory", "sqlite", "valkey", "postgres")

on_sqlite = pytest.mark.parametrize("house", ["sqlite"], indirect=True)
on_memory = pytest.mark.parametrize("house", ["memory"], indirect=True)
"""For claims that take long to show and that the store has no part in."""
on_python = pytest.mark.parametrize("house", ["memory", "sqlite"], indirect=True)
"""For claims shown by changing a constant of the store's, which Lua and SQL have a copy of."""

LEASE = timedelta(seconds=1)
QUICK = WorkerSettings(
    slots=10,
    lease_for=LEASE,
    renew_every=timedelta(seconds=0.25),
    poll=timedelta(seconds=0.05),
    grace=timedelta(seconds=1),
    stop_grace=timedelta(seconds=0.3),
)
"""Every time a tenth of the usual, or less."""

AT_ONCE = RetryPolicy(backoff=Steps(delays=(timedelta(milliseconds=20),)), max_attempts=3)


class SubmitChanges(TypedDict, total=False):
    """The fields of `JobRequest` that tests set."""

    payload: bytes
    user_id: str
    queue: str
    timeout: timedelta
    retry: RetryPolicy
    max_attempts: int
    delay: timedelta
    request_id: str
    traceparent: str


@dataclass(slots=True)
class House:
    """One store, any number of workers. Handlers are added with `job`, then `worker` starts one."""

    system: System
    runtime: Runtime
    registry: Registry
    heard: list[Event]
    _stack: AsyncExitStack
    _workers: list[Worker] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        """The store."""
        return self.system.engine

    @property
    def clock(self) -> Clock:
        """The machine's clock."""
        return self.system.clock

    def job(self, name: str, handler: Handler, **options: Unpack[JobOptions]) -> None:
        """Register a handler."""
        self.registry.add(name, handler, options)

    async def worker(self, settings: WorkerSettings = QUICK) -> Worker:
        """A worker, started, and stopped at the end of the test if it still runs then."""
        return await self.worker_on(replace(self.runtime, settings=settings))

    async def worker_elsewhere(self, settings: WorkerSettings = QUICK) -> Worker:
        """A worker that knows of no other, as if it were in another process."""
        return await self.worker_on(replace(self.runtime, settings=settings, held=Held()))

    async def worker_on(self, runtime: Runtime) -> Worker:
        """The same, in surroundings that the test has changed."""
        worker = Worker(runtime, version="test")
        await worker.start()
        self._workers.append(worker)
        self._stack.push_async_callback(self._stop, worker)
        return worker

    async def stop(self, worker: Worker) -> None:
        """Stop a worker now."""
        self._workers.remove(worker)
        await worker.stop()

    async def _stop(self, worker: Worker) -> None:
        if worker in self._workers:
            worker.hurry()
            await self.stop(worker)

    async def submit(self, name: str, **asked: Unpack[SubmitChanges]) -> JobId:
        """Submit one job; its id."""
        [job_id] = await self.submit_many(name, 1, **asked)
        return job_id

    async def submit_many(self, name: str, count: int, **asked: Unpack[SubmitChanges]) -> list[JobId]:
        """Submit like jobs in one step; their ids."""
        request = JobRequest(type=name, **asked)
        return [JobId(accepted.job_id) for accepted in await self.system.client.submit_many([request] * count)]

    def new_job(self, name: str, payload: bytes, timeout: timedelta = timedelta(seconds=600)) -> NewJob:
        """A job as the client would make it, unchecked."""
        return NewJob(id=new_job_id(), spec=Spec(type=name, timeout=timeout), payload=payload)

    async def submit_raw(self, new: NewJob) -> JobId:
        """Submit a job past the client's checks."""
        await self.engine.submit([new])
        return new.id

    async def look(self, job_id: JobId) -> Job:
        """The job as the store has it."""
        [job] = await self.engine.get([job_id])
        assert job is not None
        return job

    async def ended(self, job_id: JobId, within: float = 8) -> Job:
        """The job once it has ended."""
        return await self.until(job_id, lambda job: job.status.finished, within)

    async def all_ended(self, job_ids: list[JobId], within: float = 8) -> list[Job]:
        """All of them, once they have."""
        return [await self.ended(job_id, within) for job_id in job_ids]

    async def until(self, job_id: JobId, reached: Callable[[Job], bool], within: float = 8) -> Job:
        """The job once it is so; fails with what it is instead."""
        watch = Watch()
        while True:
            job = await self.look(job_id)
            if reached(job):
                return job
            assert watch.seconds < within, f"still {job}"
            await asyncio.sleep(0.005)

    async def running(self, job_id: JobId) -> Job:
        """The job once it runs."""
        return await self.until(job_id, lambda job: job.status is Status.RUNNING)

    async def steps(self, job_id: JobId) -> list[Step]:
        """The job's history, oldest first."""
        return [entry.event for entry in await self.engine.history(job_id)]

    async def result(self, job_id: JobId) -> bytes | None:
        """The inline result, as stored."""
        [body] = await self.engine.bodies([job_id])
        assert body is not None
        return body.result

    async def artifact(self, path: str | None) -> bytes:
        """An artifact's content."""
        assert path is not None
        return await self.runtime.artifacts.get(path, max_bytes=10_000_000)

    async def artifacts(self, job_id: JobId) -> list[str]:
        """The names of all artifacts that any run of the job left, without the run's prefix."""
        found = [info.path async for info in self.runtime.artifacts.list(f"jobs/{job_id}")]
        return sorted(path.split("/", 3)[3] for path in found)

    def events(self, kind: type[Heard]) -> list[Heard]:
        """What was emitted of one kind."""
        return [event for event in list(self.heard) if isinstance(event, kind)]

    async def claim_as(self, owner: Owner, name: str, lease_for: timedelta = LEASE) -> Lease:
        """Take one ready job as somebody else."""
        request = ClaimRequest(
            owner=owner,
            turns=(Turn(queue="default", quota=1),),
            types=frozenset({name}),
            limit=1,
            lease_for=lease_for,
        )
        [lease] = (await self.engine.claim(request, token())).leases
        return lease


@asynccontextmanager
async def url_of(store: str, path: Path) -> AsyncIterator[str]:
    """The URL of a fresh store."""
    match store:
        case "memory":
            yield "memory://"
        case "sqlite":
            yield f"sqlite:///{path}/tidegate.db"
        case "valkey":
            async with namespace() as url:
                yield url
        case "postgres":
            async with database() as url:
                yield url
        case _:
            raise ValueError(store)


@asynccontextmanager
async def open_house(path: Path, url: str, policies: Policies | None = None) -> AsyncIterator[House]:
    """A fresh house; its workers are stopped, hurried, at the end."""
    registry, emit, heard = Registry(), Emitter(), list[Event]()
    emit.subscribe(heard.append)
    settings = load(data_dir=path, engine=url, poll=QUICK.poll)
    async with open_system(settings, registry, emit, policies) as system, AsyncExitStack() as stack:
        runtime = replace(system.runtime, settings=QUICK)
        yield House(system, runtime, system.registry, heard, stack)


async def eventually(check: Callable[[], bool], within: float = 5) -> None:
    """Return once `check` holds; fails when it does not in time."""
    watch = Watch()
    while True:
        if check():
            return
        assert watch.seconds < within, "it did not come to pass in time"
        await asyncio.sleep(0.005)


async def soon(waiting: Awaitable[Answer], within: float = 5) -> Answer:
    """The answer, in time."""
    async with asyncio.timeout(within):
        return await waiting


def dead_owner() -> Owner:
    """The name of a worker of this boot and pid namespace whose process has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    boot, namespace, _, started, nonce = identity(token()).split(".")
    return Owner(".".join([boot, namespace, str(process.pid), started, nonce]))


def lives(pid: int) -> bool:
    """Whether a process of this number runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Watch:
    """How long something took."""

    def __init__(self) -> None:
        self._from = monotonic()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return monotonic() - self._from
