"""New jobs, written down as far as that goes without the store."""

from datetime import timedelta
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from tidegate.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, JobId, NewJob, Spec
from tidegate.engines.redis.codec import LATEST, MOST_INLINE, Terms, kept, micros, stamp, write_line, write_terms
from tidegate.engines.redis.lines import Lines
from tidegate.engines.redis.records import EXPIRES, PAYLOAD_APART
from tidegate.engines.redis.wire import Part
from tidegate.errors import InvalidInput

LONGEST_TIMEOUT: Final = timedelta(days=36_525)
"""A century: a longer timeout is a slip of the unit, and its end might be no instant."""

LONGEST_TEXT: Final = 65_535
"""Bytes of each text in a job's constant part."""

LONGEST_ID: Final = 255
"""Bytes of a job's id: what the feed has room for."""

_HALF: Final = "holds half a surrogate pair, which is no text"
_HEAD: Final = Struct("<BBq32s")
_SIZE: Final = Struct("<I")
_PROMISED: Final = Struct("<qqqq")
_SHORT: Final = Struct("<H")
_APART: Final = bytes([PAYLOAD_APART])


class Draft(NamedTuple):
    """A job to submit, as the scripts take it but for its line; `payload` is a large one."""

    id: JobId
    line: bytes
    when: str | int
    record: bytes
    payload: bytes

    def parts(self, lines: Lines) -> tuple[Part, ...]:
        """What a script is told of it."""
        return self.id, lines.number(self.line), self.when, self.record, self.payload


def draft(new: NewJob) -> Draft:
    """What can be written of a new job before the store has seen it; raises InvalidInput."""
    if not (new.id.isascii() and 0 < len(new.id) <= LONGEST_ID):
        _check_id(new.id)
    line, head, static = _written(new.spec)
    when = after(new.delay) if new.run_at is None else stamp(new.run_at)
    if len(new.payload) > MOST_INLINE:
        return Draft(new.id, line, when, head[:1] + _APART + head[2:] + _SIZE.pack(len(static)) + static, new.payload)
    record = b"".join((head, _SIZE.pack(len(static) + len(new.payload)), static, new.payload))
    return Draft(new.id, line, when, record, b"")


def _check_id(job_id: str) -> None:
    try:
        size = len(job_id.encode())
    except UnicodeEncodeError:
        raise InvalidInput("id", _HALF) from None
    if not 0 < size <= LONGEST_ID:
        raise InvalidInput("id", f"must have 1 to {LONGEST_ID} bytes, not {size}")


@lru_cache(maxsize=64)
def after(delay: timedelta) -> str:
    """A delay, where an instant might stand."""
    if delay < -LONGEST_TIMEOUT:
        raise InvalidInput("delay", f"must reach back {LONGEST_TIMEOUT.days} days at most, not {-delay.days}")
    return f"+{micros(delay)}"


_Written: TypeAlias = tuple[bytes, bytes, bytes]
"""What a spec becomes: its line, the record from PRIORITY to KEPT, and STATIC up to the payload."""

_newest_spec: list[tuple[Spec | None, _Written]] = [(None, (b"", b"", b""))]
"""The spec written last: the jobs of one batch mostly share it."""


def _written(spec: Spec) -> _Written:
    known, written = _newest_spec[0]
    if known is spec:
        return written
    _check(spec)
    expires = 0 if spec.expires_at is None else stamp(spec.expires_at)
    until = 0 if spec.expires_at is None else max(expires, 1)
    try:
        line, terms, promised = _terms(spec)
        static = _texts(spec, terms) + EXPIRES.pack(spec.expires_at is not None, expires)
    except UnicodeEncodeError:
        raise InvalidInput("job", _HALF) from None
    written = (line, _HEAD.pack(spec.priority, 0, until, promised), static)
    _newest_spec[0] = (spec, written)
    return written


def _check(spec: Spec) -> None:
    if not LOWEST_PRIORITY <= spec.priority <= HIGHEST_PRIORITY:
        raise InvalidInput("priority", f"must be {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, not {spec.priority}")
    if not abs(spec.timeout) <= LONGEST_TIMEOUT:
        raise InvalidInput("timeout", f"must be at most {LONGEST_TIMEOUT.days} days, not {spec.timeout.days}")


def _texts(spec: Spec, terms: bytes) -> bytes:
    key = b"" if spec.idempotency_key is None else key_field(spec.user_id, spec.idempotency_key)
    user, fingerprint = spec.user_id.encode(), spec.fingerprint.encode()
    parts: list[bytes] = []
    for text in (user, key, fingerprint, terms, spec.request_id.encode(), spec.traceparent.encode()):
        if len(text) > LONGEST_TEXT:
            raise InvalidInput("job", f"a text of {len(text):,} bytes is too long: {LONGEST_TEXT:,} are the most")
        parts += (_SHORT.pack(len(text)), text)
    return b"".join(parts)


_Told: TypeAlias = tuple[tuple[object, ...], tuple[bytes, bytes, bytes]]
_newest: list[_Told] = [((), (b"", b"", b""))]
"""The terms written last, as jobs of one batch mostly share them, and hashing them takes as long as the rest."""


def _terms(spec: Spec) -> tuple[bytes, bytes, bytes]:
    """What a job shares with its like: its line, and its terms as text and as the record's head has them."""
    asked = (spec.lane, spec.type, spec.tags, spec.retry, spec.retry_on_timeout, spec.timeout, spec.retention)
    known, written = _newest[0]
    if known == asked:
        return written
    promised = kept(spec.retention)
    clamped = tuple(max(min(time, LATEST), -LATEST) for time in promised)
    terms = Terms(spec.tags, spec.retry, spec.retry_on_timeout, None if clamped == promised else promised)
    line = write_line(spec.lane, spec.type)
    written = (line, write_terms(terms), _PROMISED.pack(micros(spec.timeout), *clamped))
    _newest[0] = (asked, written)
    return written


def key_field(user_id: str, key: str) -> bytes:
    """What stands for an idempotency key of a user among all keys."""
    user = user_id.encode()
    return b"%d:%b%b" % (len(user), user, key.encode())
