"""The library face: `Tidegate`, `@app.job`, `submit`, `await job.result()`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Concatenate, Generic, Self, TypeAlias, TypedDict, TypeVar, Unpack, cast, overload

from pydantic import TypeAdapter

from tidegate.client import Client
from tidegate.config import Settings, load
from tidegate.context import Context, Result
from tidegate.core.job import Job
from tidegate.core.query import JobQuery, Page
from tidegate.core.retry import RetryPolicy
from tidegate.errors import ConfigError, InvalidInput
from tidegate.handlers import JobOptions, JobType, Registry, encode
from tidegate.requests import JobRequest
from tidegate.telemetry.events import Emitter
from tidegate.wiring import System, open_system

Payload = TypeVar("Payload")
Payload_contra = TypeVar("Payload_contra", contravariant=True)
Value = TypeVar("Value")

Alone: TypeAlias = Callable[[], Value] | Callable[[Context], Value]
"""A handler without payload."""

Fed: TypeAlias = Callable[Concatenate[Payload, ...], Value]
"""A handler with one."""


class SubmitOptions(TypedDict, total=False):
    """What `submit` takes beside function and payload; anything left out is the job type's default.

    `delay` and `timeout` are seconds or timedeltas. See docs/reference/jobs.md.
    """

    user_id: str
    idempotency_key: str
    queue: str
    priority: int
    run_at: datetime
    delay: float | timedelta
    max_attempts: int
    retry: RetryPolicy
    timeout: float | timedelta
    expires_at: datetime
    tags: tuple[str, ...]
    request_id: str


class JobFunction(Generic[Payload, Value]):
    """A function registered as a job type. Calling it calls the function itself, at once, in place."""

    def __init__(self, job_type: JobType) -> None:
        self.job_type = job_type
        self.name = job_type.name
        self.handler = job_type.handler
        self.__doc__ = job_type.handler.__doc__

    def __call__(self, *arguments: object) -> object:
        """Run the handler as an ordinary function."""
        return self.handler(*arguments)

    def __repr__(self) -> str:
        return f"<job type {self.name!r}>"


class Decorator:
    """What `app.job("name")` gives: it turns a handler into a `JobFunction`."""

    def __init__(self, register: Callable[[Callable[..., object]], JobType]) -> None:
        self._register = register

    @overload
    def __call__(self, handler: Alone[Awaitable[Result[Value]]]) -> JobFunction[None, Value]: ...
    @overload
    def __call__(self, handler: Alone[Awaitable[Value]]) -> JobFunction[None, Value]: ...
    @overload
    def __call__(self, handler: Alone[Result[Value]]) -> JobFunction[None, Value]: ...
    @overload
    def __call__(self, handler: Alone[Value]) -> JobFunction[None, Value]: ...
    @overload
    def __call__(self, handler: Fed[Payload, Awaitable[Result[Value]]]) -> JobFunction[Payload, Value]: ...
    @overload
    def __call__(self, handler: Fed[Payload, Awaitable[Value]]) -> JobFunction[Payload, Value]: ...
    @overload
    def __call__(self, handler: Fed[Payload, Result[Value]]) -> JobFunction[Payload, Value]: ...
    @overload
    def __call__(self, handler: Fed[Payload, Value]) -> JobFunction[Payload, Value]: ...
    def __call__(self, handler: Callable[..., object]) -> object:
        return JobFunction[object, object](self._register(handler))


class JobHandle(Generic[Value]):
    """A submitted job. `created` is False when the idempotency key had made it before."""

    def __init__(self, client: Client, job_id: str, *, created: bool) -> None:
        self._client = client
        self.id = job_id
        self.created = created

    async def status(self) -> Job:
        """The job as it is now; raises JobNotFound once it is pruned."""
        return await self._client.get(self.id)

    async def result(self, timeout: float | timedelta = 600) -> Value:
        """What the handler returned, as JSON gives it back (models become dicts).

        `timeout` is in seconds or a timedelta. Raises JobFailed, JobCancelled or ResultTimeout.
        """
        text = await self._client.result(self.id, _timedelta(timeout))
        return cast(Value, None if text is None else TypeAdapter(object).validate_json(text))

    async def cancel(self) -> Job:
        """Cancel it, or ask its run to stop; raises IllegalTransition once it has ended."""
        return await self._client.cancel(self.id)

    def __repr__(self) -> str:
        return f"<job {self.id}>"


class Tidegate:
    """An application: its job types, and, while open, its store.

    `async with app:` opens the store and runs an embedded worker; `async with app.connected():` opens it
    without one, where workers run elsewhere. Settings come from `TIDEGATE_*` unless given:
    `Tidegate(load(engine="memory://"))`.
    """

    def __init__(self, settings: Settings | None = None, *, emit: Emitter | None = None) -> None:
        self._settings = settings
        self.registry = Registry()
        self.emit = emit or Emitter()
        self._system: System | None = None
        self._stack: AsyncExitStack | None = None

    def configured(self, settings: Settings, emit: Emitter) -> Self:
        """This application, to be opened with these settings: what `tidegate serve` does with yours."""
        self._settings, self.emit = settings, emit
        return self

    def job(self, name: str, **options: Unpack[JobOptions]) -> Decorator:
        """Register a handler as job type `name`; raises ConfigError."""
        return Decorator(lambda handler: self.registry.add(name, handler, options))

    async def submit(
        self, job: JobFunction[Payload, Value], payload: Payload, **options: Unpack[SubmitOptions]
    ) -> JobHandle[Value]:
        """Accept a job, durably, and return at once. Raises InvalidInput, IdempotencyConflict, EngineUnavailable."""
        accepted = await self.client.submit(_request(job.name, payload, options))
        return JobHandle(self.client, accepted.job_id, created=accepted.created)

    async def submit_in(
        self, connection: object, job: JobFunction[Payload, Value], payload: Payload, **options: Unpack[SubmitOptions]
    ) -> JobHandle[Value]:
        """Accept a job in your own asyncpg transaction on PostgreSQL: it exists if and only if you commit.

        Raises as `submit` does, and ConfigError on a store that has no such thing.
        """
        [accepted] = await self.client.submit_in(connection, [_request(job.name, payload, options)])
        return JobHandle(self.client, accepted.job_id, created=accepted.created)

    async def find(self, query: JobQuery) -> Page:
        """Jobs that match, newest first."""
        return await self.client.find(query)

    @property
    def client(self) -> Client:
        """The client of the open store; raises ConfigError when it is not open."""
        return self.system.client

    @property
    def system(self) -> System:
        """Everything that is open; raises ConfigError when nothing is."""
        if self._system is None:
            raise ConfigError("the application is not open: use `async with app:` around this")
        return self._system

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Self]:
        """Open the store without a worker."""
        settings = self._settings or load()
        async with open_system(settings, self.registry, self.emit) as system:
            self._system = system
            try:
                yield self
            finally:
                self._system = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.connected())
            worker = self.system.worker()
            await worker.start()
            stack.push_async_callback(worker.stop)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._stack is not None:
            await self._stack.aclose()
            self._stack = None


def _timedelta(seconds: float | timedelta) -> timedelta:
    try:
        return seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
    except (ValueError, OverflowError) as exc:
        raise InvalidInput("", f"{seconds} is no number of seconds") from exc


def _request(name: str, payload: object, options: SubmitOptions) -> JobRequest:
    return JobRequest(
        type=name,
        payload=b"{}" if payload is None else encode(payload),
        user_id=options.get("user_id", ""),
        idempotency_key=options.get("idempotency_key"),
        queue=options.get("queue"),
        priority=options.get("priority", 0),
        run_at=options.get("run_at"),
        delay=_maybe(options.get("delay")),
        max_attempts=options.get("max_attempts"),
        retry=options.get("retry"),
        timeout=_maybe(options.get("timeout")),
        expires_at=options.get("expires_at"),
        tags=options.get("tags", ()),
        request_id=options.get("request_id", ""),
    )


def _maybe(seconds: float | timedelta | None) -> timedelta | None:
    return None if seconds is None else _timedelta(seconds)
