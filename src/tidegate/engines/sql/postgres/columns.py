"""New jobs as the columns that `accept` takes: one array each, which cross to the server in one piece."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from tidegate.core.job import Lane, Retention
from tidegate.engines.sql.codec import micros, read_tags, write_tags
from tidegate.engines.sql.drafting import Draft
from tidegate.engines.sql.postgres.rows import uuids
from tidegate.engines.sql.postgres.store import Numbers, Store
from tidegate.errors import InvalidInput

Column: TypeAlias = Sequence[object]

ARRAYS: Final = (
    *("uuid", "integer", "integer", "text", "smallint", "bigint", "bigint", "text", "bigint", "bigint"),
    *("text", "text", "text", "text", "bytea"),
    *("text", "text", "text", "text"),
)
"""The types of the columns."""

_NONE: Final[tuple[Column, ...]] = ((),) * len(ARRAYS)

_LINES: Final = "SELECT id, queue, upstream, parents, type FROM tidegate.lines"
_MAKE_LINE: Final = "SELECT tidegate.line_of($1, $2, $3, $4)"
_TERMS: Final = "SELECT tidegate.terms_of($1, $2, $3, $4)"
_RECALL: Final = "SELECT tidegate.recall($1::integer[], $2::integer[])"


def arrays(first: int, types: Sequence[str]) -> str:
    """Parameters from the `first` on, one array a column."""
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, first))


AT_ONCE: Final = (
    *("uuid", "integer", "integer", "text", "smallint", "text", "bigint", "bigint"),
    *("text", "text", "text", "text", "bytea"),
    *("integer", "integer", "integer", "text", "smallint"),
)
"""The types of the columns that `enter` takes."""


async def columns(store: Store, drafts: Sequence[Draft]) -> tuple[Column, ...]:
    """The columns of some drafts; raises InvalidInput.

    A line that there is not yet is named, and made by the first job that is accepted into it.
    """
    if not drafts:
        return _NONE
    numbers = await _know(store, drafts)
    if len(uuids(draft.new.id for draft in drafts)) != len({draft.new.id for draft in drafts}):
        raise InvalidInput("id", "must be a UUID, written with lower-case digits and hyphens")
    rows = [_row(numbers, draft) for draft in drafts]
    lanes: Sequence[Column] = ((), (), (), ())
    if any(row[1] is None for row in rows):
        lanes = tuple(zip(*(_line(draft) for draft in drafts), strict=True))
    return (*zip(*rows, strict=True), *lanes)


async def sure_columns(store: Store, drafts: Sequence[Draft]) -> tuple[Column, ...]:
    """The same for a transaction that others neither wait for nor show their newest lines: those are made beforehand,
    and are there; raises EngineUnavailable."""
    numbers = store.numbers
    for draft in drafts:
        spec = draft.new.spec
        if (spec.lane, spec.type) not in numbers.lines:
            ((numbers.lines[spec.lane, spec.type],),) = await store.fetch(_MAKE_LINE, *_line(draft))
    asked = await columns(store, drafts)
    await store.fetch(_RECALL, list(set(asked[1])), list(set(asked[2])))
    return asked


def _row(numbers: Numbers, draft: Draft) -> tuple[object, ...]:
    new, spec = draft.new, draft.new.spec
    tags, expires_at, _, timeout, terms, *rest = draft.columns
    line_id, terms_id = numbers.lines.get((spec.lane, spec.type)), numbers.terms[str(terms)]
    head = (new.id, line_id, terms_id, spec.user_id, spec.priority, draft.run_at, draft.delay)
    return (*head, tags, expires_at, timeout, *rest, new.payload)


def _line(draft: Draft) -> tuple[str, str | None, str, str]:
    lane = draft.new.spec.lane
    return lane.queue, lane.upstream, write_tags(lane.parents), draft.new.spec.type


async def _know(store: Store, drafts: Sequence[Draft]) -> Numbers:
    """Learn the numbers of lines and terms; terms are made at need, in a transaction of their own."""
    numbers = store.numbers
    if any((draft.new.spec.lane, draft.new.spec.type) not in numbers.lines for draft in drafts):
        for number, queue, upstream, parents, type_ in await store.fetch(_LINES):
            lane = Lane(queue=queue, upstream=upstream, parents=read_tags(parents))
            numbers.lines[lane, type_] = number
    for draft in drafts:
        terms = str(draft.columns[4])
        if terms not in numbers.terms:
            numbers.terms[terms] = await _terms(store, terms, draft.new.spec.retention)
    return numbers


async def _terms(store: Store, terms: str, retention: Retention) -> int:
    kept = (micros(retention.succeeded), micros(retention.failed), micros(retention.cancelled))
    ((number,),) = await store.fetch(_TERMS, terms, *kept)
    return int(number)


def cuts(names: Sequence[Sequence[object]]) -> list[int]:
    """Where a batch is to be cut so that no part of it holds a name twice; `names` are those of each element."""
    met: set[object] = set()
    ends: list[int] = []
    for place, mine in enumerate(names):
        if not met.isdisjoint(mine):
            ends.append(place)
            met.clear()
        met.update(mine)
    return [*ends, len(names)]


def at_once(asked: Sequence[Column]) -> tuple[Column, ...] | None:
    """The columns that `enter` takes, of jobs that are due at once in lines that there are; None for others."""
    ids, lines, terms, users, priorities, run_ats, delays, tags, expires_ats, *rest = asked
    if asked[-1] or any(delays) or any(run_at is not None for run_at in run_ats):
        return None
    timeouts, keys, fingerprints, request_ids, traceparents, payloads, *_ = rest
    flows: dict[tuple[object, ...], int] = {}
    counts: list[int] = []
    numbers, nths = [], []
    for flow in zip(lines, users, priorities, strict=True):
        number = flows.get(flow)
        if number is None:
            number = flows[flow] = len(counts)
            counts.append(0)
        counts[number] += 1
        numbers.append(number + 1)
        nths.append(counts[number])
    if len(counts) == 1:
        nths = []
    said_once = map(shared, (lines, terms, users, priorities, tags))
    texts = (*map(shared, (fingerprints, request_ids, traceparents)), payloads, shared(numbers), nths)
    return (ids, *said_once, sparse(expires_ats), shared(timeouts), sparse(keys), *texts, *zip(*flows, strict=True))


def shared(column: Column) -> Column:
    """A column, or its first value alone where all are the same: the driver takes long to write down each."""
    return column[:1] if column.count(column[0]) == len(column) else column


def sparse(column: Column) -> Column:
    """A column, or nothing where it holds nothing: the driver takes long to write down each NULL."""
    return column if any(value is not None for value in column) else ()
