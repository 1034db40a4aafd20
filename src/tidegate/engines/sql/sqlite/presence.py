"""announce: who is at work."""

from datetime import timedelta
from typing import Final

import msgspec

from tidegate.core.query import WorkerInfo
from tidegate.engines.sql.codec import micros
from tidegate.engines.sql.sqlite.session import Session

WORKERS: Final = "SELECT info FROM workers WHERE until > ? ORDER BY owner"
HOLDERS: Final = "SELECT DISTINCT owner FROM leases ORDER BY owner"
_ANNOUNCE: Final = "INSERT OR REPLACE INTO workers (owner, info, until) VALUES (?, ?, ?)"
_WITHDRAW: Final = "DELETE FROM workers WHERE until <= ?"

_info: Final = msgspec.json.Decoder(WorkerInfo)


def announce(session: Session, worker: WorkerInfo, live_for: timedelta) -> None:
    """See `ports.Presence.announce`."""
    info = msgspec.json.encode(worker).decode()
    session.run(_ANNOUNCE, worker.owner, info, session.now + micros(live_for))
    session.run(_WITHDRAW, session.now)


def read_worker(text: str) -> WorkerInfo:
    """What `announce` wrote."""
    return _info.decode(text)
