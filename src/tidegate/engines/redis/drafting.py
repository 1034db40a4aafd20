"""New jobs, written down as far as that goes without the store."""

from datetime import timedelta
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

_HEAD: Final = Struct("<BBq32sI")
_PROMISED: Final = Struct("<qqqq")
_SHORT: Final = Struct("<H")


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
    spec = new.spec
    if not LOWEST_PRIORITY <= spec.priority <= HIGHEST_PRIORITY:
        raise InvalidInput("priority", f"must be {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, not {spec.priority}")
    if not abs(spec.timeout) <= LONGEST_TIMEOUT:
        raise InvalidInput("timeout", f"must be at most {LONGEST_TIMEOUT.days} days, not {spec.timeout.days}")
    apart = len(new.payload) > MOST_INLINE
    when = after(new.delay) if new.run_at is None else stamp(new.run_at)
    record = _tail(spec, b"" if apart else new.payload, apart)
    return Draft(new.id, write_line(spec.lane, spec.type), when, record, new.payload if apart else b"")


def after(delay: timedelta) -> str:
    """A delay, where an instant might stand."""
    return f"+{micros(delay)}"


def _tail(spec: Spec, payload: bytes, apart: bool) -> bytes:
    """The part of the record from PRIORITY to the end of STATIC."""
    terms, promised = _terms(spec)
    user, fingerprint, request_id, traceparent = map(str.encode, _texts(spec))
    key = b"" if spec.idempotency_key is None else key_field(spec.user_id, spec.idempotency_key)
    expires = 0 if spec.expires_at is None else stamp(spec.expires_at)
    until = 0 if spec.expires_at is None else max(expires, 1)
    parts: list[bytes] = []
    for text in (user, key, fingerprint, terms, request_id, traceparent):
        if len(text) > LONGEST_TEXT:
            raise InvalidInput("job", f"a text of {len(text):,} bytes is too long: {LONGEST_TEXT:,} are the most")
        parts += (_SHORT.pack(len(text)), text)
    static = b"".join((*parts, EXPIRES.pack(spec.expires_at is not None, expires), payload))
    return _HEAD.pack(spec.priority, PAYLOAD_APART * apart, until, promised, len(static)) + static


def _texts(spec: Spec) -> tuple[str, str, str, str]:
    return spec.user_id, spec.fingerprint, spec.request_id, spec.traceparent


_Told: TypeAlias = tuple[tuple[object, ...], tuple[bytes, bytes]]
_newest: list[_Told] = [((), (b"", b""))]
"""The terms written last, as jobs of one batch mostly share them, and hashing them takes as long as the rest."""


def _terms(spec: Spec) -> tuple[bytes, bytes]:
    """What a job shares with its like: as text, and as the record's head has it."""
    asked = (spec.tags, spec.retry, spec.retry_on_timeout, spec.timeout, spec.retention)
    known, written = _newest[0]
    if known == asked:
        return written
    promised = kept(spec.retention)
    clamped = tuple(max(min(time, LATEST), -LATEST) for time in promised)
    terms = Terms(spec.tags, spec.retry, spec.retry_on_timeout, None if clamped == promised else promised)
    written = (write_terms(terms), _PROMISED.pack(micros(spec.timeout), *clamped))
    _newest[0] = (asked, written)
    return written


def key_field(user_id: str, key: str) -> bytes:
    """What stands for an idempotency key of a user among all keys."""
    user = user_id.encode()
    return b"%d:%b%b" % (len(user), user, key.encode())
