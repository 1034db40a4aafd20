"""What two processes do at once to webhooks, schedules and many jobs is done once, and nothing of it is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TypeAlias

import pytest
import structlog

from tests.servers.scripted import answers, scripted
from tests.system_jobs.hooked import SERVING, Hooked, open_pair
from tests.worker.house import STORES
from tidegate.clock import FakeClock, token
from tidegate.context import Context
from tidegate.core.cron import Schedule
from tidegate.core.job import Job, JobId, Progress, Status
from tidegate.core.query import Event as Step
from tidegate.core.query import JobQuery
from tidegate.errors import Defer, Refused
from tidegate.schedules import Book, Origin, Plan
from tidegate.schedules.plans import paused, planned_as
from tidegate.system_jobs import bulk
from tidegate.system_jobs.scope import Action, Work
from tidegate.system_jobs.webhooks import removing, service
from tidegate.system_jobs.webhooks.endpoint import Endpoint
from tidegate.system_jobs.webhooks.service import Made, Wish
from tidegate.worker.crontab import Crontab

Pair: TypeAlias = tuple[Hooked, Hooked]

NOBODY = "http://127.0.0.1:9/"
TICK = datetime(2026, 3, 10, 3, tzinfo=UTC)


@pytest.fixture(params=STORES)
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    """Two processes' worth on each store."""
    store: str = request.param
    async with open_pair(store, tmp_path) as pair:
        yield pair


# webhooks ------------------------------------------------------------------------------------------------------


async def test_of_changes_that_race_none_is_lost(pair: Pair) -> None:
    await pair[0].webhook(NOBODY)
    await asyncio.gather(*(pair[n % 2].webhooks.change("one", partial(_typed, f"t{n}")) for n in range(12)))
    assert sorted((await pair[0].known()).types) == sorted(f"t{n}" for n in range(12))


def _typed(job_type: str, endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, types=(*endpoint.types, job_type))


