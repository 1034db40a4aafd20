"""find: jobs that match, newest first, at a bounded cost.

One index gives candidates in the order of `seq`; a call examines so many of those and then ends its page,
however many matched. All its statements see the same instant.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from tidegate.core.job import Phase, Status
from tidegate.core.query import JobQuery, Page
from tidegate.engines.sql.codec import micros, stamp
from tidegate.engines.sql.postgres.pool import Connection
from tidegate.engines.sql.postgres.rows import SHOWN, read_jobs
from tidegate.engines.sql.postgres.store import NOW, Store

MOST_EXAMINED: Final = 10_000
"""Jobs that one call looks at; with an offset, as many more as that skips."""

SLACK: Final = timedelta(minutes=10)
"""`seq` and `created_at` grow together but for clocks that were set back and calls that overtook each other: by
less than this, so no match is missed."""

_SEEN: Final = "(SELECT shown.* FROM tidegate.shown AS shown WHERE shown.seq = c.seq OFFSET 0)"
"""One candidate. OFFSET keeps the planner from joining all of them before the first is looked at."""

_PAGE: Final = f"""
SELECT {SHOWN} FROM (SELECT c.seq FROM {{table}} AS c WHERE {{source}} ORDER BY c.seq DESC LIMIT {{budget}}) AS c
CROSS JOIN LATERAL {_SEEN} AS shown WHERE {{filters}}
ORDER BY c.seq DESC LIMIT {{limit}} OFFSET {{offset}}
"""
_REACH: Final = """
SELECT count(*), min(c.seq) FROM (
    SELECT c.seq FROM {table} AS c WHERE {source} ORDER BY c.seq DESC LIMIT {budget}
) AS c
"""
_TOTAL: Final = f"""
WITH c AS MATERIALIZED (SELECT c.seq FROM {{table}} AS c WHERE {{source}} ORDER BY c.seq DESC LIMIT {{most}})
SELECT (SELECT count(*) FROM c), count(*) FROM c CROSS JOIN LATERAL {_SEEN} AS shown
WHERE {{filters}} AND (SELECT count(*) FROM c) < {{most}}
"""
_FIRST_SINCE: Final = """
WITH RECURSIVE halving(low, high) AS (
    SELECT 0::bigint, coalesce((SELECT max(seq) FROM tidegate.specs), 0) + 1
    UNION ALL
    SELECT CASE WHEN met.created_at < $1 THEN met.seq + 1 ELSE halving.low END,
        CASE WHEN met.created_at < $1 THEN halving.high ELSE (halving.low + halving.high) / 2 END
    FROM halving LEFT JOIN LATERAL (
        SELECT seq, created_at FROM tidegate.specs
        WHERE seq >= (halving.low + halving.high) / 2 ORDER BY seq LIMIT 1
    ) AS met ON true
    WHERE halving.low < halving.high
)
SELECT low FROM halving WHERE low >= high LIMIT 1
"""
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
_PLACE: Final = re.compile(r"<(\d+)>")
_SHUT: Final = "ARRAY(SELECT name FROM tidegate.gates WHERE not_before > ({now}))"
_GATES_OF: Final = {
    Phase.PAUSED: "lines.gates[1] = ANY ({shut})",
    Phase.PARKED: "NOT lines.gates[1] = ANY ({shut}) AND lines.gates && ({shut})",
    Phase.READY: "NOT lines.gates && ({shut})",
}


@dataclass(slots=True)
class _Statement:
    """Conditions on the candidates and on what is seen of them; their arguments stand in them as `<place>`."""

    table: str = "tidegate.specs"
    source: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    arguments: list[object] = field(default_factory=list)

    def given(self, value: object, kind: str) -> str:
        """An argument, as it stands in the statement."""
        self.arguments.append(value)
        return f"<{len(self.arguments) - 1}>::{kind}"

    def filled(self, form: str, **parts: int) -> tuple[str, list[object]]:
        """A form with these conditions in it, and the arguments that it uses; `parts` are further ones."""
        numbers = {name: self.given(value, "bigint") for name, value in parts.items()}
        source, filters = (" AND ".join(terms) or "true" for terms in (self.source, self.filters))
        used: list[object] = []

        def place(found: re.Match[str]) -> str:
            used.append(self.arguments[int(found[1])])
            return f"${len(used)}"

        return _PLACE.sub(place, form.format(table=self.table, source=source, filters=filters, **numbers)), used


@dataclass(slots=True)
class _Search:
    """One query on one connection, in one snapshot."""

    store: Store
    connection: Connection
    query: JobQuery
    asked: _Statement = field(default_factory=_Statement)

    async def ask(self, form: str, **parts: int) -> "list[asyncpg.Record]":
        """The rows of a form filled with what was asked."""
        sql, arguments = self.asked.filled(form, **parts)
        return await self.connection.fetch(self.store.address.sql(sql), *arguments)

    async def answer(self) -> "tuple[list[asyncpg.Record], int | None, int | None]":
        """The rows of the page, where the next one begins, and how many match."""
        await self._narrow()
        self._filter()
        query, total = self.query, None
        if query.after is None:
            total = await self._total()
        else:
            self.asked.source.append(f"c.seq < {self.asked.given(query.after, 'bigint')}")
        budget = MOST_EXAMINED + query.offset
        rows = await self.ask(_PAGE, budget=budget, limit=query.limit + 1, offset=query.offset)
        if len(rows) > query.limit:
            return rows[: query.limit], int(rows[query.limit - 1]["seq"]), total
        ((examined, last),) = await self.ask(_REACH, budget=budget)
        return rows, last if examined == budget else None, total

    async def _total(self) -> int | None:
        """How many match, counted where the candidates are few."""
        ((candidates, matches),) = await self.ask(_TOTAL, most=MOST_EXAMINED + 1)
        return None if candidates > MOST_EXAMINED else int(matches)

    # the candidates: what one index, and the range of `seq`, can tell ----------------------------------------

    async def _narrow(self) -> None:
        query, asked, status = self.query, self.asked, _status(self.query)
        if query.user_id is not None:
            asked.source.append(f"c.user_id = {asked.given(query.user_id, 'text')}")
        elif status is Status.RUNNING:
            asked.table = "tidegate.jobs"
            asked.source.append("c.lease_until IS NOT NULL")
        elif status is not None and status is not Status.SUCCEEDED:
            asked.table = "tidegate.jobs"
            asked.source.append(f"c.status = '{status.value}'")
        if query.created_from is not None:
            asked.source.append(f"c.seq >= {asked.given(await self._since(query.created_from, -SLACK), 'bigint')}")
        if query.created_before is not None:
            asked.source.append(f"c.seq < {asked.given(await self._since(query.created_before, SLACK), 'bigint')}")

    async def _since(self, instant: datetime, slack: timedelta) -> int:
        """The first `seq` accepted about then."""
        sql = self.store.address.sql(_FIRST_SINCE)
        return int(await self.connection.fetchval(sql, stamp(instant) + micros(slack)))

    # what must be looked at job by job -----------------------------------------------------------------------

    def _filter(self) -> None:
        query, asked, status = self.query, self.asked, _status(self.query)
        if status is not None:
            asked.filters.append(f"shown.status = '{status.value}'")
        if query.created_from is not None:
            asked.filters.append(f"shown.created_at >= {asked.given(stamp(query.created_from), 'bigint')}")
        if query.created_before is not None:
            asked.filters.append(f"shown.created_at < {asked.given(stamp(query.created_before), 'bigint')}")
        if query.tag is not None:
            tag = asked.given(msgspec.json.encode(query.tag).decode(), "text")
            asked.filters.append(
                f"EXISTS (SELECT 1 FROM json_array_elements(shown.tags::json) AS t WHERE t::text = {tag})"
            )
        if query.error_text is not None:
            text = f'lower({asked.given(query.error_text, "text")} COLLATE "C")'
            asked.filters.append(
                f"(strpos(lower(shown.error_code), {text}) > 0 OR strpos(lower(shown.error_message), {text}) > 0)"
            )
        self._filter_phase()
        self._filter_lines()

    def _filter_phase(self) -> None:
        now = NOW.replace("$1::bigint", self.asked.given(self.store.now, "bigint"))
        by_phase = {
            Phase.READY: f"shown.run_at <= {now}",
            Phase.PARKED: f"shown.run_at <= {now}",
            Phase.PAUSED: f"shown.run_at <= {now}",
            Phase.SCHEDULED: f"shown.run_at > {now} AND shown.runs <= shown.base",
            Phase.RETRYING: f"shown.run_at > {now} AND shown.runs > shown.base",
            Phase.SUCCEEDED: "shown.degraded = 0",
            Phase.DEGRADED: "shown.degraded = 1",
            Phase.FAILED: "shown.dismissed_at IS NOT NULL",
            Phase.DEAD_LETTER: "shown.dismissed_at IS NULL",
        }
        if self.query.phase in by_phase:
            self.asked.filters.append(by_phase[self.query.phase])

    def _filter_lines(self) -> None:
        """The lines that a job may stand in to match."""
        query, asked, terms = self.query, self.asked, list[str]()
        for column, value in (("type", query.type), ("queue", query.queue), ("upstream", query.upstream)):
            if value is not None:
                terms.append(f"lines.{column} = {asked.given(value, 'text')}")
        if query.phase in _GATES_OF:
            now = NOW.replace("$1::bigint", asked.given(self.store.now, "bigint"))
            terms.append(_GATES_OF[query.phase].format(shut=_SHUT.format(now=now)))
        if terms:
            lines = f"SELECT lines.id FROM tidegate.lines AS lines WHERE {' AND '.join(terms)}"
            asked.filters.append(f"shown.line_id = ANY (ARRAY({lines}))")


async def find(store: Store, query: JobQuery) -> Page:
    """See `ports.JobReader.find`; `total` is told with the first page only."""
    rows, end, total = await store.snapshot(lambda connection: _Search(store, connection, query).answer())
    return Page(jobs=tuple(await read_jobs(store, rows)), next=end, total=total)


def _status(query: JobQuery) -> Status | None:
    return query.status if query.phase is None else _STATUS_OF[query.phase]
