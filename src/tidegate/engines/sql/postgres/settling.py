"""settle: end runs."""

from collections.abc import Sequence
from typing import Final, TypeAlias, assert_never

from tidegate.core import steps
from tidegate.core.job import Bury, Cancel, Defer, Ending, Retry, Settlement, Succeed
from tidegate.core.verbs import Settled
from tidegate.engines.sql.codec import micros, write_failure, write_tags
from tidegate.engines.sql.drafting import Draft
from tidegate.engines.sql.postgres.columns import ARRAYS, Column, arrays, columns, cuts, shared, sparse
from tidegate.engines.sql.postgres.rows import uuids
from tidegate.engines.sql.postgres.store import Store

_TYPES: Final = (
    *("uuid", "text", "text", "text", "text", "bigint", "text", "text", "text", "text"),
    *("bytea", "text", "smallint", "text", "text", "text", "text"),
)
_SETTLE: Final = f"""
SELECT * FROM tidegate.settle(
    $1::bigint, $2::integer[], {arrays(3, _TYPES)}, {arrays(3 + len(_TYPES), ("integer", *ARRAYS))}
)
"""
_Ended: TypeAlias = tuple[object, ...]

_NO_ERROR: Final = (None, None, None)
_KEEPS: Final = (None, None, None, None)
_STAYS: Final = (None, None, None)


async def settle(store: Store, endings: Sequence[Ending], follow_ups: Sequence[Sequence[Draft]]) -> list[Settled]:
    """See `ports.JobQueue.settle`; `follow_ups` are the drafts of each ending's `then`."""
    ids = set(uuids(ending.job_id for ending in endings))
    known = [place for place, ending in enumerate(endings) if ending.job_id in ids]
    mine = [endings[place] for place in known]
    then = [(number, draft) for number, place in enumerate(known, 1) for draft in follow_ups[place]]
    rows = await store.fetch(
        _SETTLE,
        store.now,
        cuts([(ending.job_id,) for ending in mine]),
        *_written(mine),
        [number for number, _ in then],
        *await columns(store, [draft for _, draft in then]),
    )
    answers = [Settled.LOST] * len(endings)
    for place, (fate, _) in zip(known, rows, strict=True):
        answers[place] = Settled(fate)
    queues = {queue for _, queue in rows if queue is not None}
    queues |= {draft.new.spec.lane.queue for _, draft in then}
    store.ring({*(f"job:{ending.job_id}" for ending in mine), *(f"queue:{queue}" for queue in queues)})
    return answers


def _written(endings: Sequence[Ending]) -> Sequence[Column]:
    """The columns of some endings."""
    if not endings:
        return ((),) * len(_TYPES)
    ids, tokens, statuses, events, *rest = zip(*map(_row, endings), strict=True)
    return (ids, tokens, shared(statuses), shared(events), *map(sparse, rest))


def _row(ending: Ending) -> _Ended:
    event, note = steps.recorded(ending.settlement)
    return (ending.job_id, ending.token, *_columns(ending.settlement, event.value, note))


def _columns(settlement: Settlement, event: str, note: str) -> _Ended:
    """status, event, note, delay, refund, error (3), result, result_path, degraded, served_by, lane (3)"""
    match settlement:
        case Succeed():
            kept = (settlement.result, settlement.result_path, int(settlement.degraded) or None, settlement.served_by)
            return ("succeeded", event, note or None, None, None, *_NO_ERROR, *kept, *_STAYS)
        case Bury():
            error = write_failure(settlement.failure)
            return ("failed", event, note, None, settlement.refund, *error, *_KEEPS, *_STAYS)
        case Cancel():
            return ("cancelled", event, note, None, None, *_NO_ERROR, *_KEEPS, *_STAYS)
        case Retry():
            return ("queued", event, note, micros(settlement.delay), None, *_error(settlement), *_KEEPS, *_STAYS)
        case Defer():
            delay, lane = micros(settlement.delay), settlement.lane
            goes = _STAYS if lane is None else (lane.queue, lane.upstream, write_tags(lane.parents))
            return ("queued", event, note, delay, settlement.refund, *_error(settlement), *_KEEPS, *goes)
        case _:
            assert_never(settlement)


def _error(settlement: Retry | Defer) -> tuple[str | None, ...]:
    return _NO_ERROR if settlement.failure is None else write_failure(settlement.failure)
