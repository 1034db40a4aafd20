"""Filters, pages and counts in memory."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from tidegate.core import lifecycle
from tidegate.core.job import Job, Lane, Phase, Status
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


def matching(job: Job, query: JobQuery, phase: Phase) -> bool:
    """Whether a job passes every filter."""
    spec = job.spec
    wanted: Iterable[tuple[object, object]] = (
        (query.status, job.status),
        (query.type, spec.type),
        (query.queue, job.lane.queue),
        (query.upstream, job.lane.upstream),
        (query.user_id, spec.user_id),
        (query.phase, phase),
    )
    return (
        all(want is None or want == have for want, have in wanted)
        and (query.tag is None or query.tag in spec.tags)
        and (query.created_from is None or job.created_at >= query.created_from)
        and (query.created_before is None or job.created_at < query.created_before)
        and (query.error_text is None or _says(job, query.error_text))
    )


def _says(job: Job, text: str) -> bool:
    if job.error is None:
        return False
    return any(_lower(text) in _lower(said) for said in (job.error.code, job.error.message))


def _lower(text: str) -> str:
    """ASCII letters in lower case; the others are left, as in SQL's `lower`."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


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
