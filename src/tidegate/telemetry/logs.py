"""All log text: what each event says as a line, and how lines are written.

One event, one line: JSON, or for a person at a terminal the same fields as text. Every line, whoever wrote it,
passes `redaction` last.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Literal, TextIO, TypeAlias

import structlog
from structlog.typing import FilteringBoundLogger

from tidegate.clock import Clock, SystemClock
from tidegate.core.failure import ARTIFACT_FAILED, EXPIRED
from tidegate.core.job import Job
from tidegate.core.upstream import Transition
from tidegate.telemetry import events, rendering
from tidegate.telemetry.events import Ended, Event, JobRef, Kind
from tidegate.telemetry.redaction import rfc3339, word
from tidegate.telemetry.sink import Sink, write_to

Level: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]
Field: TypeAlias = str | int | float | None

_TASK_VALUE: Final = re.compile(r"\b(result|exception)=.*")


@dataclass(frozen=True, slots=True)
class Line:
    """What an event says: how grave it is, its stable dotted name, and its fields."""

    level: Level
    name: str
    fields: dict[str, Field]


_ENDINGS: Final[Mapping[Ended, tuple[Level, str]]] = {
    Ended.SUCCEEDED: ("info", "job.completed"),
    Ended.RETRIED: ("warning", "job.retry_scheduled"),
    Ended.DEFERRED: ("info", "job.deferred"),
    Ended.FAILED: ("error", "job.failed"),
    Ended.CANCELLED: ("info", "job.cancelled"),
}
_GRAVITY: Final[Mapping[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_STEPS: Final[Mapping[type[Event], tuple[Level, str]]] = {
    events.Submitted: ("info", "job.enqueued"),
    events.Replayed: ("info", "job.replayed"),
    events.Claimed: ("info", "job.dequeued"),
    events.EndingLost: ("warning", "job.ending_lost"),
    events.Reclaimed: ("warning", "job.reclaimed"),
    events.CancelRequested: ("info", "job.cancel_requested"),
    events.Revived: ("info", "job.revived"),
    events.Dismissed: ("info", "job.dismissed"),
    events.Expired: ("error", "job.expired"),
    events.ResultStoreFailed: ("error", "job.result_store_failed"),
    events.Pruned: ("info", "jobs.pruned"),
    events.WorkerStarted: ("info", "worker.started"),
    events.WorkerStopping: ("info", "worker.stopping"),
    events.WorkerStopped: ("info", "worker.stopped"),
    events.StoreDown: ("error", "store.down"),
    events.StoreBack: ("info", "store.back"),
    events.SlowHeartbeat: ("warning", "worker.slow_heartbeat"),
    events.UpstreamChanged: ("warning", "upstream.changed"),
    events.ScheduleTicked: ("info", "schedule.ticked"),
    events.ScheduleMissed: ("warning", "schedule.missed"),
    events.ScheduleFailing: ("error", "schedule.failing"),
    events.ScheduleHeld: ("info", "schedule.held"),
    events.ScheduleRetired: ("warning", "schedule.retired"),
    events.ListenerFailed: ("error", "telemetry.listener_failed"),
}


def describe(event: Event) -> Line:
    """The line that tells of an event; `ref`'s ids first, as far as they are known."""
    level, name = _ENDINGS[event.ended] if isinstance(event, events.Finished) else _STEPS[type(event)]
    fields = ids(event.job) if isinstance(event, events.JobEvent) else {}
    fields.update(_details(event))
    return Line(level, name, fields)


def ids(job: JobRef) -> dict[str, Field]:
    """The fields that say which job, and which run of it, a line is about."""
    fields: dict[str, Field] = {
        "request_id": job.request_id,
        "job_id": job.job_id,
        "user_id": job.user_id,
        "type": job.type,
        "queue": job.queue,
        "run": job.run,
        "attempts": job.attempts,
    }
    if job.upstream:
        fields["upstream"] = job.upstream
    return fields if job.type else {name: value for name, value in fields.items() if value not in {"", None}}


