"""The library face: `Tidegate`, `@app.job`, `submit`, `await job.result()`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from itertools import repeat
from typing import Concatenate, Generic, Self, TypeAlias, TypedDict, TypeVar, Unpack, cast, overload

from pydantic import TypeAdapter

from tidegate.client import Client
from tidegate.config import Settings, load
from tidegate.context import Context, Result
from tidegate.core.job import Job
from tidegate.core.query import JobQuery, Page
from tidegate.core.retry import RetryPolicy
from tidegate.core.text import listed
from tidegate.errors import ConfigError, InvalidInput
from tidegate.handlers import JobOptions, JobType, Registry, encode
from tidegate.requests import JobRequest
from tidegate.schedules import Book, Plan, ScheduleOptions, declare, planned, timetable
from tidegate.system_jobs import SYSTEM_PREFIX
from tidegate.telemetry.events import Emitter
from tidegate.upstreams import Policies, QueueCircuits, UpstreamOptions, declared
from tidegate.wiring import System, open_system

Payload = TypeVar("Payload")
Payload_contra = TypeVar("Payload_contra", contravariant=True)
Value = TypeVar("Value")

Alone: TypeAlias = Callable[[], Value] | Callable[[Context], Value]
"""A handler without payload."""

Fed: TypeAlias = Callable[Concatenate[Payload, ...], Value]
"""A handler with one."""


class BatchOptions(TypedDict, total=False):
    """What `submit_many` takes for all of its jobs; anything left out is the job type's default.

    `delay` and `timeout` are seconds or timedeltas. See docs/reference/jobs.md.
    """

    user_id: str
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


class SubmitOptions(BatchOptions, total=False):
    """What `submit` takes beside function and payload."""

    idempotency_key: str


_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "submit_many": BatchOptions.__annotations__,
    "schedule": ScheduleOptions.__annotations__,
}
"""What the calls take that don't take what `submit` does."""


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
    """A submitted job. `created` is whether this call made it: False when the idempotency key had done so before."""

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
        self.policies = Policies()
        self._plans: dict[str, Plan] = {}
        self.emit = emit or Emitter()
        self._system: System | None = None
        self._stack: AsyncExitStack | None = None

    def configured(self, settings: Settings, emit: Emitter) -> Self:
        """This application, to be opened with these settings: what `tidegate serve` does with yours."""
        self._settings, self.emit = settings, emit
        return self

    def job(self, name: str, **options: Unpack[JobOptions]) -> Decorator:
        """Register a handler as job type `name`; raises ConfigError, and TypeError for an option it does not know."""
        _check_names("job", options, JobOptions.__annotations__)
        if name.startswith(SYSTEM_PREFIX):
            raise ConfigError(f"job type {name!r}: names that begin with {SYSTEM_PREFIX!r} are Tidegate's own")
        return Decorator(lambda handler: self.registry.add(name, handler, options))

    def upstream(self, name: str, **options: Unpack[UpstreamOptions]) -> None:
        """Declare what is known of an upstream; one that is not declared has the rules `api`. Raises ConfigError."""
        self.policies = declared(self.policies, name, options)

    def schedule(
        self,
        name: str,
        expression: str,
        job: JobFunction[Payload, Value],
        payload: Payload,
        **options: Unpack[ScheduleOptions],
    ) -> None:
        """Have workers submit a job at each tick of a cron expression, once in the whole fleet.

        It is stored when the application is opened. Raises ConfigError, and TypeError for an option it does not know.
        """
        _check_call("schedule", job, options)
        plan = planned(timetable(name, expression, options), job.job_type, payload, options)
        if plan.key in self._plans:
            raise ConfigError(f"schedule {name!r} is declared twice")
        self._plans[plan.key] = plan

    @property
    def schedules(self) -> Book:
        """The schedules in the store."""
        return Book(self.system.engine, self.system.runtime.nonce)

    @property
    def queues(self) -> QueueCircuits:
        """The breakers of queues: tell them of rate limits, ask them, pause and resume."""
        return QueueCircuits(self.system.upstreams)

    async def submit(
        self, job: JobFunction[Payload, Value], payload: Payload, **options: Unpack[SubmitOptions]
    ) -> JobHandle[Value]:
        """Accept a job, durably, and return at once. Raises InvalidInput, IdempotencyConflict, EngineUnavailable.

        An option of an unknown name is a TypeError.
        """
        _check_call("submit", job, options)
        accepted = await self.client.submit(_request(job.name, payload, options, options.get("idempotency_key")))
        return JobHandle(self.client, accepted.job_id, created=accepted.created)

    async def submit_many(
        self,
        job: JobFunction[Payload, Value],
        payloads: Sequence[Payload],
        *,
        keys: Sequence[str] = (),
        **options: Unpack[BatchOptions],
    ) -> list[JobHandle[Value]]:
        """Accept a job for each payload in one call; `keys` are their idempotency keys, one each, or none.

        All are checked before any is stored. Where a key belongs to other work, IdempotencyConflict is raised and the
        others are stored; after EngineUnavailable nobody knows which are: ask again under the same keys.
        """
        _check_call("submit_many", job, options)
        each, own = listed("payloads", payloads), listed("keys", keys)
        if own and len(own) != len(each):
            raise InvalidInput("keys", f"{len(own)} keys for {len(each)} payloads: give one each, or none")
        keyed = zip(each, own or repeat(None, len(each)), strict=True)
        accepted = await self.client.submit_many([_request(job.name, payload, options, key) for payload, key in keyed])
        return [JobHandle(self.client, one.job_id, created=one.created) for one in accepted]

    async def submit_in(
        self, connection: object, job: JobFunction[Payload, Value], payload: Payload, **options: Unpack[SubmitOptions]
    ) -> JobHandle[Value]:
        """Accept a job in your own asyncpg transaction on PostgreSQL: it exists if and only if you commit.

        Raises as `submit` does, InvalidInput outside of a transaction, and ConfigError on a store that has no such
        thing.
        """
        _check_call("submit_in", job, options)
        request = _request(job.name, payload, options, options.get("idempotency_key"))
        [accepted] = await self.client.submit_in(connection, [request])
        return JobHandle(self.client, accepted.job_id, created=accepted.created)

    def handle(self, job_id: str) -> JobHandle[object]:
        """The handle of a job submitted earlier, or elsewhere; whether there is one, its methods tell."""
        return JobHandle(self.client, job_id, created=False)

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
        async with open_system(settings, self.registry, self.emit, self.policies, frozenset(self._plans)) as system:
            self._system = system
            try:
                if self._plans:
                    await declare(self.schedules, self._plans.values())
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


