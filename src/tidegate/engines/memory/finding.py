"""Filters, pages and counts in memory."""

from dataclasses import replace
from datetime import datetime

from tidegate.core import lifecycle
from tidegate.core.job import Lane, Status
from tidegate.core.matching import matching
from tidegate.core.query import JobQuery, LaneStats, Page, Stats
from tidegate.engines.memory.state import Record, State


def find(state: State, query: JobQuery, now: datetime) -> Page:
    """The matches, newest first; here the total is always known."""
    jobs = sorted((record.job for record in state.records.values()), key=lambda job: -job.seq)
    shut = state.shut(now)
    matches = [job for job in jobs if matching(job, query, lifecycle.phase(job, now, shut))]
    rest = [job for job in matches if query.after is None or job.seq < query.after][query.offset :]
    page = tuple(rest[: query.limit])
    more = len(rest) > query.limit
    return Page(jobs=page, next=page[-1].seq if more else None, total=len(matches))


def stats(state: State, now: datetime) -> Stats:
    """Count everything."""
    lanes: dict[Lane, LaneStats] = {}
    for record in state.records.values():
        lane = record.job.lane
        lanes[lane] = _counted(lanes.get(lane, LaneStats(lane=lane)), record)
    ready = [record.job.run_at for record in state.records.values() if record.ready]
    ordered = sorted(lanes.values(), key=lambda stats: stats.lane.gates)
    return Stats(at=now, lanes=tuple(ordered), oldest_ready_at=min(ready, default=None))


def _counted(stats: LaneStats, record: Record) -> LaneStats:
    match record.job.status:
        case Status.QUEUED if record.ready:
            return replace(stats, ready=stats.ready + 1)
        case Status.QUEUED:
            return replace(stats, waiting=stats.waiting + 1)
        case Status.RUNNING:
            return replace(stats, running=stats.running + 1)
        case Status.SUCCEEDED:
            return replace(stats, succeeded=stats.succeeded + 1)
        case Status.FAILED if record.job.dismissed_at is None:
            return replace(stats, dead_letter=stats.dead_letter + 1)
        case Status.FAILED:
            return replace(stats, failed=stats.failed + 1)
        case Status.CANCELLED:
            return replace(stats, cancelled=stats.cancelled + 1)
