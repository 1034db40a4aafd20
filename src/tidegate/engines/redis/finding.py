"""find: jobs that match, newest first, at a bounded cost.

The store walks one index and sifts by status and line; what is finer is sifted here.
"""

from dataclasses import dataclass, replace
from typing import Final

from tidegate.core import lifecycle
from tidegate.core.job import Job, Phase, Status
from tidegate.core.matching import matching
from tidegate.core.query import JobQuery, Page
from tidegate.engines.redis.codec import Kinds, instant, stamp
from tidegate.engines.redis.records import STATUSES, read_job
from tidegate.engines.redis.scripts import Answer, Scripts
from tidegate.engines.redis.session import Session, reading
from tidegate.engines.redis.wire import Part

MOST_EXAMINED: Final = 1_000
"""Jobs that one call looks at; with an offset, as many more as that skips."""

MOST_COUNTED: Final = 10_000
"""Jobs that are looked at for a total, call by call, so that others get their turn in between."""

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
_INDEX_OF: Final = {
    Status.QUEUED: "queued",
    Status.RUNNING: "running",
    Status.SUCCEEDED: "all",
    Status.FAILED: "status:failed",
    Status.CANCELLED: "status:cancelled",
}
_COUNTS_OF: Final[dict[Status | Phase, str]] = {
    Status.QUEUED: "waiting,ready",
    Status.RUNNING: "running",
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "dead,failed",
    Status.CANCELLED: "cancelled",
}
_COUNTS_OF_PHASE: Final = {
    Phase.RUNNING: "running",
    Phase.FAILED: "failed",
    Phase.DEAD_LETTER: "dead",
    Phase.CANCELLED: "cancelled",
}
_EVERY_COUNT: Final = "waiting,ready,running,succeeded,dead,failed,cancelled"


@dataclass(frozen=True, slots=True)
class _Found:
    """A script's answer."""

    now: int
    life: bytes
    total: int | None
    next: int | None
    skipped: int
    size: int
    shut: frozenset[str]
    records: list[tuple[str, bytes]]


async def find(scripts: Scripts, query: JobQuery) -> Page:
    """See `ports.JobReader.find`; `total` is told with the first page only."""
    sifted = _sifted(query)
    skip, enough = (query.offset, query.limit + 1) if sifted else (0, MOST_EXAMINED + query.offset)
    session = await reading(scripts)
    found = await _search(session, query, (MOST_EXAMINED + query.offset, skip, enough))
    matches = await _matching(session, query, found)
    rest = matches if sifted else matches[query.offset :]
    page = rest[: query.limit]
    return Page(
        jobs=tuple(page),
        next=page[-1].seq if len(rest) > query.limit else found.next,
        total=None if query.after is not None else await _total(session, query, found, found.skipped + len(matches)),
    )


async def _matching(session: Session, query: JobQuery, found: _Found) -> list[Job]:
    """The jobs that were found, but for those that only we can tell do not match."""
    kinds = await session.kinds(found.life, (data for _, data in found.records))
    now = instant(found.now)
    jobs = [read_job(job_id, data, kinds) for job_id, data in found.records]
    return [job for job in jobs if matching(job, query, lifecycle.phase(job, now, found.shut))]


async def _total(session: Session, query: JobQuery, found: _Found, met: int) -> int | None:
    """How many match, of which `met` are known: as the store has counted, else counted where few are to be looked at.

    Those that come meanwhile are newer than any that is still to be counted.
    """
    after = found.next
    if after is not None and (found.total is not None or found.size > MOST_COUNTED):
        return found.total
    bounds = (MOST_EXAMINED, MOST_EXAMINED, 1) if _sifted(query) else (MOST_EXAMINED, 0, MOST_EXAMINED)
    while after is not None:
        older = replace(query, after=after)
        found = await _search(session, older, bounds)
        met, after = met + found.skipped + len(await _matching(session, older, found)), found.next
    return met


async def _search(session: Session, query: JobQuery, bounds: tuple[int, int, int]) -> _Found:
    lines = session.lines
    while True:
        answer = await session.run("find", *_question(query, lines.known), *bounds, _counted(query), lines.life)
        if answer[0] != b"lines":
            return _read(answer)
        _, life, many = answer
        await session.up_to(life, int(many or 0))


def _question(query: JobQuery, kinds: Kinds) -> list[Part]:
    status = _status(query)
    return [
        _index(query),
        "" if query.after is None else query.after,
        "" if query.created_from is None else stamp(query.created_from),
        "" if query.created_before is None else stamp(query.created_before),
        "" if status is None else STATUSES.index(status),
        _wanted(query, kinds),
        len(kinds),
    ]


def _index(query: JobQuery) -> str:
    status = _status(query)
    if query.user_id:
        return f"user:{query.user_id}"
    return "all" if status is None else _INDEX_OF[status]


def _status(query: JobQuery) -> Status | None:
    return query.status if query.phase is None else _STATUS_OF[query.phase]


def _names_lines(query: JobQuery) -> bool:
    return any(name is not None for name in (query.type, query.queue, query.upstream))


def _wanted(query: JobQuery, kinds: Kinds) -> str:
    """The lines that a job may stand in to match, as the script takes them."""
    if not _names_lines(query):
        return ""
    wanted = (
        number
        for number, (lane, type_) in kinds.items()
        if (query.type is None or query.type == type_)
        and (query.queue is None or query.queue == lane.queue)
        and (query.upstream is None or query.upstream == lane.upstream)
    )
    return "," + "".join(f"{number}," for number in wanted)


def _sifted(query: JobQuery) -> bool:
    """Whether the script's own filters are all there is."""
    finer = (query.tag, query.error_text, query.created_from, query.created_before)
    own_phase = query.phase in (None, Phase.RUNNING, Phase.CANCELLED)
    return own_phase and query.user_id != "" and all(value is None for value in finer)


def _counted(query: JobQuery) -> str:
    """What the store has counted that is the number of matches."""
    status, finer = _status(query), (query.tag, query.error_text, query.created_from, query.created_before)
    if query.after is not None or query.user_id == "" or any(value is not None for value in finer):
        return ""
    if query.user_id is not None:
        return "index" if status is None and not _names_lines(query) else ""
    if query.phase is not None:
        return _COUNTS_OF_PHASE.get(query.phase, "")
    return _EVERY_COUNT if status is None else _COUNTS_OF[status]


def _read(answer: Answer) -> _Found:
    now, life, total, after, skipped, size, shut, *rest = answer
    names = int(shut or 0)
    pairs = zip(rest[names::2], rest[names + 1 :: 2], strict=True)
    return _Found(
        now=int(now or 0),
        life=life or b"",
        total=None if total is None else int(total),
        next=None if after is None else int(after),
        skipped=int(skipped or 0),
        size=int(size or 0),
        shut=frozenset(name.decode() for name in rest[:names] if name is not None),
        records=[(job_id.decode(), data) for job_id, data in pairs if job_id is not None and data is not None],
    )