def _check_call(verb: str, job: object, options: Mapping[str, object]) -> None:
    if not isinstance(job, JobFunction):
        raise TypeError(f"{verb}() takes the function that @app.job registered, not {job!r:.100}")
    _check_names(verb, options, _OPTIONS.get(verb, SubmitOptions.__annotations__))


def _check_names(verb: str, given: Mapping[str, object], known: Mapping[str, object]) -> None:
    """A misspelt option would be a silent default."""
    for name in given:
        if name not in known:
            raise TypeError(f"{verb}() has no option {name!r}; it has: {', '.join(sorted(known))}")


def _request(name: str, payload: object, options: BatchOptions, key: str | None) -> JobRequest:
    return JobRequest(
        type=name,
        payload=b"{}" if payload is None else encode(payload),
        user_id=options.get("user_id", ""),
        idempotency_key=key,
        queue=options.get("queue"),
        priority=options.get("priority", 0),
        run_at=options.get("run_at"),
        delay=_maybe(options.get("delay")),
        max_attempts=options.get("max_attempts"),
        retry=options.get("retry"),
        timeout=_maybe(options.get("timeout")),
        expires_at=options.get("expires_at"),
        tags=listed("tags", options.get("tags", ())),
        request_id=options.get("request_id", ""),
    )


def _maybe(seconds: float | timedelta | None) -> timedelta | None:
    return None if seconds is None else _timedelta(seconds)