async def test_of_webhooks_that_race_for_the_last_places_none_goes_beyond(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST", 3)
    wish = Wish(user_id="ada", url=NOBODY)
    made = await asyncio.gather(*(pair[n % 2].webhooks.create(wish) for n in range(8)), return_exceptions=True)
    kept = [one.endpoint.id for one in made if isinstance(one, Made)]
    assert all(isinstance(one, Made | Refused) for one in made)
    assert sorted(kept) == sorted(one.id for one in await pair[1].webhooks.find("ada"))
    assert len(kept) <= 3


async def test_a_webhook_that_is_deleted_while_others_change_it_stays_deleted(pair: Pair) -> None:
    endpoint = await pair[0].webhook(NOBODY)
    changes = (pair[n % 2].webhooks.change("one", partial(_typed, f"t{n}")) for n in range(10))
    await asyncio.gather(*changes, pair[0].webhooks.remove(endpoint))
    assert await pair[1].webhooks.get("one", None) is None


async def test_what_another_process_makes_of_a_deleted_webhook_dies_no_death(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not heard of the deletion, and goes on to make deliveries; none of them is left behind, or a letter."""
    monkeypatch.setattr(removing, "HEARD_BY_ALL", timedelta(seconds=0.2))
    one, two = pair
    async with scripted(answers(204, "")) as receiver:
        endpoint = await one.webhook(receiver.url)
        await two.webhooks.book.refresh()
        for process in pair:
            await process.house.worker_elsewhere(SERVING)
        jobs = [await two.submit() for _ in range(10)]
        await one.webhooks.remove(endpoint)
        two.webhooks.book.adopt(endpoint)
        jobs += [await two.submit() for _ in range(10)]
        for job_id in jobs:
            await two.house.ended(job_id, within=20)
        async with asyncio.timeout(20):
            assert await _deliveries_ended(one) <= {Status.SUCCEEDED, Status.CANCELLED}


async def _deliveries_ended(process: Hooked) -> set[Status]:
    """What all deliveries came to, once they have ended."""
    found: list[Job] = []
    for pause in repeat(0.02):
        found = await process.deliveries()
        if all(job.status.finished for job in found):
            break
        await asyncio.sleep(pause)
    return {job.status for job in found}


# schedules -----------------------------------------------------------------------------------------------------


def _plan() -> Plan:
    return Plan(schedule=Schedule(name="nightly", expression="0 3 * * *"), type="good", user_id="ada")


async def _scheduled(pair: Pair) -> tuple[list[Crontab], FakeClock]:
    """A schedule that is due in a minute, and two workers' crontabs in each process, which know of it."""
    clock = FakeClock(TICK - timedelta(minutes=1))
    plan, now = _plan(), clock.now()
    await Book(pair[0].house.engine, token).change(plan.key, partial(planned_as, plan=plan, origin=Origin.API, now=now))
    crontabs = [Crontab(replace(process.house.runtime, clock=clock), clock.now) for process in pair * 2]
    for crontab in crontabs:
        await crontab.look()
    clock.advance(timedelta(minutes=1, seconds=1))
    return crontabs, clock


async def _jobs(process: Hooked) -> list[JobId]:
    return [job.id for job in (await process.house.engine.find(JobQuery(type="good"))).jobs]


async def test_a_tick_that_both_see_makes_one_job(pair: Pair) -> None:
    crontabs, _ = await _scheduled(pair)
    await asyncio.gather(*(crontab.look() for crontab in crontabs))
    [record] = await Book(pair[1].house.engine, token).load([_plan().key])
    assert record.standing is not None
    assert [record.standing.last_job] == await _jobs(pair[0])


async def test_a_schedule_that_is_deleted_as_it_ticks_stays_deleted(pair: Pair) -> None:
    crontabs, _ = await _scheduled(pair)
    book = Book(pair[1].house.engine, token)
    await asyncio.gather(*(crontab.look() for crontab in crontabs), book.change(_plan().key, lambda _: None))
    assert await book.all() == []
    assert len(await _jobs(pair[0])) <= 1


async def test_a_pause_that_races_with_a_tick_holds(pair: Pair) -> None:
    crontabs, clock = await _scheduled(pair)
    book, now = Book(pair[1].house.engine, token), clock.now()
    hold = book.change(_plan().key, lambda before: None if before is None else paused(before, "ada", now))
    await asyncio.gather(*(crontab.look() for crontab in crontabs), hold)
    [record] = await book.load([_plan().key])
    assert record.standing is not None
    assert record.standing.paused_at is not None
    made = await _jobs(pair[0])
    assert made == ([] if record.standing.last_job is None else [record.standing.last_job])
    clock.advance(timedelta(days=1))
    await asyncio.gather(*(crontab.look() for crontab in crontabs))
    assert await _jobs(pair[0]) == made


# many jobs -----------------------------------------------------------------------------------------------------


class _Link:
    """A worker's end of a run that is never stopped."""

    def report(self, progress: Progress) -> None:
        """Drop it."""

    def stopped(self) -> bool:
        """Never."""
        return False


def _run(process: Hooked, job_id: JobId, run: int) -> Awaitable[object]:
    """A run of one and the same bulk job."""
    context = Context(
        job_id=job_id,
        type=bulk.NAME,
        user_id="ada",
        request_id="",
        run=run,
        attempt=1,
        log=structlog.get_logger(),
        link=_Link(),
        folder=Path(),
    )
    made = process.house.registry.get(bulk.NAME).handler(Work(action=Action.CANCEL), context)
    assert isinstance(made, Awaitable)
    return made


async def test_runs_of_one_bulk_job_in_two_processes_act_on_each_job_once(pair: Pair) -> None:
    """The first worker was taken for dead, and goes on."""
    await pair[0].webhook(NOBODY)
    await pair[1].webhooks.book.refresh()
    jobs = [await pair[0].submit() for _ in range(30)]
    job_id = pair[0].house.new_job("x", b"").id
    ends = await asyncio.gather(*(_run(pair[n % 2], job_id, n + 1) for n in range(4)), return_exceptions=True)
    assert all(isinstance(end, dict | Defer) for end in ends), ends
    result = await _run(pair[0], job_id, 9)
    assert isinstance(result, dict)
    assert (result["matched"], result["applied"]) == (30, 30)
    for cancelled in jobs:
        assert (await pair[1].house.steps(cancelled)).count(Step.CANCELLED) == 1
    assert len(await pair[0].deliveries()) == 30
