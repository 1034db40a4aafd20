"""find: jobs that match, newest first, at a bounded cost.

One index gives candidates in the order of `seq`; a call examines so many of those and then ends its page,
however many matched.
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from tidegate.core.job import Lane, Phase, Status
from tidegate.core.matching import ascii_lower
from tidegate.core.query import JobQuery, Page
from tidegate.engines.sql.codec import JOB_COLUMNS, JobRow, stamp
from tidegate.engines.sql.sqlite.counting import tallied
from tidegate.engines.sql.sqlite.readers import Reader
from tidegate.engines.sql.sqlite.snapshot import Value, numbers

MOST_EXAMINED: Final = 10_000
"""Jobs that one call looks at; with an offset, as many more as that skips."""

_PAGE: Final = """
SELECT json_group_array(json_array({columns})) FROM (
    SELECT * FROM (SELECT * FROM jobs WHERE {source} ORDER BY seq DESC LIMIT ?) AS jobs
    WHERE {filters} LIMIT ? OFFSET ?
) AS jobs
"""
_REACH: Final = """
SELECT json_array(count(*), min(seq)) FROM (SELECT seq FROM jobs WHERE {source} ORDER BY seq DESC LIMIT ?)
"""
_CANDIDATES: Final = "SELECT cast(count(*) AS TEXT) FROM (SELECT 1 FROM jobs WHERE {source} LIMIT ?)"
_COUNT: Final = "SELECT cast(count(*) AS TEXT) FROM jobs WHERE {source} AND {filters}"
_SHUT: Final = "SELECT json_group_array(name) FROM gates WHERE not_before > ?"
_FIRST_SINCE: Final = """
SELECT json_group_array(json_array(seq, created_at)) FROM (
    SELECT seq, created_at FROM jobs WHERE seq >= ? ORDER BY seq LIMIT 1
)
"""
_LAST_SEQ: Final = "SELECT cast(coalesce(max(seq), 0) AS TEXT) FROM jobs"

_rows: Final = msgspec.json.Decoder(list[JobRow])
_reach: Final = msgspec.json.Decoder(tuple[int, int | None])
_names: Final = msgspec.json.Decoder(frozenset[str])
_number: Final = msgspec.json.Decoder(int)
_created: Final = msgspec.json.Decoder(list[tuple[int, int]])

_STATUS_OF: Final = {
    Phase.SCHEDULED: Status.QUEUED,
    Phase.READY: Status.QUEUED,
    Phase.PARKED: Status.QUEUED,
    Phase.PAUSED: Status.QUEUED,
    Phase.RETRYING: Status.QUEUED,
    Phase.RUNNING: Status.RUNNING,
    Phase.SUCCEEDED: Status.SUCCEEDED,
    Phase.DEGRADED: Status.SUCCEEDED,
    Phase.FAILED: Status.FAILED,
    Phase.DEAD_LETTER: Status.FAILED,
    Phase.CANCELLED: Status.CANCELLED,
}


@dataclass(slots=True)
class _Where:
    """Conditions joined by AND, and their parameters."""

    terms: list[str] = field(default_factory=list)
    parameters: list[Value] = field(default_factory=list)

    def add(self, term: str, *parameters: Value) -> None:
        """And this, too."""
        self.terms.append(term)
        self.parameters += parameters

    @property
    def sql(self) -> str:
        """The condition."""
        return " AND ".join(self.terms) or "true"


def find(reader: Reader, query: JobQuery) -> Page:
    """See `ports.JobReader.find`; `total` is told with the first page only."""
    source, filters = _source(reader, query), _filters(reader, query)
    total = _total(reader, query, source, filters) if query.after is None else None
    if query.after is not None:
        source.add("seq < ?", query.after)
    budget = MOST_EXAMINED + query.offset
    sql = _PAGE.format(columns=JOB_COLUMNS, source=source.sql, filters=filters.sql)
    wanted = (*source.parameters, budget, *filters.parameters, query.limit + 1, query.offset)
    rows = reader.read(_rows, sql, *wanted)
    page = reader.jobs(rows[: query.limit])
    end = page[-1].seq if len(rows) > query.limit else _end(reader, source, budget)
    return Page(jobs=tuple(page), next=end, total=total)


def _end(reader: Reader, source: _Where, budget: int) -> int | None:
    """Where the next page begins when the budget, not the matches, came to its end."""
    examined, last = reader.read(_reach, _REACH.format(source=source.sql), *source.parameters, budget)
    return last if examined == budget else None


def _status(query: JobQuery) -> Status | None:
    return query.status if query.phase is None else _STATUS_OF[query.phase]


def _source(reader: Reader, query: JobQuery) -> _Where:
    """The candidates: what one index, and the range of `seq`, can tell."""
    where, status = _Where(), _status(query)
    if query.user_id is not None:
        where.add("user_id = ?", query.user_id)
    elif status is Status.RUNNING:
        where.add("seq IN (SELECT leases.seq FROM leases)")
    elif status is not None:
        where.add("status = ? AND status <> 'running'", status.value)
    if query.created_from is not None:
        where.add("seq >= ?", _first_since(reader, stamp(query.created_from)))
    if query.created_before is not None:
        where.add("seq < ?", _first_since(reader, stamp(query.created_before)))
    return where


def _first_since(reader: Reader, instant: int) -> int:
    """The first `seq` accepted at `instant` or later: the store's clock never goes back, so both grow together."""
    low, high = 1, reader.read(_number, _LAST_SEQ) + 1
    while low < high:
        middle = (low + high) // 2
        ((seq, created_at),) = reader.read(_created, _FIRST_SINCE, middle)
        if created_at >= instant:
            high = middle
        else:
            low = seq + 1
    return low