def _details(event: Event) -> dict[str, Field]:
    match event:
        case events.Submitted() | events.Claimed():
            return {} if event.latency is None else {"latency_ms": _ms(event.latency)}
        case events.Finished():
            return _ending(event)
        case events.Expired():
            return {"code": EXPIRED}
        case events.Reclaimed():
            return {"former": event.former}
        case events.ResultStoreFailed():
            return {"code": ARTIFACT_FAILED, "error_type": word(event.error_type)}
        case events.Replayed() | events.EndingLost() | events.CancelRequested():
            return {}
        case events.Revived() | events.Dismissed():
            return {}
        case _:
            return _of_process(event)


def _of_process(event: events.ProcessStep) -> dict[str, Field]:
    match event:
        case events.Pruned():
            return {"count": event.count}
        case events.WorkerStarted():
            queues, types = " ".join(event.queues), " ".join(event.types)
            return {"owner": event.owner, "slots": event.slots, "queues": queues, "types": types}
        case events.WorkerStopping():
            return {"owner": event.owner, "running": event.running}
        case events.WorkerStopped():
            return {"owner": event.owner, "given_back": event.given_back}
        case events.StoreDown():
            return {"error_type": word(event.error_type)}
        case events.StoreBack():
            return {"down_ms": _ms(event.down_for)}
        case events.SlowHeartbeat():
            return {"owner": event.owner, "late_ms": _ms(event.late)}
        case events.UpstreamChanged():
            return _transition(event.gate, event.transition)
        case events.ListenerFailed():
            return {"listener": event.listener, "error_type": word(event.error_type)}
        case _:
            return _of_schedule(event)


def _of_schedule(event: events.ScheduleStep) -> dict[str, Field]:
    fields: dict[str, Field] = {"schedule": event.schedule, "user_id": event.user_id}
    match event:
        case events.ScheduleTicked():
            return {**fields, "tick": rfc3339(event.tick), "job_id": event.job_id, "late_ms": _ms(event.late)}
        case events.ScheduleMissed():
            return {**fields, "since": rfc3339(event.since), "until": rfc3339(event.until)}
        case events.ScheduleFailing():
            return {**fields, "error_type": word(event.error_type)}
        case events.ScheduleHeld() | events.ScheduleRetired():
            return fields


def _transition(gate: str, change: Transition) -> dict[str, Field]:
    fields: dict[str, Field] = {"gate": gate, "to": str(change.to), "why": change.why}
    if change.until is not None:
        fields["until"] = rfc3339(change.until)
    if change.author:
        fields["author"] = change.author
    return fields


def _ending(event: events.Finished) -> dict[str, Field]:
    """`duration_ms` is the same number as `latency_ms`, under the name REQUIREMENTS D6 asks for."""
    fields: dict[str, Field] = {}
    if event.latency is not None:
        fields["latency_ms"] = fields["duration_ms"] = _ms(event.latency)
    if event.code:
        fields["code"] = word(event.code)
    if event.error_type:
        fields["error_type"] = word(event.error_type)
    if event.retry_delay is not None:
        fields["retry_delay_s"] = event.retry_delay.total_seconds()
    if event.retry_at is not None:
        fields["retry_at"] = rfc3339(event.retry_at)
    if event.refund is not None:
        fields["refund"] = event.refund.value
    return fields


def _ms(duration: timedelta) -> float:
    return round(duration.total_seconds() * 1_000, 3)


def told_at(level: Level) -> frozenset[Kind]:
    """The kinds of events that leave a line where lines of at least `level` are written."""
    graves = [(kind, grave) for kind, (grave, _) in (*_STEPS.items(), *_ENDINGS.items())]
    return frozenset(kind for kind, grave in graves if _GRAVITY[grave] >= _GRAVITY[level])


