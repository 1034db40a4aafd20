"""stats: where jobs stand, counted by indexes alone."""

from typing import Final

import msgspec

from tidegate.core.job import Lane
from tidegate.core.query import LaneStats, Stats
from tidegate.engines.sql.codec import instant, read_tags
from tidegate.engines.sql.postgres.store import NOW, Store

KEPT: Final = 4.0
"""Seconds for which a count is given again, so that many readers cost no more than one; the promise is 5."""

_COUNT: Final = f"""
WITH counted AS (
    SELECT line_id, 'ready' AS stand, count(*) AS n, min(run_at) AS oldest
    FROM tidegate.jobs WHERE stage = 1 GROUP BY line_id
    UNION ALL SELECT line_id, 'ready', count(*), min(run_at)
    FROM tidegate.jobs WHERE stage = 2 AND expires_at IS NOT NULL GROUP BY line_id
    UNION ALL SELECT line_id, 'waiting', count(*), NULL FROM tidegate.jobs WHERE stage = 0 GROUP BY line_id
    UNION ALL SELECT line_id, 'waiting', count(*), NULL
    FROM tidegate.jobs WHERE stage = 3 AND expires_at IS NOT NULL GROUP BY line_id
    UNION ALL SELECT line_id, 'running', count(*), NULL
    FROM tidegate.jobs WHERE lease_until IS NOT NULL GROUP BY line_id
    UNION ALL SELECT line_id, CASE WHEN status = 'failed' AND dismissed_at IS NULL THEN 'dead_letter' ELSE status END,
        count(*), NULL
    FROM tidegate.jobs WHERE prune_at IS NOT NULL GROUP BY 1, 2
)
SELECT present.at, found.queue, found.upstream, found.parents, found.stand, found.n, found.oldest
FROM (SELECT {NOW} AS at) AS present LEFT JOIN (
    SELECT lines.queue, lines.upstream, lines.parents, counted.stand, sum(counted.n)::bigint AS n,
        min(counted.oldest) AS oldest
    FROM counted JOIN tidegate.lines AS lines ON lines.id = counted.line_id GROUP BY 1, 2, 3, 4
) AS found ON true
"""


class _Count(msgspec.Struct, array_like=True, gc=False):
    at: int
    queue: str | None
    upstream: str | None
    parents: str | None
    stand: str | None
    n: int | None
    oldest: int | None


class Counter:
    """The newest count of a store."""

    def __init__(self) -> None:
        self._counted: tuple[float, Stats] | None = None

    async def stats(self, store: Store) -> Stats:
        """See `ports.JobReader.stats`."""
        asked_at, counted = store.clock.monotonic(), self._counted
        if counted is None or not 0 <= asked_at - counted[0] < KEPT:
            counted = self._counted = asked_at, await count(store)
        return counted[1]


async def count(store: Store) -> Stats:
    """Where all jobs stand now."""
    sql, now = store.address.sql(_COUNT), store.now
    found = await store.snapshot(lambda connection: connection.fetch(sql, now))
    rows = [msgspec.convert(tuple(row), _Count) for row in found]
    lanes: dict[Lane, dict[str, int]] = {}
    for row in rows:
        if row.queue is not None and row.stand is not None and row.n is not None:
            lane = Lane(queue=row.queue, upstream=row.upstream, parents=read_tags(row.parents or "[]"))
            lanes.setdefault(lane, {})[row.stand] = row.n
    oldest = min((row.oldest for row in rows if row.oldest is not None), default=None)
    counted = [LaneStats(lane=lane, **stands) for lane, stands in lanes.items()]
    return Stats(
        at=instant(rows[0].at),
        lanes=tuple(sorted(counted, key=lambda stats: stats.lane.gates)),
        oldest_ready_at=None if oldest is None else instant(oldest),
    )
