"""A search has a bound: beyond it pages are short, and following them still meets everything."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tidegate.core.job import JobId, Phase, Status
from tidegate.core.query import JobQuery, Page
from tidegate.engines.sql.sqlite import finding

BOUND = 10


@pytest.fixture(autouse=True)
def _small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_EXAMINED", BOUND)


async def pages(harness: Harness, query: JobQuery) -> list[Page]:
    """All pages, followed to the end."""
    found = [await harness.engine.find(query)]
    while found[-1].next is not None:
        assert len(found) < 50
        found.append(await harness.engine.find(replace(query, after=found[-1].next, offset=0)))
    return found


def ids(found: list[Page]) -> list[JobId]:
    return [job.id for page in found for job in page.jobs]


async def test_a_page_ends_at_the_bound_though_nothing_matched_yet(harness: Harness) -> None:
    rare = await build.submit(harness, new_job(tags=("rare",)))
    await build.submit(harness, *(new_job() for _ in range(3 * BOUND)))
    found = await pages(harness, JobQuery(tag="rare", limit=5))
    assert [len(page.jobs) for page in found] == [0, 0, 0, 1]
    assert ids(found) == rare


async def test_following_short_pages_meets_every_match_once(harness: Harness) -> None:
    jobs = [new_job(tags=("third",) if number % 3 == 0 else ()) for number in range(55)]
    submitted = await build.submit(harness, *jobs)
    for limit in (1, 2, 3, 50):
        found = await pages(harness, JobQuery(tag="third", limit=limit))
        assert ids(found) == submitted[::3][::-1]
        assert len(found) <= 55 // BOUND + 19 // limit + 2


async def test_the_total_is_exact_where_it_is_cheap_and_else_unknown(harness: Harness) -> None:
    await build.submit(harness, *(new_job(user_id="bob", tags=("x",)) for _ in range(BOUND)))
    await build.submit(harness, *(new_job(tags=("x",), type="other") for _ in range(2 * BOUND)))
    totals = [
        (await harness.engine.find(query)).total
        for query in (
            JobQuery(),
            JobQuery(status=Status.QUEUED, queue="default", type="other"),
            JobQuery(phase=Phase.DEAD_LETTER),
            JobQuery(user_id="bob", tag="x"),
            JobQuery(user_id="ada"),
            JobQuery(tag="x"),
        )
    ]
    assert totals == [3 * BOUND, 2 * BOUND, 0, BOUND, None, None]


async def test_the_range_of_time_narrows_the_search_itself(harness: Harness) -> None:
    await build.submit(harness, *(new_job() for _ in range(2 * BOUND)))
    start = harness.clock.now() + seconds(1)
    wanted = []
    for _ in range(4):
        harness.advance(1)
        wanted.append(await build.submit_one(harness))
    harness.clock.advance(timedelta(hours=1))
    await build.submit(harness, *(new_job() for _ in range(2 * BOUND)))
    page = await harness.engine.find(JobQuery(created_from=start, created_before=start + seconds(3)))
    assert ([job.id for job in page.jobs], page.next, page.total) == (wanted[2::-1], None, 3)


async def test_an_offset_widens_the_bound_by_what_it_skips(harness: Harness) -> None:
    submitted = await build.submit(harness, *(new_job() for _ in range(40)))
    page = await harness.engine.find(JobQuery(offset=35, limit=3))
    assert [job.id for job in page.jobs] == submitted[4:1:-1]
    assert (page.next, page.total) == (page.jobs[-1].seq, 40)
