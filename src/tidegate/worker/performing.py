"""Call the handler: on the loop, in a thread, or in a process that can be killed."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tidegate.context import Context, LocalFile, Result, Saved
from tidegate.core.failure import INVALID_PAYLOAD, Failure, failure_of
from tidegate.core.job import Lost, Token
from tidegate.errors import ArtifactNotFound, InvalidInput, TidegateError
from tidegate.handlers import JobType, Mode, encode
from tidegate.telemetry.events import ref
from tidegate.telemetry.logs import job_logger
from tidegate.worker.active import Active
from tidegate.worker.processes import Answered, Processes
from tidegate.worker.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """What a handler returned, encoded, and the files it saved."""

    result: bytes | None = None
    degraded: bool = False
    served_by: str | None = None
    saved: tuple[Saved, ...] = field(default=())


Made = Produced | Failure | Lost

Answer = TypeVar("Answer")


class Performer:
    """Runs handlers for one worker; `close` ends its threads and processes."""

    def __init__(self, to: Runtime) -> None:
        self._to = to
        self._threads = ThreadPoolExecutor(to.settings.slots, thread_name_prefix="tidegate-job")
        self._processes = Processes()
        self._folders: dict[Token, Path] = {}

    async def perform(self, active: Active) -> Made:
        """What came of the handler. Never raises, but when the worker itself is cancelled."""
        try:
            return await self._called(active)
        except asyncio.CancelledError as exc:
            if active.why is None:
                raise  # somebody cancels the worker itself
            _uncancel()
            return failure_of(exc)
        except BaseException as exc:  # a handler's SystemExit must not end the worker
            return failure_of(exc)

    async def _called(self, active: Active) -> Made:
        job = active.lease.job
        job_type = self._to.registry.get(job.spec.type)
        try:
            payload = job_type.check(active.lease.payload)
        except InvalidInput as exc:
            return _unfit(exc)
        if job_type.mode is Mode.ASYNC and not job_type.wants_context and not job_type.files:
            return await self._on_loop(active, job_type, payload, None)
        folder = self._folders[active.lease.token] = self._to.scratch / f"{job.id}-{job.counters.runs}"
        try:
            files = await self._fetched(active, job_type, payload, folder)
        except ArtifactNotFound as exc:
            return _unfit(exc)
        context = self._context(active, folder, files)
        match job_type.mode:
            case Mode.ASYNC:
                return await self._on_loop(active, job_type, payload, context)
            case Mode.THREAD:
                return await self._in_thread(job_type, payload, context)
            case Mode.PROCESS:
                return await self._in_process(active, job_type, context)

    async def _on_loop(self, active: Active, job_type: JobType, payload: object, context: Context | None) -> Made:
        task = asyncio.current_task()
        assert task is not None
        with _Interruptible(active, task.cancel):
            value = await _awaited(job_type, payload, context)
        return _produced(value, context)

    async def _in_thread(self, job_type: JobType, payload: object, context: Context) -> Made:
        """A thread can't be killed: it is asked to stop, and its slot is taken until it has."""
        call = copy_context().run
        arguments = [*job_type.arguments(payload, context)]
        value = await _outlast(self._threads, lambda: call(job_type.handler, *arguments))
        return _produced(value, context)

    async def _in_process(self, active: Active, job_type: JobType, context: Context) -> Made:
        child = self._processes.lend()
        try:
            with _Interruptible(active, child.kill):
                answer = await _outlast(self._threads, lambda: child.call(job_type, active.lease.payload, context))
        finally:
            self._processes.give_back(child)
        if not isinstance(answer, Answered):
            return answer
        return Produced(
            result=answer.result,
            degraded=answer.degraded,
            served_by=answer.served_by,
            saved=answer.saved,
        )

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
            run=job.counters.runs,
            attempt=job.attempts,
            log=job_logger(ref(job)),
            link=active,
            folder=folder,
            files=files,
        )

    async def discard(self, active: Active) -> None:
        """Remove the run's scratch folder, if it may have used one."""
        folder = self._folders.pop(active.lease.token, None)
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def close(self) -> None:
        """End idle processes at once; threads end when their handlers do."""
        self._processes.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Interruptible:
    """While it lasts, a stop calls `interrupt`."""

    def __init__(self, active: Active, interrupt: Callable[[], object]) -> None:
        self._active = active
        self._interrupt = interrupt

    def __enter__(self) -> None:
        self._active.interrupt = lambda: (self._interrupt(), None)[1]
        if self._active.why is not None:
            self._interrupt()

    def __exit__(self, *exc: object) -> None:
        self._active.interrupt = None


async def _awaited(job_type: JobType, payload: object, context: Context | None) -> object:
    arguments: list[object] = []
    if job_type.wants_payload:
        arguments.append(payload)
    if context is not None and job_type.wants_context:
        arguments.append(context)
    answer = job_type.handler(*arguments)
    assert isinstance(answer, Awaitable)
    value: object = await answer
    return value


async def _outlast(threads: ThreadPoolExecutor, call: Callable[[], Answer]) -> Answer:
    """Run a call in a thread and wait for its end, whatever is cancelled meanwhile."""
    future = asyncio.wrap_future(threads.submit(call))
    while True:
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.done():
                raise
            _uncancel()


def _produced(value: object, context: Context | None) -> Produced:
    wrapped = value if isinstance(value, Result) else Result(value=value)
    return Produced(
        result=None if wrapped.value is None else encode(wrapped.value),
        degraded=wrapped.degraded,
        served_by=wrapped.served_by,
        saved=tuple(context.saved) if context is not None else (),
    )


def _unfit(error: TidegateError) -> Failure:
    """A payload that no run can use: no other attempt would help."""
    return Failure(code=INVALID_PAYLOAD, message=str(error), error_type=type(error).__name__, transient=False)


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
