"""Call the handler: on the loop, in a thread, or in a process that can be killed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Final

from tidegate.context import Context, LocalFile
from tidegate.core.failure import INVALID_PAYLOAD, PROCESSING_ERROR, Failure, failure_of
from tidegate.core.job import Owner
from tidegate.errors import ArtifactNotFound, InvalidInput, TidegateError
from tidegate.handlers import JobType, Mode
from tidegate.telemetry.logs import JobLog
from tidegate.worker.active import Active, Interruptible
from tidegate.worker.calling import Calls
from tidegate.worker.marking import Marker
from tidegate.worker.processes import Child, Processes
from tidegate.worker.producing import Made, produced
from tidegate.worker.raising import raised
from tidegate.worker.runtime import Runtime
from tidegate.worker.scratch import Scratch
from tidegate.worker.threads import Threads

STOPPED: Final = Failure(code=PROCESSING_ERROR, message="it was stopped before it began")


class Performer:
    """Runs handlers for one worker; `close` ends its threads and processes."""

    def __init__(self, to: Runtime, owner: Owner) -> None:
        self._to = to
        self._threads = Threads("tidegate-job")
        self._processes = Processes()
        self._scratch = Scratch(to.scratch, owner)

    async def open(self) -> None:
        """Clear away what dead workers left in the scratch folder."""
        await self._threads.run(self._scratch.close)

    async def perform(self, active: Active) -> Made:
        """What came of the handler, which is called in this very task. Never raises."""
        try:
            if active.task is None or active.why is not None:
                return STOPPED
            active.interrupt = active.task.cancel
            return await self._called(active)
        except asyncio.CancelledError as exc:
            return failure_of(exc)
        except BaseException as exc:  # a handler's SystemExit must not end the worker
            return raised(exc, JobLog(active.lease.job), active.calls)
        finally:
            active.interrupt = None

    async def _called(self, active: Active) -> Made:
        job = active.lease.job
        job_type = self._to.registry.get(job.spec.type)
        try:
            payload = job_type.check(active.lease.payload)
        except InvalidInput as exc:
            return _unfit(exc)
        if job_type.mode is Mode.ASYNC and not job_type.wants_context and not job_type.files:
            return produced(await _awaited(job_type, payload, None), None)
        folder = self._scratch.give(active.lease.token, job)
        try:
            files = await self._fetched(active, job_type, payload, folder)
        except ArtifactNotFound as exc:
            return _unfit(exc)
        context = self._context(active, folder, files)
        match job_type.mode:
            case Mode.ASYNC:
                return produced(await _awaited(job_type, payload, context), context)
            case Mode.THREAD:
                return await self._in_thread(active, job_type, payload, context)
            case Mode.PROCESS:
                return await self._in_process(active, job_type, context)

    async def _in_thread(self, active: Active, job_type: JobType, payload: object, context: Context) -> Made:
        """A thread can't be killed: it is asked to stop, and its slot is taken until it has."""
        arguments = [*job_type.arguments(payload, context)]
        call = partial(copy_context().run, job_type.handler, *arguments)
        with Interruptible(active, _nothing):
            return await self._threads.run(partial(_made, call, context, active.calls))

    async def _in_process(self, active: Active, job_type: JobType, context: Context) -> Made:
        child = self._processes.lend()
        with Interruptible(active, child.kill):
            return await self._threads.run(partial(self._ask, child, job_type, active.lease.payload, context))

    def _ask(self, child: Child, job_type: JobType, payload: bytes, context: Context) -> Made:
        try:
            return child.call(job_type, payload, context)
        except Exception as exc:
            return failure_of(exc)
        finally:
            self._processes.give_back(child)

    async def _fetched(
        self, active: Active, job_type: JobType, payload: object, folder: Path
    ) -> Mapping[str, LocalFile]:
        if not job_type.files:
            return {}
        inputs = folder / ".files"
        inputs.mkdir(mode=0o700, parents=True, exist_ok=True)
        files: dict[str, LocalFile] = {}
        for name in job_type.files:
            reference = payload.get(name) if isinstance(payload, Mapping) else getattr(payload, name, None)
            if isinstance(reference, str):
                files[name] = await self._to.fetch(reference, active.lease.job.spec.user_id, inputs)
        return files

    def _context(self, active: Active, folder: Path, files: Mapping[str, LocalFile]) -> Context:
        job = active.lease.job
        return Context(
            job_id=job.id,
            type=job.spec.type,
            user_id=job.spec.user_id,
            request_id=job.spec.request_id,
            traceparent=job.spec.traceparent,
            run=job.counters.runs,
            attempt=job.attempts,
            log=JobLog(job),
            link=active,
            folder=folder,
            files=files,
            guard=Marker(self._calls(active)),
        )

    def _calls(self, active: Active) -> Calls:
        if active.calls is None:
            active.calls = calls_of(active, self._to)
        return active.calls

    def left(self, active: Active) -> Path | None:
        """The run's scratch folder, if it has made one; it is the caller's to remove."""
        return self._scratch.take(active.lease.token)

    async def remove(self, folder: Path) -> None:
        """Remove a folder that a run left."""
        await self._threads.run(partial(rmtree, folder, ignore_errors=True))

    async def close(self) -> None:
        """End idle processes at once; threads end when their handlers do."""
        self._processes.close()
        await self._threads.run(self._scratch.close)
        self._threads.close()


def calls_of(active: Active, to: Runtime) -> Calls:
    """The calls of a run that begins."""
    calls = Calls(active.lease, to.upstreams, to.clock, active.timed_out)
    calls.begin()
    return calls


async def _awaited(job_type: JobType, payload: object, context: Context | None) -> object:
    arguments = [payload] if job_type.wants_payload else []
    if context is not None and job_type.wants_context:
        arguments.append(context)
    answer = job_type.handler(*arguments)
    assert isinstance(answer, Awaitable)
    value: object = await answer
    return value


def _made(call: Callable[[], object], context: Context, calls: Calls | None) -> Made:
    """What came of a call in a thread; encoded there, for that may take long."""
    try:
        return produced(call(), context)
    except BaseException as exc:  # SystemExit and StopIteration can't be carried out of a thread
        return raised(exc, context.log, calls)


def _unfit(error: TidegateError) -> Failure:
    """A payload that no run can use: no other attempt would help."""
    return Failure(code=INVALID_PAYLOAD, message=str(error), error_type=type(error).__name__, transient=False)


def _nothing() -> None:
    return None
