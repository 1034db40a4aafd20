"""A store under test and the memory engine on one clock, given the same calls and held to the same answers."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from tests.conformance.drafts import KEYS, USERS
from tests.conformance.harness import STORES
from tidegate.core.job import Body, Job, JobId, Lane, Owner
from tidegate.core.query import HistoryEntry, JobQuery, LaneStats, Stats
from tidegate.core.verbs import Claimed, ClaimRequest, Document, Reclaimed, ReclaimRequest, Swap, Swapped
from tidegate.engines.memory import MemoryEngine
from tidegate.errors import InvalidInput
from tidegate.ports import Engine

T = TypeVar("T")

STALEST_STATS = timedelta(seconds=5)
MOST_PAGES = 1_000

Counts = tuple[datetime, datetime | None, Mapping[Lane, LaneStats]]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a store shows of some jobs, and of itself."""

    jobs: Sequence[Job | None]
    bodies: Sequence[Body | None]
    holders: Sequence[Owner]
    keys: Sequence[tuple[JobId, str] | None]
    stats: Stats
    steps: Sequence[HistoryEntry]
    cursor: str


class Twins:
    """Both stores, on a private event loop, so that a state machine that is not async can drive them.

    Numbers that a store is free to choose (`seq`, versions, cursors) are compared by their order alone.
    """

    def __init__(self, store: str) -> None:
        self._folder = TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._opening = STORES[store](Path(self._folder.name))
        harness = self._run(self._opening.__aenter__())
        self.clock = harness.clock
        self.store: Engine = harness.engine
        self.model = MemoryEngine(self.clock, by_given_ranks=harness.by_given_ranks)
        self._counted: list[Counts] = []
        self._versions: dict[int, int] = {}
        self._cursors = [feed.next for feed in self.both(lambda engine: engine.events(None))]

    def close(self) -> None:
        """Close and forget both."""
        self._run(self._opening.__aexit__(None, None, None))
        self._runner.close()
        self._folder.cleanup()

    def _run(self, call: Coroutine[object, None, T]) -> T:
        return self._runner.get_loop().run_until_complete(call)  # Runner.run sets a signal handler each time

    def both(self, ask: Callable[[Engine], Coroutine[object, None, T]]) -> tuple[T, T]:
        """The answers of the store and of the model."""

        async def asked() -> tuple[T, T]:
            return await ask(self.store), await ask(self.model)

        return self._run(asked())

    def agree(self, ask: Callable[[Engine], Coroutine[object, None, T]]) -> T:
        """The answer of both."""
        answer, expected = self.both(ask)
        assert answer == expected
        return answer

    # verbs whose answers hold numbers that a store is free to choose ---------------------------------------

    def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """Claim from both; the store's answer."""
        answer, expected = self.both(lambda engine: engine.claim(request, nonce))
        self._same_version(answer.version, expected.version)
        assert _plain_claim(answer) == _plain_claim(expected)
        return answer

    def reclaim(self, request: ReclaimRequest, nonce: str) -> Sequence[Reclaimed]:
        """Reclaim from both; the store's answer."""
        answer, expected = self.both(lambda engine: engine.reclaim(request, nonce))
        assert [_plain_taken(taken) for taken in answer] == [_plain_taken(taken) for taken in expected]
        return answer

    def swap(self, swap: Swap, model_expects: int) -> Swapped | None:
        """Swap in both, each expecting its own version; None where both refused."""
        asked = {id(self.store): swap, id(self.model): replace(swap, expected=model_expects)}
        answer, expected = self.both(lambda engine: _swapped(engine, asked[id(engine)]))
        assert (answer is None) == (expected is None)
        if answer is not None and expected is not None:
            assert answer.won == expected.won
            self._same_document(answer.document, expected.document)
        return answer

    def load(self, kind: str, key: str) -> tuple[Document, Document]:
        """The document as each has it."""
        (document,), (expected,) = self.both(lambda engine: engine.load(kind, [key]))
        self._same_document(document, expected)
        return document, expected

    def scan(self, kind: str) -> None:
        """All documents of a kind."""
        answer, expected = self.both(lambda engine: engine.scan(kind))
        for document, twin in zip(answer, expected, strict=True):
            self._same_document(document, twin)

    def find(self, query: JobQuery) -> None:
        """All pages of a query."""
        answer, expected = self.both(lambda engine: _every_match(engine, query))
        assert [_plain(job) for job in answer] == [_plain(job) for job in expected]

    def history(self, job_id: JobId) -> Sequence[HistoryEntry]:
        """The whole history of one job."""
        return self.agree(lambda engine: engine.history(job_id))

    # looking -----------------------------------------------------------------------------------------------

    def look(self, ids: Sequence[JobId]) -> Sequence[Job | None]:
        """Compare everything that the stores show, and the steps since the last look; the jobs."""
        cursors = {id(self.store): self._cursors[0], id(self.model): self._cursors[1]}
        seen, expected = self.both(lambda engine: _seen(engine, ids, cursors[id(engine)]))
        assert [job and _plain(job) for job in seen.jobs] == [job and _plain(job) for job in expected.jobs]
        assert _by_age(seen.jobs) == _by_age(expected.jobs)
        assert (seen.bodies, seen.holders, seen.keys) == (expected.bodies, expected.holders, expected.keys)
        known = [job.id for job in seen.jobs if job is not None]
        assert _by_job(seen.steps, known) == _by_job(expected.steps, known)
        self._check_counts(seen.stats, expected.stats)
        self._cursors = [seen.cursor, expected.cursor]
        return seen.jobs

    def _check_counts(self, stats: Stats, expected: Stats) -> None:
        """The counts are the model's at one of its instants, at most 5 s ago."""
        oldest = self.clock.now() - STALEST_STATS
        self._counted = [counts for counts in self._counted if counts[0] >= oldest] + [_counts(expected)]
        assert _counts(stats) in self._counted

    def _same_document(self, document: Document, expected: Document) -> None:
        self._same_version(document.version, expected.version)
        assert replace(document, version=0) == replace(expected, version=0)

    def _same_version(self, version: int, expected: int) -> None:
        assert self._versions.setdefault(expected, version) == version
        ordered = [self._versions[known] for known in sorted(self._versions)]
        assert ordered == sorted(set(ordered)), "versions are in another order, or one recurs"


