"""Which jobs a bulk action is meant for, and how many those are."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from tidegate.core.job import Job, JobId, Phase, Status
from tidegate.core.query import JobQuery, Page
from tidegate.system_jobs import SYSTEM_PREFIX, SYSTEM_QUEUE

PAGE: Final = 200
MOST_PAGES: Final = 50
"""Pages that are looked through where no index tells how many jobs match."""

SAMPLE: Final = 20
"""Ids that are shown of those that match."""

Find = Callable[[JobQuery], Awaitable[Page]]


class Action(StrEnum):
    """What is done to each job."""

    RETRY = "retry"
    CANCEL = "cancel"
    DISMISS = "dismiss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What shall be done, to which jobs: those that fit `where` and were accepted before `before`.

    Where `where` names no status, the action does: dead letters are retried and dismissed, and what has not ended is
    cancelled. Jobs of Tidegate's own are never meant. `per_second` jobs are acted on at most, and `limit` in all.
    """

    action: Action
    where: JobQuery = field(default_factory=JobQuery)
    before: datetime | None = None
    per_second: float | None = None
    limit: int | None = None

    @property
    def query(self) -> JobQuery:
        """The filter that the store is asked by, newest jobs first."""
        bounds = [at for at in (self.where.created_before, self.before) if at is not None]
        return replace(_sought(self), created_before=min(bounds, default=None))

    def means(self, job: Job) -> bool:
        """Whether a job that fits the filter is meant."""
        ended = self.action is Action.CANCEL and _any_status(self.where) and job.status.finished
        return not (ended or job.spec.type.startswith(SYSTEM_PREFIX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """How many jobs are meant just now; where that is not `exact`, there are at least so many."""

    count: int
    exact: bool
    sample: tuple[JobId, ...] = ()


async def matches(find: Find, work: Work, own: Collection[str]) -> Matches:
    """How many jobs `work` is meant for; `own` are the names of Tidegate's own job types.

    The store tells where it knows, else pages are looked through, a bounded number of them.
    """
    found, ended = await _walked(find, work, len(_queries(work)))
    sample = tuple(found[:SAMPLE])
    if ended:
        return Matches(count=len(found), exact=True, sample=sample)
    total = await _total(find, work, own)
    if total is not None:
        return Matches(count=max(total, len(found)), exact=True, sample=sample)
    found, ended = await _walked(find, work, MOST_PAGES)
    return Matches(count=len(found), exact=ended, sample=tuple(found[:SAMPLE]))


def _any_status(where: JobQuery) -> bool:
    return where.status is None and where.phase is None


def _sought(work: Work) -> JobQuery:
    """The filter, with the action's own status where it names none; unfinished jobs have no status in common."""
    if work.action is Action.CANCEL or not _any_status(work.where):
        return work.where
    return replace(work.where, phase=Phase.DEAD_LETTER)


def _queries(work: Work) -> Sequence[JobQuery]:
    """Filters that none but the meant jobs fit, but for Tidegate's own; each job fits one of them."""
    sought = _sought(work)
    if work.action is Action.CANCEL and _any_status(work.where):
        return [replace(sought, status=status) for status in (Status.QUEUED, Status.RUNNING)]
    return [sought]


async def _walked(find: Find, work: Work, pages: int) -> tuple[list[JobId], bool]:
    """The jobs on the first `pages`, and whether there are no more pages."""
    found: list[JobId] = []
    async for page in _pages(find, work):
        if pages == 0:
            return found, False
        found += [job.id for job in page if work.means(job)]
        pages -= 1
    return found, True


async def _pages(find: Find, work: Work) -> AsyncIterator[Sequence[Job]]:
    for query in _queries(work):
        after: int | None = None
        while True:
            page = await find(replace(query, after=after, limit=PAGE))
            yield page.jobs
            after = page.next
            if after is None:
                break


async def _total(find: Find, work: Work, own: Collection[str]) -> int | None:
    """The number of matches, from the store's own counts; None where it has none."""
    may_be_own = work.where.type is None and work.where.queue in (None, SYSTEM_QUEUE)
    total = 0
    for query in _queries(work):
        for one, sign in [(query, 1), *((replace(query, type=name), -1) for name in own if may_be_own)]:
            counted = (await find(replace(one, limit=1))).total
            if counted is None:
                return None
            total += sign * counted
    return total
