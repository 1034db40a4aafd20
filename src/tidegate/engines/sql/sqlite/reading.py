"""get, bodies, history, events, stats, documents, presence: what is read without a search."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.core.job import Body, Job, JobId, Lane, Owner
from tidegate.core.query import Event, HistoryEntry, LaneStats, Stats, WorkerInfo
from tidegate.core.verbs import Document, Feed
from tidegate.engines.sql.codec import JOB_COLUMNS, JobRow, instant
from tidegate.engines.sql.sqlite.papers import LOAD, SCAN
from tidegate.engines.sql.sqlite.presence import HOLDERS, WORKERS, read_worker
from tidegate.engines.sql.sqlite.readers import Reader
from tidegate.engines.sql.sqlite.submitting import KNOWN_KEYS, keys_decoder
from tidegate.errors import InvalidInput

_GET: Final = f"""
SELECT json_group_array(json_array({JOB_COLUMNS}))
FROM ({{rows}}) AS asked CROSS JOIN jobs ON jobs.id = asked.column1
"""
_BODY: Final = """
SELECT payload, result FROM jobs CROSS JOIN bodies ON bodies.seq = jobs.seq LEFT JOIN results ON results.seq = jobs.seq
WHERE jobs.id = ?
"""
_HISTORY: Final = """
SELECT json_group_array(json_array(n, id, at, event, run, note)) FROM (
    SELECT n, jobs.id AS id, at, event, run, note FROM jobs CROSS JOIN history ON history.seq = jobs.seq
    WHERE jobs.id = ? AND n > ? ORDER BY n LIMIT ?
)
"""
_NEWEST: Final = "SELECT cast(coalesce(max(seq), 0) AS TEXT) FROM sqlite_sequence WHERE name = 'history'"
_FEED: Final = """
SELECT json_group_array(json_array(feed, json_array(n, id, at, event, run, note))) FROM (
    SELECT feed, n, jobs.id AS id, at, event, run, note FROM history CROSS JOIN jobs ON jobs.seq = history.seq
    WHERE feed > ? ORDER BY feed LIMIT ?
)
"""
_TALLIES: Final = """
SELECT json_group_array(json_array(
    line_id, waiting, ready, running, succeeded, dead_letter, failed, cancelled
)) FROM tallies WHERE waiting + ready + running + succeeded + dead_letter + failed + cancelled > 0
"""
_OLDEST: Final = """
SELECT json_array(min(run_at)) FROM (
    SELECT min(run_at) AS run_at FROM jobs WHERE status = 'queued' AND stage = 1
    UNION ALL SELECT min(run_at) FROM jobs WHERE status = 'queued' AND stage = 2
)
"""


class _Entry(msgspec.Struct, array_like=True, gc=False):
    n: int
    job_id: str
    at: int
    event: Event
    run: int
    note: str


_jobs: Final = msgspec.json.Decoder(list[JobRow])
_entries: Final = msgspec.json.Decoder(list[_Entry])
_feed: Final = msgspec.json.Decoder(list[tuple[int, _Entry]])
_number: Final = msgspec.json.Decoder(int)
_tallies: Final = msgspec.json.Decoder(list[tuple[int, int, int, int, int, int, int, int]])
_maybe: Final = msgspec.json.Decoder(tuple[int | None])


def get(reader: Reader, job_ids: Sequence[JobId]) -> list[Job | None]:
    """See `ports.JobReader.get`."""
    rows = [(job_id,) for job_id in dict.fromkeys(job_ids)]
    found = {job.id: job for job in reader.jobs(reader.read_each(_jobs, _GET, rows))}
    return [found.get(job_id) for job_id in job_ids]


def known(reader: Reader, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
    """See `ports.JobQueue.known`."""
    rows = reader.read_each(keys_decoder, KNOWN_KEYS, list(dict.fromkeys(keys)))
    found = {(user_id, key): (JobId(job_id), fingerprint) for user_id, key, fingerprint, job_id in rows}
    return [found.get(key) for key in keys]


def bodies(reader: Reader, job_ids: Sequence[JobId]) -> list[Body | None]:
    """See `ports.JobReader.bodies`."""
    return [_body(reader, job_id) for job_id in job_ids]


def _body(reader: Reader, job_id: JobId) -> Body | None:
    for payload, result in reader.connection.execute(_BODY, (job_id,)).fetchall():
        return Body(payload=payload, result=result)
    return None


def history(reader: Reader, job_id: JobId, after: int, limit: int) -> list[HistoryEntry]:
    """See `ports.JobReader.history`."""
    return [_entry(entry) for entry in reader.read(_entries, _HISTORY, job_id, after, max(limit, 0))]


def _entry(entry: _Entry) -> HistoryEntry:
    job_id, at = JobId(entry.job_id), instant(entry.at)
    return HistoryEntry(seq=entry.n, job_id=job_id, at=at, event=entry.event, run=entry.run, note=entry.note)


def events(reader: Reader, after: str | None, limit: int) -> Feed:
    """See `ports.JobReader.events`. Steps go only with their jobs, so nobody ever falls behind this feed.

    A cursor from beyond its end belongs to another store: that reader is told to start anew.
    """
    newest = reader.read(_number, _NEWEST)
    if after is None:
        return Feed(entries=(), next=str(newest))
    if not (after.isascii() and after.isdigit()):
        raise InvalidInput("after", "is no cursor of this feed: start without one")
    if int(after) > newest:
        return Feed(entries=(), next=str(newest), reset=True)
    found = reader.read(_feed, _FEED, int(after), max(limit, 0))
    last = str(found[-1][0]) if found else after
    return Feed(entries=tuple(_entry(entry) for _, entry in found), next=last)


def stats(reader: Reader) -> Stats:
    """See `ports.JobReader.stats`."""
    tallies = reader.read(_tallies, _TALLIES)
    kinds = reader.kinds() if tallies else {}
    counts: dict[Lane, list[int]] = {}
    for line_id, *line_counts in tallies:
        before = counts.setdefault(kinds[line_id][0], [0] * len(line_counts))
        counts[kinds[line_id][0]] = [sum(pair) for pair in zip(before, line_counts, strict=True)]
    (oldest,) = reader.read(_maybe, _OLDEST)
    lanes = sorted((_lane_stats(lane, count) for lane, count in counts.items()), key=lambda stats: stats.lane.gates)
    return Stats(
        at=instant(reader.now), lanes=tuple(lanes), oldest_ready_at=None if oldest is None else instant(oldest)
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


def load(reader: Reader, kind: str, keys: Sequence[str]) -> list[Document]:
    """See `ports.Documents.load`."""
    return [_document(reader, kind, key) for key in keys]


def _document(reader: Reader, kind: str, key: str) -> Document:
    for version, value in reader.connection.execute(LOAD, (kind, key)).fetchall():
        return Document(kind=kind, key=key, version=version, value=value)
    return Document(kind=kind, key=key)


def scan(reader: Reader, kind: str, after: str, limit: int) -> list[Document]:
    """See `ports.Documents.scan`."""
    rows = reader.connection.execute(SCAN, (kind, after, max(limit, 0))).fetchall()
    return [Document(kind=kind, key=key, version=version, value=value) for key, version, value in rows]


def workers(reader: Reader) -> list[WorkerInfo]:
    """See `ports.Presence.workers`."""
    return [read_worker(info) for (info,) in reader.connection.execute(WORKERS, (reader.now,)).fetchall()]


def holders(reader: Reader) -> list[Owner]:
    """See `ports.Presence.holders`."""
    return [Owner(owner) for (owner,) in reader.connection.execute(HOLDERS).fetchall()]
