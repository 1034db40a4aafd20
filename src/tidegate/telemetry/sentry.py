"""Sentry: a breadcrumb for every step of a job, an event when a job has failed for good.

It has a client of its own: nothing is patched, an application's own Sentry is left alone, and no other job's
breadcrumb can get into an event. Needs the extra `sentry`; the SDK is imported when it is first asked for.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias, cast

from tidegate.clock import Clock, SystemClock
from tidegate.core.billing import NEARLY_SPENT, SPENT
from tidegate.core.job import JobId
from tidegate.core.upstream import State
from tidegate.errors import ConfigError
from tidegate.telemetry.events import (
    Claimed,
    Dismissed,
    Ended,
    Event,
    Expired,
    Finished,
    JobEvent,
    JobStep,
    Reclaimed,
    ScheduleFailing,
    UpstreamChanged,
)
from tidegate.telemetry.logs import Level, describe
from tidegate.telemetry.redaction import REDACTED, clean_fields, rfc3339

Report: TypeAlias = dict[str, object]
"""An event as Sentry takes it."""

Capture: TypeAlias = Callable[[Report], object]
Flush: TypeAlias = Callable[[timedelta], object]

CRUMB_LIMIT: Final = 30
"""Steps remembered of one job, the newest."""

TRAIL_LIMIT: Final = 1_000
"""Jobs remembered of those waiting, and of those running."""

FLUSH_FOR: Final = timedelta(seconds=2)

_TAG_LIMIT: Final = 200  # characters; Sentry drops a longer one
_TAGS: Final = ("request_id", "job_id", "type", "queue", "upstream", "run", "attempts", "code", "error_type")
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})


@dataclass(frozen=True, slots=True)
class Crumb:
    """A step, and when it was seen."""

    at: datetime
    event: JobStep


class Trails:
    """The steps of each job that has not ended, as seen here. Bounded: the job touched longest ago goes first.

    Waiting and running jobs are counted apart, so that no flood of submits pushes out a running one.
    """

    def __init__(self, limit: int = TRAIL_LIMIT) -> None:
        self._limit = limit
        self._waiting: OrderedDict[JobId, deque[Crumb]] = OrderedDict()
        self._running: OrderedDict[JobId, deque[Crumb]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many jobs are remembered."""
        return len(self._waiting) + len(self._running)

    def add(self, crumb: Crumb) -> None:
        """Remember one more step of its job."""
        job_id = crumb.event.job.job_id
        with self._lock:
            runs = isinstance(crumb.event, Claimed | Reclaimed)
            stays = job_id in self._running and not isinstance(crumb.event, Finished)
            place = self._running if runs or stays else self._waiting
            trail = self._pop(job_id) or deque(maxlen=CRUMB_LIMIT)
            trail.append(crumb)
            place[job_id] = trail
            if len(place) > self._limit:
                place.popitem(last=False)

    def end(self, job_id: JobId) -> list[Crumb]:
        """Forget a job; its steps, oldest first."""
        with self._lock:
            return list(self._pop(job_id) or ())

    def _pop(self, job_id: JobId) -> deque[Crumb] | None:
        return self._running.pop(job_id, None) or self._waiting.pop(job_id, None)


class SentryListener:
    """Reports final failures through `capture`, each with the steps its job took in this process.

    Made by `configure_sentry`; `flush` is called by `close` with the longest it may take.
    """

    def __init__(self, capture: Capture, flush: Flush, *, clock: Clock) -> None:
        self._capture = capture
        self._flush = flush
        self._clock = clock
        self._trails = Trails()

    def __call__(self, event: Event) -> None:
        """Take note of a job's step; report it where it is the last of a job that failed. Warn of what needs a look."""
        if isinstance(event, UpstreamChanged):
            self._changed(event)
        if isinstance(event, ScheduleFailing):
            tags = {name: str(value) for name, value in describe(event).fields.items() if name != "user_id"}
            self.warn("the ticks of a schedule make no job", fingerprint=["schedule", event.schedule], tags=tags)
        if not isinstance(event, JobEvent):
            return
        crumb = Crumb(self._clock.now(), event)
        match event:
            case Expired() | Finished(ended=Ended.FAILED):
                self._capture(_failure([*self._trails.end(event.job.job_id), crumb]))
            case Dismissed() | Finished(ended=Ended.SUCCEEDED | Ended.CANCELLED):
                self._trails.end(event.job.job_id)
            case _:
                self._trails.add(crumb)

    def _changed(self, event: UpstreamChanged) -> None:
        """A queue that was paused, or an upstream that is down or has spent its budget (REQUIREMENTS B4)."""
        if event.transition.to == State.OPEN:
            word = "was paused" if event.gate.startswith("queue:") else "is open"
            tags = {"gate": event.gate, "why": event.transition.why}
            self.warn(f"{event.gate.replace(':', ' ', 1)} {word}", fingerprint=[event.gate], tags=tags)
        if event.transition.to in (SPENT, NEARLY_SPENT):
            message = f"{event.gate.replace(':', ' ', 1)}: {event.transition.why}"
            self.warn(message, fingerprint=[event.gate, event.transition.to], tags={"gate": event.gate})

    def warn(self, message: str, *, fingerprint: Sequence[str], tags: Mapping[str, str]) -> None:
        """Report what is no failure but needs a look, such as a queue that was paused."""
        report = _report("warning", message, tags)
        self._capture({**report, "fingerprint": list(fingerprint), "timestamp": rfc3339(self._clock.now())})

    def close(self, timeout: timedelta = FLUSH_FOR) -> None:
        """Send what is still under way, for at most `timeout`. It blocks: call it in a thread, and last."""
        self._flush(timeout)


