"""A request for one job, as every face makes it, and the checks that all faces share."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from tidegate.core.idempotency import JSON, check_key, fingerprint
from tidegate.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, JobId, NewJob, Spec
from tidegate.core.retry import RetryPolicy
from tidegate.core.text import check_name, listed
from tidegate.errors import ConfigError, InvalidInput
from tidegate.handlers import LONGEST_TIMEOUT, JobType

AT_ONCE = timedelta(0)
LONGEST_DELAY = timedelta(days=366)
MOST_TAGS = 16
LONGEST_TAG = 64
LONGEST_TEXT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What may be asked of one job; None takes the job type's default.

    `payload` is JSON. `run_at` and `delay` exclude one another. `asked` is the request as it was sent, which
    an idempotency key stands for; by default the fields given here.
    """

    type: str
    payload: bytes = b"{}"
    user_id: str = ""
    idempotency_key: str | None = None
    queue: str | None = None
    priority: int = LOWEST_PRIORITY
    run_at: datetime | None = None
    delay: timedelta | None = None
    max_attempts: int | None = None
    retry: RetryPolicy | None = None
    timeout: timedelta | None = None
    expires_at: datetime | None = None
    tags: tuple[str, ...] = ()
    request_id: str = ""
    traceparent: str = ""
    asked: JSON = None


_ASKED: Final = attrgetter(
    *("request_id", "traceparent"),
    *("user_id", "queue", "priority", "max_attempts", "retry", "timeout", "expires_at", "tags"),
)
"""What a spec is made of, beside the job type and the idempotency key."""


class Builder:
    """Makes the jobs that requests ask for.

    Requests that follow one another and differ in payload and due time alone are checked once, and share their spec.
    """

    def __init__(self) -> None:
        self._last: tuple[object, Spec | None] = None, None

    def build(self, request: JobRequest, job_type: JobType, job_id: JobId, now: datetime) -> NewJob:
        """The job that a request asks for; raises InvalidInput that names the first wrong field."""
        job_type.check(request.payload)
        _check_times(request, now)
        return NewJob(
            id=job_id,
            spec=self._spec(request, job_type),
            payload=request.payload,
            run_at=request.run_at,
            delay=request.delay or AT_ONCE,
        )

    def _spec(self, request: JobRequest, job_type: JobType) -> Spec:
        if request.idempotency_key is not None:
            return _spec(request, job_type)
        asked = job_type, _ASKED(request)
        last, spec = self._last
        if spec is None or asked != last:
            spec = _spec(request, job_type)
            self._last = asked, spec
        return spec


def _spec(request: JobRequest, job_type: JobType) -> Spec:
    _check(request)
    lane = job_type.lane if request.queue is None else replace(job_type.lane, queue=request.queue)
    return Spec(
        type=job_type.name,
        user_id=request.user_id,
        lane=lane,
        priority=request.priority,
        tags=request.tags,
        retry=_policy(request, job_type),
        timeout=request.timeout or job_type.timeout,
        retry_on_timeout=job_type.retry_on_timeout,
        expires_at=request.expires_at,
        retention=job_type.retention,
        idempotency_key=request.idempotency_key,
        fingerprint=fingerprint_of(request) if request.idempotency_key is not None else "",
        request_id=request.request_id,
        traceparent=request.traceparent,
    )


def fingerprint_of(request: JobRequest) -> str:
    """What tells whether two requests under one idempotency key ask for the same; raises InvalidInput."""
    return fingerprint(_asked(request))


def _policy(request: JobRequest, job_type: JobType) -> RetryPolicy:
    policy = request.retry or job_type.retry
    if request.max_attempts is None:
        return policy
    try:
        return replace(policy, max_attempts=request.max_attempts)
    except ConfigError as exc:
        raise InvalidInput("max_attempts", str(exc)) from exc


def _check(request: JobRequest) -> None:
    if request.idempotency_key is not None:
        check_key(request.idempotency_key)
    if request.queue is not None:
        check_name("queue", request.queue)
    if not LOWEST_PRIORITY <= request.priority <= HIGHEST_PRIORITY:
        raise InvalidInput("priority", f"{request.priority} is not in {LOWEST_PRIORITY}..{HIGHEST_PRIORITY}")
    if request.timeout is not None and not AT_ONCE < request.timeout <= LONGEST_TIMEOUT:
        raise InvalidInput("timeout", "it must be above 0 and at most 24 hours")
    _check_texts(request)


def _check_times(request: JobRequest, now: datetime) -> None:
    if request.run_at is None and request.delay is None and request.expires_at is None:
        return
    for name, at in (("run_at", request.run_at), ("expires_at", request.expires_at)):
        if at is not None and at.utcoffset() is None:
            raise InvalidInput(name, "it needs a time zone: datetime.now(UTC) has one")
    if request.run_at is not None and request.delay is not None:
        raise InvalidInput("delay", "give run_at or delay, not both")
    if request.delay is not None and not AT_ONCE <= request.delay <= LONGEST_DELAY:
        raise InvalidInput("delay", "it must be between 0 and 366 days")
    if request.run_at is not None and request.run_at > now + LONGEST_DELAY:
        raise InvalidInput("run_at", "it is more than 366 days ahead")
    if request.expires_at is not None and request.expires_at <= now:
        raise InvalidInput("expires_at", "it has passed already")


def _check_texts(request: JobRequest) -> None:
    tags = listed("tags", request.tags)
    if tags and (len(tags) > MOST_TAGS or not all(_plain(tag, LONGEST_TAG) for tag in tags)):
        raise InvalidInput("tags", f"at most {MOST_TAGS} tags of 1 to {LONGEST_TAG} printable characters")
    if request.user_id and not _plain(request.user_id, LONGEST_TEXT):
        raise InvalidInput("user_id", f"1 to {LONGEST_TEXT} printable characters")


def _plain(text: str, most: int) -> bool:
    return 1 <= len(text) <= most and text.isprintable()


def _asked(request: JobRequest) -> dict[str, JSON]:
    if isinstance(request.asked, dict):
        return request.asked
    return {
        "type": request.type,
        "payload": request.payload.decode("utf-8", "replace"),
        "queue": request.queue,
        "priority": request.priority,
        "max_attempts": request.max_attempts,
        "run_at": _text(request.run_at),
        "expires_at": _text(request.expires_at),
        "delay": _text(request.delay),
        "timeout": _text(request.timeout),
        "retry": _text(request.retry),
        "tags": list(request.tags),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
