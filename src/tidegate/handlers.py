"""Job types: what `@app.job` registers."""

import inspect
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, TypedDict, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError, to_json

from tidegate.context import Context
from tidegate.core import retry
from tidegate.core.job import MOST_PARENTS, PAYLOAD_LIMIT, Lane, Retention
from tidegate.core.retry import RetryPolicy
from tidegate.core.text import check_name, listed, plainly
from tidegate.errors import ConfigError, InvalidInput, TooLarge, UnknownJobType

LONGEST_TIMEOUT = timedelta(hours=24)
"""Of one run. A longer one is a process that never ends."""


class Mode(StrEnum):
    """Where a handler runs."""

    ASYNC = "async"  # on the worker's event loop
    THREAD = "thread"  # a plain function, in a thread
    PROCESS = "process"  # a plain function with cpu=True, in a process that a timeout can kill


class JobOptions(TypedDict, total=False):
    """What `@app.job` takes beside the name; the submitter may override most of it per job.

    `timeout` bounds one run, in seconds or as a timedelta. `cpu` runs a plain function in a killable
    process. `on_shutdown` "fail" ends a job whose worker stops instead of giving it back. `files` names
    payload fields that hold references to uploads: the worker fetches them before the run, as
    `ctx.files[field]`. `upstream` is what the handler calls: while its breaker is open the type's jobs wait.
    `when_open_submit` says what becomes of new ones over HTTP meanwhile, "reject" by default. `when_open_run`
    "fallback" lets them run all the same: the handler does without, by `ctx.upstream`.
    """

    queue: str
    upstream: str
    parents: tuple[str, ...]
    when_open_submit: Literal["reject", "accept"]
    when_open_run: Literal["wait", "fallback"]
    retry: RetryPolicy
    timeout: float | timedelta
    retry_on_timeout: bool
    retention: Retention
    cpu: bool
    on_shutdown: Literal["requeue", "fail"]
    files: tuple[str, ...]


Handler = Callable[..., object]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """A registered job type: its handler and the defaults of its jobs.

    `rejects` where a new job is refused over HTTP while the upstream of its lane is open.
    """

    name: str
    handler: Handler
    mode: Mode
    payload: TypeAdapter[object]
    wants_payload: bool
    wants_context: bool
    lane: Lane
    retry: RetryPolicy
    timeout: timedelta
    retry_on_timeout: bool
    retention: Retention
    fail_on_shutdown: bool
    files: tuple[str, ...]
    rejects: bool = False

    @property
    def description(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]

    def schema(self) -> Mapping[str, object]:
        """The payload's JSON schema, as strict as `check` is."""
        schema = self.payload.json_schema()
        _forbid_more(schema)
        return schema

    def check(self, payload: bytes) -> object:
        """The payload decoded: `"3"` is not 3, unknown fields are refused.

        Raises InvalidInput that names the first wrong field, TooLarge over 1 MiB.
        """
        if len(payload) > PAYLOAD_LIMIT:
            message = f"{len(payload)} bytes are more than the {PAYLOAD_LIMIT} allowed; upload the data and refer to it"
            raise TooLarge("payload", message, limit=PAYLOAD_LIMIT)
        try:
            return self.payload.validate_json(payload, strict=True, extra="forbid")
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
            field_path = ".".join(["payload", *(str(part) for part in first["loc"])])
            raise InvalidInput(field_path, plainly(str(first["msg"]))) from exc

    def arguments(self, payload: object, context: Context) -> Iterator[object]:
        """What the handler is called with."""
        if self.wants_payload:
            yield payload
        if self.wants_context:
            yield context