async def _swapped(engine: Engine, swap: Swap) -> Swapped | None:
    try:
        return await engine.swap(swap)
    except InvalidInput:
        return None


async def _every_match(engine: Engine, query: JobQuery) -> list[Job]:
    met: list[Job] = []
    for _ in range(MOST_PAGES):
        page = await engine.find(query)
        met += page.jobs
        if page.next is None:
            return met
        query = replace(query, after=page.next, offset=0)
    raise AssertionError(f"the pages of {query} have no end")


async def _seen(engine: Engine, ids: Sequence[JobId], cursor: str) -> Seen:
    steps: list[HistoryEntry] = []
    while (feed := await engine.events(cursor)).next != cursor:
        assert not feed.reset
        steps += feed.entries
        cursor = feed.next
    return Seen(
        jobs=await engine.get(ids),
        bodies=await engine.bodies(ids),
        holders=sorted(await engine.holders()),
        keys=await engine.known(list(product(USERS, KEYS))),
        stats=await engine.stats(),
        steps=steps,
        cursor=cursor,
    )


def _plain(job: Job) -> Job:
    return replace(job, seq=0)


def _by_age(jobs: Sequence[Job | None]) -> list[JobId]:
    return [job.id for job in sorted((job for job in jobs if job is not None), key=lambda job: job.seq)]


def _by_job(steps: Sequence[HistoryEntry], known: Sequence[JobId]) -> dict[JobId, list[HistoryEntry]]:
    return {job_id: [step for step in steps if step.job_id == job_id] for job_id in known}


def _plain_claim(claimed: Claimed) -> Claimed:
    """Without what a store is free to choose; `more` and `wake_at` are held to their promise by waiting."""
    leases = (replace(lease, job=_plain(lease.job), eras=dict(lease.eras)) for lease in claimed.leases)
    cancelling = tuple(sorted(claimed.cancelling))
    return replace(claimed, leases=tuple(leases), cancelling=cancelling, more=False, wake_at=None, version=0)


def _plain_taken(taken: Reclaimed) -> Reclaimed:
    lease = taken.lease
    return replace(taken, lease=replace(lease, job=_plain(lease.job), eras=dict(lease.eras)))


def _counts(stats: Stats) -> Counts:
    lanes = {counts.lane: counts for counts in stats.lanes if counts != LaneStats(lane=counts.lane)}
    return stats.at, stats.oldest_ready_at, lanes
