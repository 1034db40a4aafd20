"""Counts that need no counting: what the tallies know."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.core.job import Phase, Status
from tidegate.engines.sql.sqlite.snapshot import Snapshot, Value, numbers

_ALL: Final = "waiting + ready + running + succeeded + dead_letter + failed + cancelled"
_OF_STATUS: Final = {
    Status.QUEUED: "waiting + ready",
    Status.RUNNING: "running",
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "dead_letter + failed",
    Status.CANCELLED: "cancelled",
}
_OF_PHASE: Final = {
    Phase.RUNNING: "running",
    Phase.FAILED: "failed",
    Phase.DEAD_LETTER: "dead_letter",
    Phase.CANCELLED: "cancelled",
}
"""Phases that are tallied; the others depend on the hour, on gates, or on how a job ended."""

_number: Final = msgspec.json.Decoder(int)


def tallied(snapshot: Snapshot, status: Status | None, phase: Phase | None, lines: Sequence[int] | None) -> int | None:
    """The number of jobs of a status or phase in some lines (None: in all), or None where it isn't tallied."""
    if phase is not None and phase not in _OF_PHASE:
        return None
    stands = _OF_PHASE[phase] if phase is not None else _ALL if status is None else _OF_STATUS[status]
    where, parameters = "", list[Value]()
    if lines is not None:
        where, parameters = "WHERE line_id IN (SELECT value FROM json_each(?))", [numbers(lines)]
    sql = f"SELECT cast(coalesce(sum({stands}), 0) AS TEXT) FROM tallies {where}"
    return snapshot.read(_number, sql, *parameters)