class Registry:
    """The job types of one application, by name."""

    def __init__(self) -> None:
        self._types: dict[str, JobType] = {}

    def add(self, name: str, handler: Handler, options: JobOptions) -> JobType:
        """Register a handler; raises ConfigError for a bad name, a second of that name, or a bad signature."""
        if name in self._types:
            raise ConfigError(f"job type {name!r} is registered twice")
        made = _job_type(name, handler, options)
        self._types[name] = made
        return made

    def copy(self) -> "Registry":
        """Another one with the same job types."""
        other = Registry()
        other._types.update(self._types)
        return other

    def get(self, name: str) -> JobType:
        """The job type of that name; raises UnknownJobType."""
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(sorted(self._types)) or "none"
            raise UnknownJobType("type", f"no job type {name!r} is registered here; known: {known}") from None

    def outside(self, queues: Container[str]) -> Mapping[str, tuple[str, ...]]:
        """The names of the job types whose jobs go to none of those queues unless told otherwise, by their queue."""
        found: dict[str, tuple[str, ...]] = {}
        for job_type in self:
            queue = job_type.lane.queue
            if queue not in queues:
                found[queue] = (*found.get(queue, ()), job_type.name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __iter__(self) -> Iterator[JobType]:
        return iter(sorted(self._types.values(), key=lambda job_type: job_type.name))

    @property
    def names(self) -> frozenset[str]:
        """The names of all job types."""
        return frozenset(self._types)


def encode(value: object) -> bytes:
    """A handler's value, or a payload, as JSON; raises InvalidInput for what JSON can't say."""
    try:
        return to_json(value, inf_nan_mode="null")
    except Exception as exc:  # pydantic_core raises several classes for what it can't serialise
        raise InvalidInput("", f"a {type(value).__name__} can't be written as JSON: {exc}") from exc


def _job_type(name: str, handler: Handler, options: JobOptions) -> JobType:
    try:
        check_name("type", name)
        lane, timeout, files = _lane(options), _timeout(options), listed("files", options.get("files", ()))
    except InvalidInput as exc:
        raise ConfigError(f"job type {name!r}: {exc}") from exc
    annotation, wants_payload, wants_context = _signature(name, handler)
    return JobType(
        name=name,
        handler=handler,
        mode=_mode(name, handler, cpu=options.get("cpu", False)),
        payload=_adapter(name, annotation),
        wants_payload=wants_payload,
        wants_context=wants_context,
        lane=lane,
        retry=options.get("retry", retry.DEFAULT),
        timeout=timeout,
        retry_on_timeout=options.get("retry_on_timeout", False),
        retention=options.get("retention", Retention()),
        fail_on_shutdown=options.get("on_shutdown") == "fail",
        files=files,
        rejects=lane.upstream is not None and options.get("when_open_submit", "reject") == "reject",
    )


def _lane(options: JobOptions) -> Lane:
    upstream, parents = options.get("upstream"), listed("parents", options.get("parents", ()))
    if len(parents) > MOST_PARENTS or (parents and upstream is None):
        raise InvalidInput("parents", f"at most {MOST_PARENTS} parents, and those of an upstream")
    lane = Lane(
        queue=check_name("queue", options.get("queue", "default")),
        upstream=None if upstream is None else check_name("upstream", upstream),
        parents=tuple(check_name("parents", parent) for parent in parents),
    )
    if options.get("when_open_run", "wait") == "fallback":
        return Lane(queue=lane.queue)  # such a job waits for no upstream
    return lane


def _timeout(options: JobOptions) -> timedelta:
    given = options.get("timeout", timedelta(seconds=600))
    timeout = given if isinstance(given, timedelta) else timedelta(seconds=given)
    if not timedelta(0) < timeout <= LONGEST_TIMEOUT:
        raise InvalidInput("timeout", "it must be above 0 and at most 24 hours")
    return timeout


def _mode(name: str, handler: Handler, *, cpu: bool) -> Mode:
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigError(f"job type {name!r}: its handler yields; a handler returns its value")
    if inspect.iscoroutinefunction(handler):
        if cpu:
            raise ConfigError(f"job type {name!r}: cpu=True is for plain functions, this one is async")
        return Mode.ASYNC
    if cpu and "<locals>" in getattr(handler, "__qualname__", "<locals>"):
        raise ConfigError(f"job type {name!r}: a cpu=True handler must be a function of a module, found there by name")
    return Mode.PROCESS if cpu else Mode.THREAD


def _signature(name: str, handler: Handler) -> tuple[type[object], bool, bool]:
    try:
        hints = get_type_hints(handler, include_extras=True)
        parameters = list(inspect.signature(handler).parameters.values())
    except (NameError, TypeError, ValueError) as exc:
        raise ConfigError(f"job type {name!r}: its handler's parameters can't be read: {exc}") from exc
    contexts = [p for p in parameters if _bare(hints.get(p.name)) is Context or p.name == "ctx"]
    payloads = [p for p in parameters if p not in contexts]
    in_order = not (contexts and payloads) or parameters[0] is payloads[0]
    plain = all(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    if len(payloads) > 1 or len(contexts) > 1 or not in_order or not plain:
        raise ConfigError(f"job type {name!r}: a handler takes (payload), (payload, ctx), (ctx) or nothing")
    annotation = hints.get(payloads[0].name, dict[str, object]) if payloads else dict[str, object]
    return annotation, bool(payloads), bool(contexts)


def _bare(annotation: object) -> object:
    """Without what `Annotated` adds."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _forbid_more(schema: object) -> None:
    """Say of every object whose fields are named that it has no others, in place."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _forbid_more(part)
    elif isinstance(schema, list):
        for part in schema:
            _forbid_more(part)


def _adapter(name: str, annotation: type[object]) -> TypeAdapter[object]:
    try:
        return TypeAdapter(annotation)
    except (PydanticUserError, SchemaError) as exc:
        raise ConfigError(f"job type {name!r}: its payload annotation can't be validated: {exc}") from exc
