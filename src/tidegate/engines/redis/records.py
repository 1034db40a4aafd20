"""The record of a job to a `Job` and back: what `lua/shared/record.lua` says of its bytes, said in Python."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

import msgspec

from tidegate.core.job import Body, Counters, Job, JobId, Lane, Spec, Status
from tidegate.core.query import Event, HistoryEntry
from tidegate.engines.redis.codec import (
    NOTHING,
    Kinds,
    duration,
    instant,
    read_kept,
    read_outcome,
    read_progress,
    read_terms,
)

PAYLOAD_APART: Final = 1
"""The flag of a job whose payload has a key of its own."""

STATUSES: Final = tuple(Status)
EVENTS: Final = (Event.SUBMITTED, *Event)
"""Events by the number that the store has for them; they count from 1."""

EXPIRES: Final = Struct("<?q")
_HEAD: Final = Struct("<BBBQIIQqqqBBqqqqqI")
_LIFE: Final = Struct("<BIIIIIIqqqqqqI")
_SIZE: Final = Struct("<I")
_ASKED: Final = Struct("<BBqqqqq")
_LINES: Final = Struct("<II")
_PRIORITY_AT: Final = 51
_SIZE_AT: Final = _PRIORITY_AT + _ASKED.size
_STEP: Final = Struct("<qBIH")
_FRESH: Final = 1
_NEWBORN: Final = (0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


# reading a job -------------------------------------------------------------------------------------------------------


def read_job(job_id: str, data: bytes, kinds: Kinds) -> Job:
    """The job of a record; KeyError where `kinds` lacks a line of it."""
    return read_whole(job_id, data, kinds)[0]


def read_whole(job_id: str, data: bytes, kinds: Kinds) -> tuple[Job, bytes]:
    """The job of a record, and its payload: nothing where that has a key of its own."""
    form, status, _, seq, line, first, _, run_at, due_at, created_at, _, _, until, _, _, _, _, size = _HEAD.unpack_from(
        data
    )
    life, outcome, progress = _NEWBORN, b"", b""
    if form != _FRESH:
        at = _HEAD.size + size
        life = _LIFE.unpack_from(data, at)
        at += _LIFE.size
        end = at + life[-1]
        outcome = data[at:end]
        progress = data[end + 4 : end + 4 + _SIZE.unpack_from(data, end)[0]]
    _, _, runs, faults, crashes, interruptions, base, started, finished, timeout, cancel, dismissed, prune, _ = life
    spec, payload_at = _spec(data, kinds[first])
    left = read_outcome(outcome) if outcome else NOTHING
    job = Job(
        id=JobId(job_id),
        seq=seq,
        spec=spec,
        lane=kinds[line][0],
        status=STATUSES[status],
        created_at=instant(created_at),
        run_at=instant(run_at),
        due_at=instant(due_at),
        expires_at=spec.expires_at if until else None,
        counters=_counters(runs, faults, crashes, interruptions, base),
        started_at=instant(started) if started else None,
        finished_at=instant(finished) if finished else None,
        timeout_at=instant(timeout) if timeout else None,
        cancel_requested_at=instant(cancel) if cancel else None,
        dismissed_at=instant(dismissed) if dismissed else None,
        prune_at=instant(prune) if prune else None,
        progress=read_progress(progress),
        result_path=left.result_path,
        error=left.error,
        degraded=left.degraded,
        served_by=left.served_by,
    )
    return job, data[payload_at : _HEAD.size + size]


_MOST_SPECS: Final = 1_024
_specs: dict[tuple[int, str, bytes, bytes], Spec] = {}
"""Specs by their lane's identity, which is no other's as long as they stand here, and by what tells them."""


def _spec(data: bytes, kind: tuple[Lane, str]) -> tuple[Spec, int]:
    """What was asked for, and where the payload starts; jobs that nothing tells apart share their spec."""
    texts, end = _texts(data)
    at = end + EXPIRES.size
    _, key, _, _, request_id, traceparent = texts
    if key or request_id or traceparent:
        return _read_spec(data, texts, end, kind), at
    lane, type_ = kind
    told = id(lane), type_, data[_PRIORITY_AT:_SIZE_AT], data[_HEAD.size : at]
    spec = _specs.get(told)
    if spec is None:
        if len(_specs) >= _MOST_SPECS:
            _specs.clear()
        _specs[told] = spec = _read_spec(data, texts, end, kind)
    return spec, at


def _texts(data: bytes) -> tuple[list[bytes], int]:
    """The six texts of the constant part, and where they end."""
    at, texts = _HEAD.size, []
    for _ in range(6):
        end = at + 2 + data[at] + (data[at + 1] << 8)
        texts.append(data[at + 2 : end])
        at = end
    return texts, at


def _read_spec(data: bytes, texts: Sequence[bytes], end: int, kind: tuple[Lane, str]) -> Spec:
    lane, type_ = kind
    priority, _, _, timeout, *times = _ASKED.unpack_from(data, _PRIORITY_AT)
    user, key, fingerprint, told, request_id, traceparent = texts
    has_expiry, expires = EXPIRES.unpack_from(data, end)
    terms = read_terms(told)
    return Spec(
        type=type_,
        user_id=user.decode(),
        lane=lane,
        priority=priority,
        tags=terms.tags,
        retry=terms.retry,
        timeout=duration(timeout),
        retry_on_timeout=terms.retry_on_timeout,
        expires_at=instant(expires) if has_expiry else None,
        retention=read_kept(*(terms.kept or times)),
        idempotency_key=key[len(b"%d:" % len(user)) + len(user) :].decode() if key else None,
        fingerprint=fingerprint.decode(),
        request_id=request_id.decode(),
        traceparent=traceparent.decode(),
    )


@lru_cache(maxsize=4_096)
def _counters(runs: int, upstream_faults: int, crashes: int, interruptions: int, base: int) -> Counters:
    return Counters(runs=runs, upstream_faults=upstream_faults, crashes=crashes, interruptions=interruptions, base=base)


def lines_of(data: bytes) -> tuple[int, int]:
    """The numbers of the job's line and of its first one."""
    line, first = _LINES.unpack_from(data, 11)
    return line, first


