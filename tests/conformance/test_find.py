"""Filters and pages, held against a filter written out by hand."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.conformance.build import (
    cancel,
    claim_one,
    failure,
    finish,
    job,
    lane,
    new_job,
    nonce,
    seconds,
    set_gates,
    settle,
    start,
    submit,
    submit_one,
)
from tests.conformance.harness import Harness
from tests.conformance.population import HOUR, TAGS, TEXTS, TICK, passes, populate
from tests.conformance.promises import promise
from tidegate.core.job import Bury, JobId, Phase, Retry, Settlement, Status, Succeed
from tidegate.core.query import JobQuery, Page
from tidegate.core.verbs import Gate


async def each_page(harness: Harness, query: JobQuery) -> list[Page]:
    """The pages of a query, to the end."""
    pages = [await harness.engine.find(query)]
    while (after := pages[-1].next) is not None:
        assert len(pages) < 1_000
        pages.append(await harness.engine.find(replace(query, after=after, offset=0)))
    assert all(len(page.jobs) <= query.limit for page in pages)
    return pages


async def every_match(harness: Harness, query: JobQuery) -> list[JobId]:
    """The ids of all matches, in the order of the pages."""
    return [found.id for page in await each_page(harness, query) for found in page.jobs]


async def expected(harness: Harness, made: Sequence[JobId], query: JobQuery) -> list[JobId]:
    """The ids of all matches, newest first."""
    found = [one for one in await harness.engine.get(made) if one is not None]
    return [one.id for one in reversed(found) if passes(one, query, harness)]


async def check(harness: Harness, made: Sequence[JobId], query: JobQuery) -> int:
    """Hold one query against the oracle; how many matches it has."""
    wanted = await expected(harness, made, query)
    pages = await each_page(harness, query)
    assert [found.id for page in pages for found in page.jobs] == wanted[query.offset :], query
    assert {page.total for page in pages} <= {None, len(wanted)}, query
    return len(wanted)


def singles(harness: Harness) -> list[JobQuery]:
    """Every filter alone."""
    now = harness.clock.now()
    return [
        JobQuery(),
        *(JobQuery(status=status) for status in Status),
        *(JobQuery(phase=phase) for phase in Phase),
        *(JobQuery(type=name) for name in ("work", "Work", "WORK", "other", "w")),
        *(JobQuery(queue=name) for name in ("default", "high", "low", "none")),
        *(JobQuery(upstream=name) for name in ("a", "b", "p", "A", "")),
        *(JobQuery(user_id=name) for name in ("ada", "Ada", "", "a")),
        *(JobQuery(tag=tag) for tag in (*TAGS, "blue", "RED")),
        *(JobQuery(error_text=text) for text in TEXTS),
        *(JobQuery(created_from=now - seconds(after)) for after in (-1, 0, 5, 10, 1_000)),
        *(JobQuery(created_before=now - seconds(after)) for after in (-1, 0, 5, 10, 1_000)),
    ]


def combined(harness: Harness, dice: random.Random, narrow: Sequence[JobQuery]) -> JobQuery:
    """Two to four filters at once, any page size and offset."""
    query = JobQuery(limit=dice.choice([1, 3, 50, 200]), offset=dice.choice([0, 0, 1, 7]))
    for one in dice.sample(narrow, dice.randrange(2, 5)):
        changed = {name: getattr(one, name) for name in FILTERS if getattr(one, name) is not None}
        query = replace(query, **changed)
    return replace(query, status=None) if query.phase else query


FILTERS = [
    "status",
    "phase",
    "type",
    "queue",
    "upstream",
    "user_id",
    "tag",
    "created_from",
    "created_before",
    "error_text",
]


@promise("find.filters", "find.total")
@pytest.mark.parametrize("seed", [1, 2])
async def test_filters_narrow_exactly_alone_and_combined(harness: Harness, seed: int) -> None:
    dice = random.Random(seed)
    made = await populate(harness, dice)
    narrow = singles(harness)
    met = {query: await check(harness, made, query) for query in narrow}
    assert all(met[JobQuery(phase=phase)] for phase in Phase), "the population lacks a phase"
    matches = [await check(harness, made, combined(harness, dice, narrow)) for _ in range(150)]
    assert sum(1 for many in matches if many > 1) > 20


@promise("find.filters")
async def test_times_are_compared_to_the_microsecond(harness: Harness) -> None:
    made = []
    for _ in range(3):
        made += await submit(harness, new_job())
        harness.advance(0.000001)
    first_at = (await job(harness, made[0])).created_at
    assert await every_match(harness, JobQuery(created_from=first_at + TICK)) == [made[2], made[1]]
    assert await every_match(harness, JobQuery(created_before=first_at + TICK)) == [made[0]]
    both = JobQuery(created_from=first_at + TICK, created_before=first_at + 2 * TICK)
    assert await every_match(harness, both) == [made[1]]


@promise("find.filters")
async def test_a_phase_follows_the_clock_and_the_gates_by_itself(harness: Harness) -> None:
    where = lane("up", "account", "provider")
    (later,) = await submit(harness, new_job(lane=where, delay=seconds(10)))
    assert await phases(harness, later) == {Phase.SCHEDULED}
    harness.advance(9.999999)
    assert await phases(harness, later) == {Phase.SCHEDULED}
    harness.advance(0.000001)
    assert await phases(harness, later) == {Phase.READY}
    for gate in where.gates:
        await set_gates(harness, Gate(name=gate, not_before=harness.clock.now() + seconds(5)))
        assert await phases(harness, later) == {Phase.PAUSED if gate.startswith("queue:") else Phase.PARKED}
        harness.advance(5)
        assert await phases(harness, later) == {Phase.READY}
    await set_gates(harness, Gate(name="upstream:up", limit=0))
    assert await phases(harness, later) == {Phase.READY}


@promise("find.filters")
async def test_a_pause_of_the_queue_is_shown_before_a_parked_upstream(harness: Harness) -> None:
    waiting = await submit_one(harness, lane=lane("up"))
    opens_at = harness.clock.now() + seconds(5)
    shut = [Gate(name=name, not_before=opens_at) for name in ("queue:default", "upstream:up")]
    await set_gates(harness, *shut)
    assert await phases(harness, waiting) == {Phase.PAUSED}


async def phases(harness: Harness, job_id: JobId) -> set[Phase]:
    """Under which phases a job is found."""
    return {phase for phase in Phase if job_id in await every_match(harness, JobQuery(phase=phase))}


# pages -----------------------------------------------------------------------------------------------------


@promise("find.pages")
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 10, 11])
async def test_pages_go_from_the_newest_to_the_oldest_without_gap_or_repeat(harness: Harness, limit: int) -> None:
    made = await submit(harness, *(new_job(type="work" if n % 2 else "other") for n in range(10)))
    newest_first = made[::-1]
    assert await every_match(harness, JobQuery(limit=limit)) == newest_first
    assert await every_match(harness, JobQuery(limit=limit, type="work")) == newest_first[::2]
    assert await every_match(harness, JobQuery(limit=limit, offset=4)) == newest_first[4:]
    assert await every_match(harness, JobQuery(limit=limit, offset=10)) == []


@promise("find.pages")
async def test_the_last_page_says_that_it_is_the_last(harness: Harness) -> None:
    await submit(harness, *(new_job() for _ in range(4)))
    pages = await each_page(harness, JobQuery(limit=2))
    assert pages[-1].next is None
    assert (await harness.engine.find(JobQuery(type="none"))).jobs == ()


@promise("find.pages")
@pytest.mark.parametrize("query", [JobQuery(limit=3), JobQuery(limit=3, type="work"), JobQuery(limit=3, user_id="eve")])
async def test_pages_meet_once_what_existed_throughout_whatever_happens_between(
    harness: Harness, query: JobQuery
) -> None:
    made = [*await submit(harness, *(new_job(user_id="eve") for _ in range(12)))]
    pruned_soon = [await finish(harness, user_id="eve", type="gone") for _ in range(3)]
    harness.advance(86_400)
    page, met = await harness.engine.find(query), list[JobId]()
    for round_ in range(100):
        met += [found.id for found in page.jobs]
        if page.next is None:
            break
        await _stir(harness, round_, made)
        page = await harness.engine.find(replace(query, after=page.next))
    assert len(met) == len(set(met))
    assert [job_id for job_id in met if job_id in made] == made[::-1]
    assert await harness.engine.get(pruned_soon) == [None] * 3


async def _stir(harness: Harness, round_: int, made: Sequence[JobId]) -> None:
    """Submit, end, cancel, revive and prune other jobs and these between two pages."""
    await submit(harness, *(new_job(user_id="eve", delay=HOUR) for _ in range(2)))
    lease = await claim_one(harness)
    settlements: list[Settlement] = [Succeed(), Retry(delay=HOUR, failure=failure()), Bury(failure=failure())]
    await settle(harness, lease, settlements[round_ % 3])
    await cancel(harness, made[round_])
    await harness.engine.revive([made[round_]], nonce())
    await harness.engine.prune(2)


@promise("find.pages")
async def test_matches_that_stay_are_met_once_while_others_leave_and_join(harness: Harness) -> None:
    stay = await submit(harness, *(new_job(type="other") for _ in range(6)))
    leave = [await start(harness) for _ in range(3)]
    queued, met = JobQuery(status=Status.QUEUED, limit=2), list[JobId]()
    page = await harness.engine.find(queued)
    for lease in leave:
        met += [found.id for found in page.jobs]
        await settle(harness, lease, Retry(delay=HOUR, failure=failure()))
        if page.next is not None:
            page = await harness.engine.find(replace(queued, after=page.next))
    assert met == stay[::-1]


@promise("find.total")
async def test_the_first_page_tells_how_many_match_however_few_it_holds(harness: Harness) -> None:
    dice = random.Random(3)
    made = await populate(harness, dice)
    for narrow in (*singles(harness), replace(JobQuery(user_id="ada"), phase=Phase.DEAD_LETTER)):
        page = await harness.engine.find(replace(narrow, limit=1))
        assert page.total == len(await expected(harness, made, narrow)), narrow


@promise("find.total")
async def test_a_total_counts_all_matches_on_every_page(harness: Harness) -> None:
    await submit(harness, *(new_job(type="work" if n % 3 else "other") for n in range(9)))
    for query, matches in ((JobQuery(limit=2), 9), (JobQuery(limit=2, type="other"), 3), (JobQuery(tag="none"), 0)):
        assert {page.total for page in await each_page(harness, query)} <= {None, matches}