def _filters(reader: Reader, query: JobQuery) -> _Where:
    """What must be looked at job by job."""
    where, status = _Where(), _status(query)
    if status is not None:
        where.add("status = ?", status.value)
    _add_phase(where, query.phase, reader.now)
    if _names_lines(query):
        where.add("line_id IN (SELECT value FROM json_each(?))", numbers(_lines(reader, query)))
    if query.tag is not None:
        where.add("EXISTS (SELECT 1 FROM json_each(jobs.tags) WHERE json_each.value = ?)", query.tag)
    if query.error_text is not None:
        text = ascii_lower(query.error_text)
        where.add("(instr(lower(error_code), ?) > 0 OR instr(lower(error_message), ?) > 0)", text, text)
    return where


def _add_phase(where: _Where, phase: Phase | None, now: int) -> None:
    match phase:
        case Phase.READY | Phase.PARKED | Phase.PAUSED:
            where.add("run_at <= ?", now)
        case Phase.SCHEDULED:
            where.add("run_at > ? AND runs <= base", now)
        case Phase.RETRYING:
            where.add("run_at > ? AND runs > base", now)
        case Phase.SUCCEEDED | Phase.DEGRADED:
            where.add("degraded = ?", int(phase is Phase.DEGRADED))
        case Phase.FAILED:
            where.add("dismissed_at IS NOT NULL")
        case Phase.DEAD_LETTER:
            where.add("dismissed_at IS NULL")
        case _:
            pass


def _names_lines(query: JobQuery) -> bool:
    gated = query.phase in (Phase.READY, Phase.PARKED, Phase.PAUSED)
    return gated or any(name is not None for name in (query.type, query.queue, query.upstream))


def _lines(reader: Reader, query: JobQuery) -> list[int]:
    """The lines that a job may stand in to match."""
    shut = reader.read(_names, _SHUT, reader.now)
    return [
        number
        for number, (lane, type_) in reader.kinds().items()
        if (query.type is None or query.type == type_)
        and (query.queue is None or query.queue == lane.queue)
        and (query.upstream is None or query.upstream == lane.upstream)
        and _gates_fit(lane, query.phase, shut)
    ]


def _gates_fit(lane: Lane, phase: Phase | None, shut: frozenset[str]) -> bool:
    queue, *upstreams = (gate in shut for gate in lane.gates)
    match phase:
        case Phase.PAUSED:
            return queue
        case Phase.PARKED:
            return not queue and any(upstreams)
        case Phase.READY:
            return not queue and not any(upstreams)
        case _:
            return True


def _total(reader: Reader, query: JobQuery, source: _Where, filters: _Where) -> int | None:
    """How many match: from the tallies where those know, else counted where the candidates are few."""
    plain = (query.user_id, query.tag, query.error_text, query.created_from, query.created_before)
    if all(value is None for value in plain):
        lines = _lines(reader, query) if _names_lines(query) else None
        known = tallied(reader, query.status, query.phase, lines)
        if known is not None:
            return known
    few = reader.read(_number, _CANDIDATES.format(source=source.sql), *source.parameters, MOST_EXAMINED + 1)
    if few > MOST_EXAMINED:
        return None
    sql = _COUNT.format(source=source.sql, filters=filters.sql)
    return reader.read(_number, sql, *source.parameters, *filters.parameters)
