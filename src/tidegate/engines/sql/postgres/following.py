"""events: the feed of all steps.

Steps become visible when their transactions commit, which is in no order that a number taken before could tell. So
the feed shows a step only once every transaction that began to write before it has ended, in the order of those
transactions' ids (`xact`): nothing appears behind a cursor. A transaction that stays open holds the feed back.

A transaction may step on a job after one with a higher id did. To keep a job's own steps in order, such a late
step has its place right behind the earlier one: its key is the highest `xact` of its job so far. A cursor is the
key, the job's `seq` and the step's number of the last step met.
"""

import re
from typing import Final

from tidegate.core.verbs import Feed
from tidegate.engines.sql.postgres.reading import Step
from tidegate.engines.sql.postgres.store import FLUSH, Store
from tidegate.errors import InvalidInput

_CURSOR: Final = re.compile(r"(\d{1,19})-(\d{1,18})-(\d{1,9})")
_PRESENT: Final = "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() AS s"
_FEED: Final = """
WITH cursor AS MATERIALIZED (SELECT $1::text::xid8 AS xact, $2::bigint AS seq, $3::integer AS n),
present AS MATERIALIZED (
    SELECT pg_snapshot_xmin(s) AS horizon, pg_snapshot_xmax(s) AS beyond FROM pg_current_snapshot() AS s
),
fresh AS (
    (
        SELECT xact, seq, 1 AS n, created_at AS at, 'submitted' AS event, 0 AS run, '' AS note FROM tidegate.specs
        WHERE (xact, seq) >= ($1::text::xid8, $2::bigint) AND (xact, seq, 1) > ($1::text::xid8, $2::bigint, $3::integer)
            AND xact < (SELECT horizon FROM present)
        ORDER BY xact, seq LIMIT $4
    )
    UNION ALL (
        SELECT b.xact, b.seq, b.n, b.at, b.event, b.run, b.note FROM tidegate.history AS b
        WHERE (b.xact, b.seq, b.n) > ($1::text::xid8, $2::bigint, $3::integer)
            AND b.xact < (SELECT horizon FROM present)
            AND (
                SELECT count(*) FROM tidegate.steps AS before
                WHERE before.seq = b.seq AND before.n < b.n AND before.xact > b.xact
                    AND before.xact < (SELECT beyond FROM present)
            ) = 0
        ORDER BY b.xact, b.seq, b.n LIMIT $4
    )
),
shown AS (
    SELECT xact AS key, seq, n, at, event, run, note FROM fresh
    UNION ALL
    SELECT a.xact, late.seq, late.n, late.at, late.event, late.run, late.note
    FROM (SELECT xact, seq, n FROM fresh UNION ALL SELECT xact, seq, n FROM cursor) AS a
    CROSS JOIN LATERAL (
        SELECT late.* FROM tidegate.history AS late
        WHERE late.seq = a.seq AND late.n > a.n AND late.xact < a.xact AND NOT EXISTS (
            SELECT 1 FROM tidegate.history AS other
            WHERE other.seq = a.seq AND other.n > a.n AND other.n <= late.n AND other.xact >= a.xact
        ) OFFSET 0
    ) AS late
)
SELECT shown.n, (SELECT id FROM tidegate.specs WHERE specs.seq = shown.seq)::text, shown.at, shown.event, shown.run,
    shown.note, shown.key::text, shown.seq
FROM shown ORDER BY shown.key, shown.seq, shown.n LIMIT $4
"""


class _Met(Step, array_like=True, gc=False):
    """A step and its place in the feed."""

    key: str
    place: int

    @property
    def cursor(self) -> str:
        """The cursor behind it."""
        return f"{self.key}-{self.place}-{self.n}"


async def events(store: Store, after: str | None, limit: int) -> Feed:
    """See `ports.JobReader.events`. Steps go only with their jobs, so nobody ever falls behind this feed.

    A cursor from beyond its end belongs to another server: that reader is told to start anew.
    """
    if after is None:
        return Feed(entries=(), next=await _present(store))
    cursor = _CURSOR.fullmatch(after)
    if cursor is None:
        raise InvalidInput("after", "is no cursor of this feed: start without one")
    xact, seq, n = cursor.groups()
    met = await store.rows(_Met, _FEED, xact, int(seq), int(n), max(limit, 0))
    if not met and await _beyond(store, int(xact)):
        return Feed(entries=(), next=await _present(store), reset=True)
    if met:
        await store.fetch(FLUSH)  # what is shown has happened, and its place in the feed is nobody else's
    return Feed(entries=tuple(step.entry() for step in met), next=met[-1].cursor if met else after)


async def _present(store: Store) -> str:
    ((horizon, _),) = await store.rows(tuple[str, str], _PRESENT)
    return f"{horizon}-0-0"


async def _beyond(store: Store, xact: int) -> bool:
    ((_, end),) = await store.rows(tuple[str, str], _PRESENT)
    return xact > int(end)