def payload_of(data: bytes) -> bytes:
    """The payload; nothing where it has a key of its own."""
    return data[_texts(data)[1] + EXPIRES.size : _HEAD.size + _SIZE.unpack_from(data, _SIZE_AT)[0]]


# a job's life --------------------------------------------------------------------------------------------------------


class Life(NamedTuple):
    """What a record says besides the job, all of it empty where nothing happened to it."""

    outcome: bytes
    token: str
    owner: str
    former: str
    eras: dict[str, int]
    reason: int
    history: bytes


def read_life(data: bytes) -> Life:
    """The lease, the outcome and the history of a record; empty for a job that nothing happened to."""
    if data[0] == _FRESH:
        return Life(b"", "", "", "", {}, 0, b"")
    at = _HEAD.size + _HEAD.unpack_from(data)[-1]
    life = _LIFE.unpack_from(data, at)
    at -= 4
    at += _LIFE.size
    texts = []
    for width in (4, 4, 1, 2, 2, 4, 1, 1, 1):
        size = int.from_bytes(data[at : at + width], "little")
        texts.append(data[at + width : at + width + size])
        at += width + size
    outcome, _, token, owner, former, eras, *_ = texts
    return Life(outcome, token.decode(), owner.decode(), former.decode(), read_eras(eras), life[0], data[at:])


_eras: Final = msgspec.msgpack.Decoder(list[str | int | bool])


@lru_cache(maxsize=1_024)
def _era_pairs(data: bytes) -> tuple[tuple[str, int], ...]:
    told = _eras.decode(data)
    return tuple((str(name), int(era)) for name, era in zip(told[::3], told[1::3], strict=True))


def read_eras(data: bytes) -> dict[str, int]:
    """The eras of a lease's gates."""
    return dict(_era_pairs(data)) if data else {}


def read_body(data: bytes, payload: bytes | None, result: bytes | None) -> Body:
    """A body; `payload` and `result` are those that have a key of their own."""
    if result is None and data[0] != _FRESH:
        result = read_outcome(read_life(data).outcome).result
    return Body(payload=payload_of(data) if payload is None else payload, result=result)


def read_history(job_id: str, data: bytes, older: bytes | None) -> Iterator[HistoryEntry]:
    """All steps of a job; `older` is the part of its history that stands apart."""
    created_at = _HEAD.unpack_from(data)[9]
    yield HistoryEntry(seq=1, job_id=JobId(job_id), at=instant(created_at), event=Event.SUBMITTED, run=0)
    told, at, seq = (older or b"") + read_life(data).history, 0, 2
    while at < len(told):
        entry, at = _read_step(told, at, job_id, seq)
        yield entry
        seq += 1


def _read_step(data: bytes, at: int, job_id: str, seq: int) -> tuple[HistoryEntry, int]:
    stamped, event, run, size = _STEP.unpack_from(data, at)
    at += _STEP.size
    note = data[at : at + size].decode()
    entry = HistoryEntry(seq=seq, job_id=JobId(job_id), at=instant(stamped), event=EVENTS[event], run=run, note=note)
    return entry, at + size


def read_steps(data: bytes) -> Iterator[HistoryEntry]:
    """The steps of one entry of the feed."""
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        job_id, seq = data[at + 1 : end].decode(), int.from_bytes(data[end : end + 4], "little")
        entry, at = _read_step(data, end + 4, job_id, seq)
        yield entry