def _failure(trail: Sequence[Crumb]) -> Report:
    last = trail[-1]
    line = describe(last.event)
    kind, code = str(line.fields.get("type", "job")), str(line.fields.get("code", "unknown"))
    tags = {name: str(line.fields[name]) for name in _TAGS if line.fields.get(name) not in {None, ""}}
    return {
        **_report("error", f"{kind} failed: {code}", tags),
        "fingerprint": [kind, code],
        "timestamp": rfc3339(last.at),
        "breadcrumbs": {"values": [_breadcrumb(crumb) for crumb in trail]},
    }


def _report(level: Level, message: str, tags: Mapping[str, str]) -> Report:
    short = {name: value[:_TAG_LIMIT] for name, value in tags.items()}
    return {"level": level, "logger": "tidegate", "message": message, "tags": short}


def _breadcrumb(crumb: Crumb) -> Report:
    line = describe(crumb.event)
    known = {name: value for name, value in line.fields.items() if name != "user_id"}
    return {
        "type": "default",
        "category": "job",
        "level": line.level,
        "message": line.name,
        "timestamp": rfc3339(crumb.at),
        "data": known,
    }


def scrub(report: Mapping[str, object]) -> Report:
    """The last look at what is sent: no request body, query, cookie or credential, no user, no exception's text.

    Tidegate's own reports hold none of these; this is for what the SDK may come to add.
    """
    kept: Report = {name: value for name, value in report.items() if name not in {"extra", "user"}}
    request, exception = kept.pop("request", None), kept.pop("exception", None)
    if isinstance(request, Mapping):
        kept["request"] = _request(request)
    if isinstance(exception, Mapping):
        values = [{**value, "value": REDACTED} for value in exception.get("values", ())]
        kept["exception"] = {"values": values}
    return dict(clean_fields(kept))


def _request(request: Mapping[str, object]) -> Report:
    headers = request.get("headers")
    shown = headers.items() if isinstance(headers, Mapping) else ()
    return {
        "method": request.get("method"),
        "url": str(request.get("url", "")).partition("?")[0],
        "headers": {name: value for name, value in shown if str(name).lower() not in _SECRET_HEADERS},
    }


def configure_sentry(dsn: str, environment: str, release: str, *, clock: Clock | None = None) -> SentryListener:
    """A listener that reports to `dsn`, in the background and without ever blocking a job.

    Raises ConfigError when the extra is not installed or the DSN is not one.
    """
    try:
        from sentry_sdk.utils import BadDsn
    except ImportError as exc:
        raise ConfigError("a Sentry DSN is set, but sentry-sdk is missing: pip install 'tidegate[sentry]'") from exc
    try:
        capture, flush = _open(dsn, environment, release)
    except BadDsn:
        raise ConfigError("the Sentry DSN is not one: it looks like https://KEY@HOST/PROJECT") from None
    return SentryListener(capture, flush, clock=clock or SystemClock())


def _open(dsn: str, environment: str, release: str) -> tuple[Capture, Flush]:
    import sentry_sdk
    from sentry_sdk.types import Event as SentryEvent

    client = sentry_sdk.Client(
        dsn=dsn,
        environment=environment,
        release=release,
        before_send=lambda event, _hint: cast(SentryEvent, scrub(event)),
        default_integrations=False,  # they patch the process, and would add other jobs' breadcrumbs
        auto_enabling_integrations=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        auto_session_tracking=False,
        enable_backpressure_handling=False,  # a thread for traces, of which there are none
    )  # send_default_pii is off: that is its default, and to say so is deprecated
    return (
        lambda report: client.capture_event(cast(SentryEvent, report)),
        lambda timeout: client.close(timeout=timeout.total_seconds()),
    )
