"""Rows to core values and back: the only place that knows how a job is written down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from tidegate.core.failure import Failure
from tidegate.core.job import (
    Counters,
    Job,
    JobId,
    Lane,
    Progress,
    Retention,
    Spec,
    Status,
)
from tidegate.core.retry import RetryPolicy
from tidegate.core.retry_json import policy_from_json, policy_to_json

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


LATEST: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""The last instant that can be read back."""


def micros(duration: timedelta) -> int:
    """A duration in microseconds."""
    return (duration.days * 86_400 + duration.seconds) * 1_000_000 + duration.microseconds


def stamp(instant: datetime) -> int:
    """An instant in microseconds since 1970."""
    return micros(instant - EPOCH)


def later(now: int, by: timedelta) -> int:
    """The stamp of `now` and so much more, or of the end of time."""
    return min(now + micros(by), LATEST)


@lru_cache(maxsize=1_024)
def instant(stamped: int) -> datetime:
    """What `stamp` wrote; remembered, as a job names most of its instants twice, and its batch shares them."""
    return EPOCH + timedelta(microseconds=stamped)


@lru_cache(maxsize=4_096)
def duration(microseconds: int) -> timedelta:
    """What `micros` wrote; jobs share few of them."""
    return timedelta(microseconds=microseconds)


# terms: the retry policy and retention of a job, the same text for like jobs --------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job was promised for its failures and its end; `kept` are microseconds."""

    retry: RetryPolicy
    retry_on_timeout: bool
    retention: Retention


@lru_cache(maxsize=4_096)
def write_terms(retry: RetryPolicy, retry_on_timeout: bool, retention: Retention) -> str:
    """The terms of a job as JSON."""
    kept = [micros(retention.succeeded), micros(retention.failed), micros(retention.cancelled)]
    form = {"retry": policy_to_json(retry), "retry_on_timeout": retry_on_timeout, "kept": kept}
    return json.dumps(form, separators=(",", ":"))


class _TermsForm(msgspec.Struct):
    retry: dict[str, object]
    retry_on_timeout: bool
    kept: tuple[int, int, int]


@lru_cache(maxsize=4_096)
def read_terms(text: str) -> Terms:
    """What `write_terms` wrote."""
    form = msgspec.json.decode(text, type=_TermsForm)
    succeeded, failed, cancelled = (timedelta(microseconds=kept) for kept in form.kept)
    retention = Retention(succeeded=succeeded, failed=failed, cancelled=cancelled)
    return Terms(policy_from_json(form.retry), form.retry_on_timeout, retention)


_list_of_texts: Final = msgspec.json.Decoder(tuple[str, ...])


@lru_cache(maxsize=4_096)
def read_tags(text: str) -> tuple[str, ...]:
    """The tags, or a lane's parents."""
    return _list_of_texts.decode(text)


def write_tags(tags: tuple[str, ...]) -> str:
    """Tags, or a lane's parents, as a JSON list."""
    return msgspec.json.encode(tags).decode() if tags else "[]"


# failures: code and message apart, as they are searched ------------------------------------------------------


class _More(msgspec.Struct, omit_defaults=True):
    error_type: str = ""
    transient: bool = True
    retry_after: int | None = None
    status: int | None = None


_read_more: Final = msgspec.json.Decoder(_More)


def write_failure(failure: Failure) -> tuple[str, str, str]:
    """A failure as its code, its message, and the rest as JSON."""
    after = None if failure.retry_after is None else micros(failure.retry_after)
    more = _More(failure.error_type, failure.transient, after, failure.status)
    return failure.code, failure.message, msgspec.json.encode(more).decode()


def read_failure(code: str, message: str, text: str) -> Failure:
    """What `write_failure` wrote."""
    more = _read_more.decode(text)
    return Failure(
        code=code,
        message=message,
        error_type=more.error_type,
        transient=more.transient,
        retry_after=None if more.retry_after is None else timedelta(microseconds=more.retry_after),
        status=more.status,
    )


# jobs ----------------------------------------------------------------------------------------------------------


