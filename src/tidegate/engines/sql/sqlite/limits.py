"""take and give_back: exact sliding windows."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from tidegate.core.verbs import Take, Taken
from tidegate.engines.sql.codec import micros
from tidegate.engines.sql.sqlite.session import Session

_GRANTED: Final = "SELECT iif(EXISTS (SELECT 1 FROM grants WHERE nonce = ?), 'true', 'false')"
_USED: Final = "SELECT cast(coalesce(sum(n), 0) AS TEXT) FROM grants WHERE key = ? AND at > ?"
_OLDEST: Final = """
SELECT json_group_array(json_array(at, n)) FROM (
    SELECT at, n FROM grants WHERE key = ? AND at > ? ORDER BY at, id
)
"""
_GRANT: Final = "INSERT INTO grants (nonce, key, n, at, until) {rows}"
_GIVE_BACK: Final = "DELETE FROM grants WHERE nonce = ?"

_flag: Final = msgspec.json.Decoder(bool)
_number: Final = msgspec.json.Decoder(int)
_counted: Final = msgspec.json.Decoder(list[tuple[int, int]])


def take(session: Session, takes: Sequence[Take], nonce: str) -> list[Taken]:
    """See `ports.Documents.take`."""
    if session.read(_flag, _GRANTED, nonce):
        return [_granted(session, take) for take in takes]
    wanted: dict[str, int] = {}
    for take in takes:
        wanted[take.key] = wanted.get(take.key, 0) + take.n
    if any(_used(session, take) + wanted[take.key] > take.limit for take in takes):
        return [_refusal(session, take, wanted[take.key]) for take in takes]
    now = session.now
    session.write(_GRANT, [(nonce, take.key, take.n, now, now + micros(take.window)) for take in takes])
    return [_granted(session, take) for take in takes]


def give_back(session: Session, nonce: str) -> None:
    """See `ports.Documents.give_back`."""
    session.run(_GIVE_BACK, nonce)


def _used(session: Session, take: Take) -> int:
    return session.read(_number, _USED, take.key, session.now - micros(take.window))


def _granted(session: Session, take: Take) -> Taken:
    remaining = max(take.limit - _used(session, take), 0)
    return Taken(granted=True, remaining=remaining, retry_after=timedelta(0))


def _refusal(session: Session, take: Take, wanted: int) -> Taken:
    """What one of several takes, which want so many of its key, is told when not all fit."""
    used = _used(session, take)
    remaining, needed = max(take.limit - used, 0), used + wanted - take.limit
    if needed <= 0:
        return Taken(granted=True, remaining=remaining, retry_after=timedelta(0))
    frees_in = _frees_in(session, take, needed) if needed <= used else take.window
    return Taken(granted=False, remaining=remaining, retry_after=frees_in)


def _frees_in(session: Session, take: Take, needed: int) -> timedelta:
    """How long until `needed` of the units counted now are out of the window."""
    window = micros(take.window)
    for at, n in session.read(_counted, _OLDEST, take.key, session.now - window):
        needed -= n
        if needed <= 0:
            return timedelta(microseconds=at + window - session.now)
    return take.window
