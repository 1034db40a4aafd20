"""get, bodies, history, events, stats: what is read without a search."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from tidegate.core.job import Body, Job, JobId, Lane
from tidegate.core.query import HistoryEntry, LaneStats, Stats
from tidegate.core.verbs import Feed
from tidegate.engines.redis.codec import instant
from tidegate.engines.redis.records import read_body, read_history, read_job, read_steps
from tidegate.engines.redis.scripts import Scripts
from tidegate.engines.redis.session import reading
from tidegate.errors import InvalidInput

_BATCH: Final = 1_000
_CURSOR: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}(\.[0-9]{1,9})?")
_COUNTS: Final = 7


async def get(scripts: Scripts, job_ids: Sequence[JobId]) -> list[Job | None]:
    """See `ports.JobReader.get`."""
    session = await reading(scripts)
    jobs: list[Job | None] = []
    for first in range(0, len(job_ids), _BATCH):
        asked = job_ids[first : first + _BATCH]
        life, *records = await session.values("life", *(f"j:{job_id}" for job_id in asked))
        kinds = await session.kinds(life, (data for data in records if data is not None))
        pairs = zip(asked, records, strict=True)
        jobs += [None if data is None else read_job(job_id, data, kinds) for job_id, data in pairs]
    return jobs


async def bodies(scripts: Scripts, job_ids: Sequence[JobId]) -> list[Body | None]:
    """See `ports.JobReader.bodies`."""
    names = [f"{part}:{job_id}" for job_id in job_ids for part in "jbr"]
    values = await _values(scripts, names, batch=99)
    triples = zip(values[::3], values[1::3], values[2::3], strict=True)
    return [None if data is None else read_body(data, payload, result) for data, payload, result in triples]


async def history(scripts: Scripts, job_id: JobId, after: int, limit: int) -> list[HistoryEntry]:
    """See `ports.JobReader.history`."""
    data, older = await _values(scripts, [f"j:{job_id}", f"h:{job_id}"])
    if data is None:
        return []
    entries = (entry for entry in read_history(job_id, data, older) if entry.seq > after)
    return list(islice(entries, max(limit, 0)))


async def _values(scripts: Scripts, names: Sequence[str], batch: int = _BATCH) -> list[bytes | None]:
    """What stands at these keys: each batch is one read."""
    values: list[bytes | None] = []
    for first in range(0, len(names), batch):
        values += await scripts.values(*names[first : first + batch])
    return values


async def events(scripts: Scripts, after: str | None, limit: int) -> Feed:
    """See `ports.JobReader.events`. The feed keeps about a million of the newest steps, in entries of up to 100."""
    if after is not None and not _CURSOR.fullmatch(after):
        raise InvalidInput("after", "is no cursor of this feed: start without one")
    position, missed, steps = await scripts.run("events", after or "", max(limit, 0))
    assert position is not None
    return Feed(entries=tuple(read_steps(steps or b"")), next=position.decode(), reset=missed == b"1")


async def stats(scripts: Scripts) -> Stats:
    """See `ports.JobReader.stats`."""
    session = await reading(scripts)
    now, life, oldest, *counts = await session.run("stats")
    numbers = [int(count or 0) for count in counts]
    kinds = await session.up_to(life, len(numbers) // _COUNTS)
    lanes: dict[Lane, list[int]] = {}
    for place in range(len(numbers) // _COUNTS):
        lane = kinds[place + 1][0]
        own = numbers[place * _COUNTS : (place + 1) * _COUNTS]
        lanes[lane] = [sum(pair) for pair in zip(lanes.get(lane, [0] * _COUNTS), own, strict=True)]
    told = [_lane_stats(lane, own) for lane, own in lanes.items() if any(own)]
    return Stats(
        at=instant(int(now or 0)),
        lanes=tuple(sorted(told, key=lambda stats: stats.lane.gates)),
        oldest_ready_at=None if oldest is None else instant(int(oldest)),
    )


def _lane_stats(lane: Lane, counts: Sequence[int]) -> LaneStats:
    waiting, ready, running, succeeded, dead_letter, failed, cancelled = counts
    return LaneStats(
        lane=lane,
        waiting=waiting,
        ready=ready,
        running=running,
        succeeded=succeeded,
        dead_letter=dead_letter,
        failed=failed,
        cancelled=cancelled,
    )
