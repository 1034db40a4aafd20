"""A search has a bound: beyond it pages are short, and following them still meets everything."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.conformance import build
from tests.conformance.build import new_job
from tests.conformance.harness import Harness
from tests.engines.redis.stores import fresh_url, opened
from tests.servers.valkey import Valkey
from tidegate.core.job import JobId, Phase, Status
from tidegate.core.query import JobQuery, Page
from tidegate.engines.redis import finding

BOUND = 10


@pytest.fixture(autouse=True)
def _small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_EXAMINED", BOUND)
    monkeypatch.setattr(finding, "MOST_COUNTED", 2 * BOUND)


@pytest.fixture
async def harness(server: Valkey) -> AsyncIterator[Harness]:
    async with opened(fresh_url(server)) as fresh:
        yield fresh


async def pages(harness: Harness, query: JobQuery) -> list[Page]:
    """All pages, followed to the end."""
    found = [await harness.engine.find(query)]
    while found[-1].next is not None:
        assert len(found) < 80
        found.append(await harness.engine.find(replace(query, after=found[-1].next, offset=0)))
    return found


def ids(found: list[Page]) -> list[JobId]:
    return [job.id for page in found for job in page.jobs]


async def test_a_page_ends_at_the_bound_though_nothing_matched_yet(harness: Harness) -> None:
    rare = await build.submit(harness, new_job(tags=("rare",)))
    await build.submit(harness, *(new_job() for _ in range(3 * BOUND)))
    found = await pages(harness, JobQuery(tag="rare", limit=5))
    assert [len(page.jobs) for page in found[:4]] == [0, 0, 0, 1]
    assert ids(found) == rare


async def test_following_short_pages_meets_every_match_once(harness: Harness) -> None:
    jobs = [new_job(tags=("third",) if number % 3 == 0 else (), type=f"t{number % 2}") for number in range(55)]
    submitted = await build.submit(harness, *jobs)
    for limit in (1, 2, 3, 50):
        assert ids(await pages(harness, JobQuery(tag="third", limit=limit))) == submitted[::3][::-1]
        assert ids(await pages(harness, JobQuery(type="t1", limit=limit))) == submitted[1::2][::-1]
        assert ids(await pages(harness, JobQuery(limit=limit))) == submitted[::-1]
        assert ids(await pages(harness, JobQuery(limit=limit, offset=15))) == submitted[:-15][::-1]
        assert ids(await pages(harness, JobQuery(tag="third", limit=limit, offset=4))) == submitted[::3][::-1][4:]


async def test_few_queued_or_running_jobs_are_found_at_once_behind_any_number_that_ended(harness: Harness) -> None:
    (waiting,) = await build.submit(harness, new_job(type="later"))
    (running,) = [lease.job.id for lease in (await build.claim(harness, types=frozenset({"later"}))).leases]
    (queued,) = await build.submit(harness, new_job(type="later"))
    assert waiting == running
    ended = await build.submit(harness, *(new_job() for _ in range(5 * BOUND)))
    await harness.engine.cancel(ended, build.nonce())
    for query, expected in [(JobQuery(status=Status.RUNNING), running), (JobQuery(phase=Phase.READY), queued)]:
        page = await harness.engine.find(query)
        assert ([job.id for job in page.jobs], page.next) == ([expected], None)


async def test_the_total_is_exact_where_it_is_cheap_and_else_unknown(harness: Harness) -> None:
    await build.submit(harness, *(new_job(user_id="bob", tags=("x",)) for _ in range(BOUND - 1)))
    await build.submit(harness, *(new_job(tags=("x",), type="other") for _ in range(2 * BOUND)))
    totals = [
        (await harness.engine.find(query)).total
        for query in (
            JobQuery(),
            JobQuery(limit=1),
            JobQuery(status=Status.QUEUED, queue="default", type="other"),
            JobQuery(user_id="bob"),
            JobQuery(user_id="bob", tag="x"),
            JobQuery(user_id="nobody"),
            JobQuery(status=Status.FAILED),
            JobQuery(tag="x"),
        )
    ]
    assert totals == [29, 29, 20, 9, 9, 0, 0, None]


async def test_what_no_page_holds_is_counted_up_to_a_bound(harness: Harness) -> None:
    bob = await build.submit(
        harness, *(new_job(user_id="bob", type=f"t{n % 2}", tags=("x",) if n % 3 else ()) for n in range(2 * BOUND))
    )
    await harness.engine.cancel(bob[::4], build.nonce())
    own = JobQuery(user_id="bob", limit=1)
    narrow = (
        replace(own, status=Status.CANCELLED),
        replace(own, status=Status.CANCELLED, offset=2),
        replace(own, type="t1", offset=3),
        replace(own, tag="x"),
        replace(own, tag="x", offset=4),
        replace(own, phase=Phase.READY),
    )
    assert [(await harness.engine.find(query)).total for query in narrow] == [5, 5, 10, 13, 13, 15]
    await build.submit(harness, new_job(user_id="bob"))
    assert [(await harness.engine.find(query)).total for query in narrow] == [None] * len(narrow)
    assert (await harness.engine.find(own)).total == 2 * BOUND + 1


async def test_a_line_made_by_another_process_is_searched_too(harness: Harness) -> None:
    await build.submit_one(harness)
    await pages(harness, JobQuery(type="work"))
    async with harness.other() as other:
        elsewhere = new_job(type="new", lane=build.lane("up", queue="far"))
        await other.submit([elsewhere])
    assert ids(await pages(harness, JobQuery(type="new"))) == [elsewhere.id]
    assert ids(await pages(harness, JobQuery(upstream="up", queue="far"))) == [elsewhere.id]