class JobRow(msgspec.Struct, array_like=True, gc=False):
    """The columns of `jobs` that show, in the order in which every statement selects them."""

    seq: int
    id: str
    line_id: int
    first_line_id: int
    user_id: str
    priority: int
    tags: str
    status: Status
    run_at: int
    due_at: int
    created_at: int
    expires_at: int | None
    first_expires_at: int | None
    started_at: int | None
    finished_at: int | None
    timeout_at: int | None
    cancel_requested_at: int | None
    dismissed_at: int | None
    prune_at: int | None
    runs: int
    upstream_faults: int
    crashes: int
    interruptions: int
    base: int
    timeout: int
    terms: str
    idempotency_key: str | None
    fingerprint: str
    request_id: str
    traceparent: str
    progress_fraction: str | None
    progress_message: str | None
    result_path: str | None
    error_code: str | None
    error_message: str | None
    error_more: str | None
    degraded: int
    served_by: str | None


JOB_COLUMNS: Final = ", ".join(f"jobs.{name}" for name in JobRow.__struct_fields__)

Kinds = Mapping[int, tuple[Lane, str]]
"""The lane and type of every line, by its id."""


def read_job(row: JobRow, kinds: Kinds) -> Job:
    """The job of a row; KeyError where `kinds` lacks a line of it."""
    return Job(
        id=JobId(row.id),
        seq=row.seq,
        spec=spec_of(row, *kinds[row.first_line_id], read_terms(row.terms)),
        lane=kinds[row.line_id][0],
        status=row.status,
        created_at=instant(row.created_at),
        run_at=instant(row.run_at),
        due_at=instant(row.due_at),
        expires_at=_maybe(row.expires_at),
        counters=read_counters(row.runs, row.upstream_faults, row.crashes, row.interruptions, row.base),
        started_at=_maybe(row.started_at),
        finished_at=_maybe(row.finished_at),
        timeout_at=_maybe(row.timeout_at),
        cancel_requested_at=_maybe(row.cancel_requested_at),
        dismissed_at=_maybe(row.dismissed_at),
        prune_at=_maybe(row.prune_at),
        progress=_progress(row),
        result_path=row.result_path,
        error=failure_of(row),
        degraded=row.degraded == 1,
        served_by=row.served_by,
    )


def _maybe(stamped: int | None) -> datetime | None:
    return None if stamped is None else instant(stamped)


class SpecRow(Protocol):
    """The columns of a row that say what was asked for."""

    user_id: str
    priority: int
    tags: str
    timeout: int
    first_expires_at: int | None
    idempotency_key: str | None
    fingerprint: str
    request_id: str
    traceparent: str


def spec_of(row: SpecRow, lane: Lane, type_: str, terms: Terms) -> Spec:
    """What was asked for."""
    return Spec(
        type=type_,
        user_id=row.user_id,
        lane=lane,
        priority=row.priority,
        tags=read_tags(row.tags),
        retry=terms.retry,
        timeout=duration(row.timeout),
        retry_on_timeout=terms.retry_on_timeout,
        expires_at=_maybe(row.first_expires_at),
        retention=terms.retention,
        idempotency_key=row.idempotency_key,
        fingerprint=row.fingerprint,
        request_id=row.request_id,
        traceparent=row.traceparent,
    )


@lru_cache(maxsize=4_096)
def read_counters(runs: int, upstream_faults: int, crashes: int, interruptions: int, base: int) -> Counters:
    """The counters of a job; many jobs share them."""
    return Counters(runs=runs, upstream_faults=upstream_faults, crashes=crashes, interruptions=interruptions, base=base)


def _progress(row: JobRow) -> Progress | None:
    if row.progress_message is None:
        return None
    fraction = None if row.progress_fraction is None else float(row.progress_fraction)
    return Progress(fraction=fraction, message=row.progress_message)


def write_progress(progress: Progress) -> tuple[str | None, str]:
    """The fraction, as text because that keeps every bit of it, and the message."""
    return None if progress.fraction is None else repr(float(progress.fraction)), progress.message


class FailureRow(Protocol):
    """The columns of a row that tell the newest failure."""

    error_code: str | None
    error_message: str | None
    error_more: str | None


def failure_of(row: FailureRow) -> Failure | None:
    """The newest failure of a job."""
    if row.error_code is None or row.error_message is None or row.error_more is None:
        return None
    return read_failure(row.error_code, row.error_message, row.error_more)
