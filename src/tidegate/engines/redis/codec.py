"""The small parts of a job's record to core values and back; `records.py` knows how they stand together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from tidegate.core.failure import Failure
from tidegate.core.job import Lane, Progress, Retention, Succeed
from tidegate.core.retry import DEFAULT, RetryPolicy
from tidegate.core.retry_json import policy_from_json, policy_to_json

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

LATEST: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""The last instant that can be read back. Past the year 2255 the store rounds to 32 microseconds."""

MOST_INLINE: Final = 4_096
"""Bytes of a payload or result that stands in the job's record; a larger one has a key of its own."""


def micros(duration: timedelta) -> int:
    """A duration in microseconds."""
    return (duration.days * 86_400 + duration.seconds) * 1_000_000 + duration.microseconds


def stamp(instant: datetime) -> int:
    """An instant in microseconds since 1970."""
    return micros(instant - EPOCH)


@lru_cache(maxsize=4_096)
def instant(stamped: int) -> datetime:
    """What `stamp` wrote; remembered, as a job names most of its instants twice, and its batch shares them."""
    return EPOCH + timedelta(microseconds=min(stamped, LATEST))


@lru_cache(maxsize=4_096)
def duration(microseconds: int) -> timedelta:
    """What `micros` wrote; jobs share few of them."""
    return timedelta(microseconds=microseconds)


# lines: lane and type ------------------------------------------------------------------------------------------

Kinds = Mapping[int, tuple[Lane, str]]
"""The lane and type of lines, by number."""

_lane: Final = msgspec.json.Decoder(tuple[str, str | None, tuple[str, ...]])


@lru_cache(maxsize=4_096)
def write_line(lane: Lane, type_: str) -> bytes:
    """The name of a line."""
    kind = type_.encode()
    return b"%d:%b%b" % (len(kind), kind, write_lane(lane))


@lru_cache(maxsize=4_096)
def write_lane(lane: Lane) -> bytes:
    """The part of a line's name that says the lane."""
    return msgspec.json.encode((lane.queue, lane.upstream, lane.parents))


@lru_cache(maxsize=4_096)
def read_line(name: bytes) -> tuple[Lane, str]:
    """What `write_line` wrote."""
    size, _, rest = name.partition(b":")
    queue, upstream, parents = _lane.decode(rest[int(size) :])
    return Lane(queue=queue, upstream=upstream, parents=parents), rest[: int(size)].decode()


# terms: what like jobs share of their constant part ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What was asked for a job besides who, where and when.

    `kept` is its retention in microseconds, None where the head of the record says it to the last digit.
    """

    tags: tuple[str, ...]
    retry: RetryPolicy
    retry_on_timeout: bool
    kept: tuple[int, int, int] | None


class _TermsForm(msgspec.Struct, array_like=True):
    tags: tuple[str, ...]
    retry: dict[str, object] | None
    retry_on_timeout: bool
    kept: tuple[int, int, int] | None


_read_terms: Final = msgspec.json.Decoder(_TermsForm)
_PLAIN: Final = Terms((), DEFAULT, False, None)


def kept(retention: Retention) -> tuple[int, int, int]:
    """A retention in microseconds, in the order of the record."""
    return micros(retention.succeeded), micros(retention.failed), micros(retention.cancelled)


@lru_cache(maxsize=4_096)
def read_kept(succeeded: int, failed: int, cancelled: int) -> Retention:
    """What `kept` wrote."""
    return Retention(succeeded=duration(succeeded), failed=duration(failed), cancelled=duration(cancelled))


def write_terms(terms: Terms) -> bytes:
    """The terms of a job; nothing where nothing was asked for."""
    if terms == _PLAIN:
        return b""
    policy = None if terms.retry == DEFAULT else policy_to_json(terms.retry)
    form = [terms.tags, policy, terms.retry_on_timeout, terms.kept]
    return json.dumps(form, ensure_ascii=False, separators=(",", ":")).encode()


@lru_cache(maxsize=4_096)
def read_terms(text: bytes) -> Terms:
    """What `write_terms` wrote."""
    if not text:
        return _PLAIN
    form = _read_terms.decode(text)
    policy = DEFAULT if form.retry is None else policy_from_json(form.retry)
    return Terms(form.tags, policy, form.retry_on_timeout, form.kept)


# outcome and progress ------------------------------------------------------------------------------------------------


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """What the newest run left: an error, or what a success did. `result` only where it is small."""

    code: str | None = None
    message: str = ""
    error_type: str = ""
    transient: bool = True
    retry_after: int | None = None
    http_status: int | None = None
    result_path: str | None = None
    degraded: bool = False
    served_by: str | None = None
    result: bytes | None = None

    @property
    def error(self) -> Failure | None:
        """The failure."""
        if self.code is None:
            return None
        after = None if self.retry_after is None else timedelta(microseconds=self.retry_after)
        return Failure(
            code=self.code,
            message=self.message,
            error_type=self.error_type,
            transient=self.transient,
            retry_after=after,
            status=self.http_status,
        )


NOTHING: Final = Outcome()
_outcome: Final = msgspec.msgpack.Decoder(Outcome)
_progress: Final = msgspec.msgpack.Decoder(tuple[float | None, str])


def read_outcome(data: bytes) -> Outcome:
    """What `write_failure` or `write_success` wrote, or nothing."""
    return _outcome.decode(data) if data else NOTHING


def write_failure(failure: Failure) -> bytes:
    """The outcome of a run that failed."""
    after = None if failure.retry_after is None else micros(failure.retry_after)
    code, message, error_type = failure.code, failure.message, failure.error_type
    return msgspec.msgpack.encode(Outcome(code, message, error_type, failure.transient, after, failure.status))


def write_success(how: Succeed) -> bytes:
    """The outcome of a run that succeeded, without a result that is large."""
    small = how.result if how.result is not None and len(how.result) <= MOST_INLINE else None
    outcome = Outcome(result_path=how.result_path, degraded=how.degraded, served_by=how.served_by, result=small)
    return b"" if outcome == NOTHING else msgspec.msgpack.encode(outcome)


def write_progress(progress: Progress) -> bytes:
    """Progress, with every bit of its fraction."""
    fraction = None if progress.fraction is None else float(progress.fraction)
    return msgspec.msgpack.encode((fraction, progress.message))


def read_progress(data: bytes) -> Progress | None:
    """What `write_progress` wrote, or none."""
    if not data:
        return None
    fraction, message = _progress.decode(data)
    return Progress(fraction=fraction, message=message)
