"""Waiting for a job: its events while there is a stream of them, and looks further and further apart where not."""

from itertools import chain, repeat
from typing import Final

import msgspec

from tidegate.core.query import Event
from tidegate.errors import EngineUnavailable, JobNotFound, RateLimited, ResultTimeout, ServiceError, TidegateError
from tidegate.sdk.asking import Means, fetch
from tidegate.sdk.problems import error_of
from tidegate.sdk.sse import Message, Reader, TooLong
from tidegate.sdk.steps import Answer, Broken, Emit, Flow, Open, Plan, Request, Rest, read, send
from tidegate.sdk.values import JobEvent, JobStatus

POLLS: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between looks at a job where there are no events; the last repeats (REQUIREMENTS E11)."""

QUIET: Final = 20.0
"""Seconds that a stream may be silent: a server gives a sign of life every 15."""

SHORTEST: Final = 1.0
"""Seconds that a stream must last to be worth another: less is a proxy that cuts it."""

FINAL: Final = frozenset({Event.SUCCEEDED.value, Event.FAILED.value, Event.CANCELLED.value})
"""Names of the events after which a job may have ended. A job that was retried goes on behind one."""

NOTHING_MORE: Final = 204
"""What is answered where a job has ended and its last step was told: its stream is over before it begins."""

_EVENTS: Final = "text/event-stream"
_NO_STREAM: Final = frozenset({404, 405, 406})


def status_of(job_id: str) -> Request:
    """Asks where a job stands."""
    return Request(method="GET", path=f"/jobs/{job_id}/status", job_id=job_id)


class Ear:
    """Listens to one job's events, one connection after another, each from behind the newest event."""

    def __init__(self, means: Means, job_id: str, after: str = "") -> None:
        self._means = means
        self._job_id = job_id
        self._reader = Reader(after)
        self._begun = 0.0
        self._heard = False

    @property
    def worth_another(self) -> bool:
        """Whether the last connection was a stream, and no proxy's idea of one."""
        return self._heard and self._means.clock.monotonic() - self._begun >= SHORTEST

    def begin(self, silence: float) -> Plan[TidegateError | None]:
        """Connect, from behind the newest event; trouble that may pass, or None. Raises other refusals.

        ServiceError where there is no such stream.
        """
        self._begun, self._heard = self._means.clock.monotonic(), False
        last = self._reader.last_id
        self._reader = Reader(last)
        headers = {"Accept": _EVENTS, **({"Last-Event-ID": last} if last else {})}
        path = f"/jobs/{self._job_id}/events"
        request = Request(method="GET", path=path, headers=headers, job_id=self._job_id)
        came = yield from send(Open(request=request, silence=silence))
        if isinstance(came, Broken):
            return self._broken(came.why)
        if came.status == NOTHING_MORE:
            return None
        if not came.well or not came.headers.get("content-type", "").startswith(_EVENTS):
            return self._refused(came, request)
        return None

    def hear(self) -> Plan[list[Message] | TidegateError | None]:
        """The next events, perhaps none; None at the end of the stream, or how it broke."""
        piece = yield from read()
        if piece is None:
            return None
        if isinstance(piece, Broken):
            return self._broken(piece.why)
        self._heard = True
        try:
            return list(self._reader.feed(piece))
        except TooLong:
            return self._broken("an event is too long")

    def _broken(self, why: str) -> ServiceError:
        return ServiceError(f"{self._means.where}: there is no stream of events, or it broke off ({why})")

    def _refused(self, came: Answer, request: Request) -> TidegateError:
        error = error_of(came, request, self._means.where)
        if came.well or (came.status in _NO_STREAM and not isinstance(error, JobNotFound)):
            raise ServiceError(f"{self._means.where} gives no stream of events", status=came.status)
        if came.status == 429 or came.status >= 500:
            return error
        raise error


def ended(means: Means, job_id: str, timeout: float) -> Plan[JobStatus]:
    """The job once it has ended; raises ResultTimeout, and what the first look raises.

    Later looks may fail: a server that restarts meanwhile has not lost the job. What the last one met is raised.
    """
    now = means.clock.monotonic
    deadline, polls, listening = now() + timeout, chain(POLLS, repeat(POLLS[-1])), True
    ear = Ear(means, job_id)
    status, trouble = (yield from fetch(means, status_of(job_id), JobStatus)), None
    while not status.status.finished:
        left = deadline - now()
        if left <= 0:
            raise trouble or ResultTimeout(job_id, status.status)
        if listening and left >= SHORTEST:
            listening = yield from _listened(means, ear, deadline)
        else:
            yield Rest(min(next(polls), left))
        looked = yield from _looked(means, job_id)
        status, trouble = (looked, None) if isinstance(looked, JobStatus) else (status, looked)
    return status


def events(means: Means, job_id: str, after: int = 0) -> Flow[JobEvent]:
    """What happens to a job, from behind `after` to its end; a stream that breaks is taken up where it was.

    Raises what a refusal stands for, JobNotFound once the job is pruned, and ServiceError where there are no events, or
    no server any more.
    """
    ear, failures = Ear(means, job_id, str(after or "")), 0
    while True:
        trouble = yield from ear.begin(QUIET)
        while trouble is None:
            heard = yield from ear.hear()
            if isinstance(heard, TidegateError):
                trouble = heard
            elif heard is None:
                if (yield from fetch(means, status_of(job_id), JobStatus)).status.finished:
                    return
                break
            else:
                for event in filter(None, map(_event, heard)):
                    yield Emit(event)
        failures = 1 if ear.worth_another else failures + 1
        if trouble is not None and failures >= means.patience.tries:
            raise trouble
        yield Rest(means.pause(failures))


def _listened(means: Means, ear: Ear, deadline: float) -> Plan[bool]:
    """Listen until the job may have ended, or time is over; whether listening again is worth it."""
    now = means.clock.monotonic
    silence = min(deadline - now(), QUIET)
    try:
        trouble = yield from ear.begin(silence)
    except TidegateError:
        return False
    while trouble is None:
        if deadline - now() < silence * 0.75:
            return True  # who reads can't be stopped in time: it comes back with less patience
        heard = yield from ear.hear()
        if heard is None or isinstance(heard, TidegateError):
            break
        if any(message.name in FINAL for message in heard):
            return True
    return ear.worth_another


def _looked(means: Means, job_id: str) -> Plan[JobStatus | TidegateError]:
    """How the job stands now, or why nobody can tell just now."""
    try:
        return (yield from fetch(means, status_of(job_id), JobStatus))
    except (ServiceError, EngineUnavailable, RateLimited) as trouble:
        return trouble


def _event(message: Message) -> JobEvent | None:
    """The event, unless it says nothing of the job: a server may tell of its stream too."""
    try:
        return msgspec.json.decode(message.data, type=JobEvent)
    except (msgspec.MsgspecError, ValueError):
        return None
