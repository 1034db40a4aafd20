"""How many jobs end a minute, by queue, in the whole fleet: read off the store's feed whenever somebody asks."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tidegate.core.job import JobId
from tidegate.core.query import Event
from tidegate.core.verbs import Feed
from tidegate.ports import Engine

WINDOW: Final = 300.0
"""Seconds that are counted."""

SETTLED: Final = 1.0
"""Seconds for which a count is given again, and before which there is none."""

MOST_PAGES: Final = 40
"""Pages of 1,000 steps read for one answer. Who is further behind than that starts anew."""

SAMPLE: Final = 100
"""Jobs of a page that are looked up to know their queues; they stand for the others."""

_ENDS: Final = frozenset({Event.SUCCEEDED, Event.FAILED, Event.CANCELLED})


@dataclass(frozen=True, slots=True)
class Stretch:
    """The jobs that ended, by queue, from one reading to the next."""

    began: float
    ended: float
    jobs: Mapping[str, float]


@dataclass(slots=True)
class Throughput:
    """One process's reading of the feed. It costs nothing while nobody asks, and begins at the first question."""

    _cursor: str | None = None
    _read_at: float = 0.0
    _stretches: deque[Stretch] = field(default_factory=deque)

    async def per_minute(self, engine: Engine, now: float) -> Mapping[str, float] | None:
        """Jobs that ended a minute; a queue that is not named had none. None while there is nothing to go by.

        `now` is a monotonic clock's. One caller at a time.
        """
        if self._cursor is None or now - self._read_at > WINDOW:
            await self._begin(engine, now)
        elif now - self._read_at >= SETTLED:
            jobs = await self._news(engine)
            if jobs is None:
                await self._begin(engine, now)
            else:
                self._stretches.append(Stretch(self._read_at, now, jobs))
                self._read_at = now
        return self._rates(now)

    async def _begin(self, engine: Engine, now: float) -> None:
        self._cursor, self._read_at = (await engine.events(None)).next, now
        self._stretches.clear()

    async def _news(self, engine: Engine) -> Mapping[str, float] | None:
        """What ended since the last reading; None where that can't be known. Where it fails, nothing has been read."""
        jobs, cursor = defaultdict[str, float](float), self._cursor
        for _ in range(MOST_PAGES):
            feed = await engine.events(cursor)
            if feed.reset:
                return None
            if feed.next == cursor:
                self._cursor = cursor
                return dict(jobs)
            cursor = feed.next
            await _count(engine, feed, jobs)
        return None

    def _rates(self, now: float) -> Mapping[str, float] | None:
        while self._stretches and self._stretches[0].ended <= now - WINDOW:
            self._stretches.popleft()
        if not self._stretches:
            return None
        total = defaultdict[str, float](float)
        for stretch in self._stretches:
            for queue, ended in stretch.jobs.items():
                total[queue] += ended
        span = self._stretches[-1].ended - self._stretches[0].began
        return {queue: 60 * ended / span for queue, ended in total.items()}


async def _count(engine: Engine, feed: Feed, jobs: defaultdict[str, float]) -> None:
    """Add a page's endings to `jobs`; of many, an evenly spread part is looked up and stands for all."""
    ended: Sequence[JobId] = [entry.job_id for entry in feed.entries if entry.event in _ENDS]
    sample = ended[:: -(-len(ended) // SAMPLE)] if ended else []
    found = [job.lane.queue for job in await engine.get(sample) if job is not None] if sample else []
    for queue in found:
        jobs[queue] += len(ended) / len(found)
