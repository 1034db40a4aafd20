"""Bugs in what is read: jobs, bodies, pages, histories, the feed and the counts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tests.conformance.mutants.broken import breaks
from tidegate.core.job import Body, Job, JobId, Owner, Status
from tidegate.core.query import Event, JobQuery, Page, Stats, WorkerInfo
from tidegate.core.verbs import Feed
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.state import Record, State


@breaks("get.whole")
class ForgetsMicroseconds(MemoryEngine):
    """Instants are stored in milliseconds."""

    async def get(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """See `MemoryEngine.get`."""
        return [job and replace(job, run_at=_rounded(job.run_at)) for job in await super().get(job_ids)]


def _rounded(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1_000 * 1_000)


@breaks("get.whole")
class LeavesOutUnknownJobs(MemoryEngine):
    """Unknown ids have no answer, and those behind them stand in the wrong place."""

    async def get(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """See `MemoryEngine.get`."""
        return [job for job in await super().get(job_ids) if job is not None]


@breaks("bodies.exact")
class StripsPayloads(MemoryEngine):
    """White space around a payload is lost."""

    async def bodies(self, job_ids: Sequence[JobId]) -> list[Body | None]:
        """See `MemoryEngine.bodies`."""
        return [body and replace(body, payload=body.payload.strip()) for body in await super().bodies(job_ids)]


@breaks("find.filters")
class FindsTagsByTheirBeginning(MemoryEngine):
    """A tag is looked for in the text of all."""

    async def find(self, query: JobQuery) -> Page:
        """See `MemoryEngine.find`."""
        tags = {tag for record in self._state.records.values() for tag in record.job.spec.tags}
        near = [tag for tag in sorted(tags) if query.tag is not None and tag.startswith(query.tag)]
        return await super().find(replace(query, tag=near[-1]) if near else query)


@breaks("find.filters")
class CountsTheEndOfATimeIn(MemoryEngine):
    """`created_before` is inclusive."""

    async def find(self, query: JobQuery) -> Page:
        """See `MemoryEngine.find`."""
        before = query.created_before and query.created_before + timedelta(microseconds=1)
        return await super().find(replace(query, created_before=before))


@breaks("find.pages")
class PagesByPlace(MemoryEngine):
    """The cursor is how many jobs were shown, whatever was accepted since."""

    async def find(self, query: JobQuery) -> Page:
        """See `MemoryEngine.find`."""
        shown = query.after or 0
        page = await super().find(replace(query, after=None, offset=query.offset + shown))
        return replace(page, next=None if page.next is None else shown + len(page.jobs))


@breaks("find.pages")
class LeavesOutOneJobBetweenPages(MemoryEngine):
    """A page begins one job too late."""

    async def find(self, query: JobQuery) -> Page:
        """See `MemoryEngine.find`."""
        return await super().find(replace(query, after=None if query.after is None else query.after - 1))


@breaks("find.total")
class TotalsOnePage(MemoryEngine):
    """The total is that of the page."""

    async def find(self, query: JobQuery) -> Page:
        """See `MemoryEngine.find`."""
        page = await super().find(query)
        return replace(page, total=len(page.jobs))


@breaks("history.complete")
class ForgetsReclaims(State):
    """That a lease was taken over is not written down."""

    def note(self, record: Record, at: datetime, event: Event, note: str = "") -> None:
        """See `State.note`."""
        if event is not Event.RECLAIMED:
            super().note(record, at, event, note)


@breaks("history.complete")
class KeepsTheNewestEntries(State):
    """A history is trimmed to its last ten."""

    def note(self, record: Record, at: datetime, event: Event, note: str = "") -> None:
        """See `State.note`."""
        super().note(record, at, event, note)
        record.history[:-10] = []


@breaks("history.complete")
class WritesWhatNeverHappened(MemoryEngine):
    """A cancel that changes nothing leaves an entry all the same."""

    def _ring(self, records: Sequence[Record | None]) -> None:
        super()._ring(records)
        for record in records:
            if record is not None and record.job.status.finished:
                self._state.note(record, self._clock.now(), Event.CANCELLED)


@breaks("events.feed")
class MovesTheCursorPastWhatIsMissing(MemoryEngine):
    """The next piece of the feed begins one entry too late."""

    async def events(self, after: str | None, limit: int = 1_000) -> Feed:
        """See `MemoryEngine.events`."""
        feed = await super().events(after, limit)
        return replace(feed, next=str(int(feed.next) + (len(feed.entries) == limit)))


@breaks("events.feed")
class ShowsTheFeedFromItsBeginning(MemoryEngine):
    """Who has no cursor gets all that ever happened."""

    async def events(self, after: str | None, limit: int = 1_000) -> Feed:
        """See `MemoryEngine.events`."""
        return await super().events(after or "0", limit)


@breaks("stats.exact")
class CountsDismissedAsDeadLetters(MemoryEngine):
    """Whatever failed is a dead letter."""

    async def stats(self) -> Stats:
        """See `MemoryEngine.stats`."""
        stats = await super().stats()
        lanes = (replace(lane, dead_letter=lane.dead_letter + lane.failed, failed=0) for lane in stats.lanes)
        return replace(stats, lanes=tuple(lanes))


@breaks("stats.exact")
class CountsByTheLaneOfTheSubmit(MemoryEngine):
    """A job that moved is counted where it was."""

    async def stats(self) -> Stats:
        """See `MemoryEngine.stats`."""
        lanes = {record.job.id: record.job.lane for record in self._state.records.values()}
        for record in self._state.records.values():
            record.job = replace(record.job, lane=record.job.spec.lane)
        stats = await super().stats()
        for record in self._state.records.values():
            record.job = replace(record.job, lane=lanes[record.job.id])
        return stats


# presence --------------------------------------------------------------------------------------------------


@breaks("announce.listed")
class ListsWorkersForGood(MemoryEngine):
    """Who was announced once is listed until he is announced with another name."""

    async def workers(self) -> list[WorkerInfo]:
        """See `MemoryEngine.workers`."""
        return [worker for worker, _ in self._state.workers.values()]


@breaks("announce.listed")
class KeepsTheFirstAnnouncement(MemoryEngine):
    """A later announcement only lasts longer."""

    async def announce(self, worker: WorkerInfo, live_for: timedelta) -> None:
        """See `MemoryEngine.announce`."""
        known, _ = self._state.workers.get(worker.owner, (worker, None))
        await super().announce(known, live_for)


@breaks("holders.all")
class NamesOnlyHoldersWhoseLeasesLast(MemoryEngine):
    """A lease that ran out has no holder."""

    async def holders(self) -> list[Owner]:
        """See `MemoryEngine.holders`."""
        running = [record.held for record in self._state.with_status(Status.RUNNING)]
        return sorted({held.owner for held in running if held is not None and held.expires_at > self._clock.now()})


@breaks("holders.all")
class NamesOnlyAnnouncedHolders(MemoryEngine):
    """Who is not announced holds nothing."""

    async def holders(self) -> list[Owner]:
        """See `MemoryEngine.holders`."""
        return [owner for owner in await super().holders() if owner in self._state.workers]