class LogListener:
    """Writes one line an event; made by `configure`."""

    def __init__(self, renderer: rendering.LineRenderer, sink: Sink, level: Level) -> None:
        self._render = renderer.event
        self._sink = sink
        self._gravity = _GRAVITY[level]

    def __call__(self, event: Event) -> None:
        """Write the event's line."""
        line = describe(event)
        if _GRAVITY[line.level] >= self._gravity:
            write = self._sink.later if line.level in {"debug", "info"} else self._sink.write
            write(self._render(line.level, line.name, dict(line.fields)))


def job_logger(job: JobRef) -> FilteringBoundLogger:
    """The logger for a job's handler: its lines carry the job's ids."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger.bind(**ids(job))


class JobLog:
    """A job's logger, made when the handler first says something: most handlers never do."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._made: FilteringBoundLogger | None = None

    def _logger(self) -> FilteringBoundLogger:
        if self._made is None:
            self._made = job_logger(events.ref(self._job))
        return self._made

    def debug(self, event: str, *values: object, **details: object) -> object:
        """Say something of interest to developers."""
        return self._logger().debug(event, *values, **details)

    def info(self, event: str, *values: object, **details: object) -> object:
        """Say something of interest to operators."""
        return self._logger().info(event, *values, **details)

    def warning(self, event: str, *values: object, **details: object) -> object:
        """Say something that may need a look."""
        return self._logger().warning(event, *values, **details)

    def error(self, event: str, *values: object, **details: object) -> object:
        """Say something that does."""
        return self._logger().error(event, *values, **details)

    def __getattr__(self, name: str) -> Callable[..., FilteringBoundLogger]:
        """Whatever else structlog's loggers can do."""
        if name.startswith("_"):
            raise AttributeError(name)
        method: Callable[..., FilteringBoundLogger] = getattr(self._logger(), name)
        return method


# how lines are written ------------------------------------------------------------------------------------


def configure(level: Level, stream: TextIO, *, json: bool | None = None, clock: Clock | None = None) -> LogListener:
    """Send every line of this process of at least `level`, the standard library's too, to `stream`; events' listener.

    As JSON, or as text for a person; by default the latter if `stream` is a terminal. Run uvicorn with
    `log_config=None`, or it takes its own lines back.
    """
    sink, terminal = Sink(stream), stream.isatty()
    write_to(sink)
    as_json = not terminal if json is None else json
    render = rendering.json_line if as_json else partial(rendering.console_line, colors=terminal)
    renderer = rendering.LineRenderer((clock or SystemClock()).now, render)
    structlog.configure(
        processors=[renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,
    )
    _adopt_stdlib(level)
    return LogListener(renderer, sink, level)


def _adopt_stdlib(level: Level) -> None:
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)  # a server that ran here before may have set its own
    for name in ("alembic", "httpx2"):  # their everyday news is no news to whoever runs Tidegate
        logging.getLogger(name).setLevel(logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [_Bridge(structlog.get_logger())]
    root.setLevel(level.upper())


class _Bridge(logging.Handler):
    """Hands the standard library's records on, so that there is one way to write a line."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__()
        self._logger = logger.bind()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record's line; never raises, whatever its arguments are."""
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        name, fields = _access(record) or (_message(record), {})
        self._logger.log(level, name, logger=record.name, exc_info=record.exc_info, **fields)


def _access(record: logging.LogRecord) -> tuple[str, dict[str, Field]] | None:
    """A line of uvicorn's access log, without the query: filters hold what users search for."""
    if record.name != "uvicorn.access" or not isinstance(record.args, tuple) or len(record.args) != 5:
        return None
    client, method, path, _, status = (str(arg) for arg in record.args)
    fields: dict[str, Field] = {"client": client, "method": method, "path": path.partition("?")[0]}
    return "http.request", {**fields, "status": status}


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # wrong arguments for the message, or an argument without a text
        return str(record.msg)
    if record.name != "asyncio":
        return text
    # asyncio shows tasks with what they returned or raised, on the lines below the first and within it
    return _TASK_VALUE.sub(r"\1=[redacted]", text.partition("\n")[0])
