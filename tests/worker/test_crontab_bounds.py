"""What schedules may not do: make more jobs than their user may have, or go on when no code declares them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from tests.worker.house import House, on_memory
from tidegate.clock import FakeClock, token
from tidegate.core import quota
from tidegate.core.cron import Misfire, Schedule, tick_key
from tidegate.core.query import JobQuery
from tidegate.core.quota import enqueued
from tidegate.core.verbs import Take, Taken
from tidegate.requests import JobRequest
from tidegate.schedules import Book, Origin, Plan, Standing, declare
from tidegate.telemetry.events import ScheduleFailing, ScheduleHeld, ScheduleMissed, ScheduleRetired
from tidegate.worker.crontab import Crontab

TICK = datetime(2026, 3, 10, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WINDOW = timedelta(seconds=0.3)


class Fleet:
    """Any number of workers' crontabs on one store, by one clock that the test moves; a user has 3 jobs an hour."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.clock = FakeClock(TICK - MINUTE)
        self.book = Book(house.engine, token)
        house.job("report", _nothing)

    def crontab(self, *declared: str, limit: int = 3) -> Crontab:
        """Another worker's, whose code declares these schedules."""
        runtime = self.house.runtime
        settings = replace(runtime.settings, user_per_hour=limit)
        keys = frozenset(f"{name}/ada" for name in declared)
        return Crontab(replace(runtime, clock=self.clock, settings=settings, declared=keys), self.clock.now)

    def plan(self, name: str, misfire: Misfire = Misfire.LATEST, user_id: str = "ada") -> Plan:
        """A schedule that ticks each minute."""
        schedule = Schedule(name=name, expression="* * * * *", misfire=misfire)
        return Plan(schedule=schedule, type="report", user_id=user_id)

    async def add(self, *plans: Plan, origin: Origin = Origin.API) -> None:
        """Have schedules that begin now."""
        now = self.clock.now()
        for plan in plans:
            await self.book.change(
                plan.key, partial(_instead, Standing(plan=plan, origin=origin, created_at=now, looked=now))
            )

    async def standing(self, name: str) -> Standing:
        """A schedule as the store has it."""
        [record] = await self.book.load([f"{name}/ada"])
        assert record.standing is not None
        return record.standing

    async def ticks(self) -> list[str | None]:
        """The keys of all jobs, oldest first."""
        return [job.spec.idempotency_key for job in reversed((await self.house.engine.find(JobQuery(limit=200))).jobs)]

    async def look(self, crontabs: Sequence[Crontab], after: timedelta = MINUTE) -> None:
        """Let time pass, and all of them look at once."""
        self.clock.advance(after)
        await asyncio.gather(*(crontab.look() for crontab in crontabs))


def _instead(made: Standing, _: Standing | None) -> Standing:
    return made


async def _nothing() -> None:
    """Do nothing."""


@pytest.fixture
def fleet(house: House) -> Fleet:
    return Fleet(house)


# as many as a user may have ------------------------------------------------------------------------------------


async def test_a_user_s_schedules_make_no_more_jobs_than_he_may_have_however_many_race(fleet: Fleet) -> None:
    names = [f"s{number}" for number in range(6)]
    await fleet.add(*(fleet.plan(name) for name in names), fleet.plan("other", user_id="bob"))
    crontabs = [fleet.crontab() for _ in range(4)]
    for crontab in crontabs:
        await crontab.look()
    await fleet.look(crontabs)
    jobs = (await fleet.house.engine.find(JobQuery(limit=200))).jobs
    assert sorted(job.spec.user_id for job in jobs) == ["ada"] * 3 + ["bob"]
    held = [standing for name in names if (standing := await fleet.standing(name)).error]
    assert len(held) == 3
    assert {standing.error for standing in held} == {
        "its user has had 3 jobs within an hour, which is the most: its ticks wait"
    }
    told = {event.schedule for event in fleet.house.events(ScheduleHeld)}
    assert told >= {standing.plan.name for standing in held}
    assert fleet.house.events(ScheduleFailing) == []


async def test_requests_and_ticks_share_one_window(fleet: Fleet) -> None:
    await fleet.house.engine.take(enqueued("ada", 3, 2), token())
    await fleet.add(fleet.plan("one"), fleet.plan("two"))
    await fleet.look([fleet.crontab()])
    assert len(await fleet.ticks()) == 1
    [taken] = await fleet.house.engine.take(enqueued("ada", 3), token())
    assert not taken.granted


async def test_a_tick_that_waited_runs_late_once_there_is_room(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "HOUR", WINDOW)
    await fleet.house.engine.take(enqueued("ada", 3, 3), token())
    await fleet.add(fleet.plan("one"))
    crontabs = [fleet.crontab() for _ in range(2)]
    await fleet.look(crontabs)
    waited = len(await fleet.ticks())
    async with asyncio.timeout(20):
        while not await fleet.ticks():
            await asyncio.sleep(0.02)
            await fleet.look(crontabs, after=timedelta(seconds=0.02))
    assert waited == 0 or (await fleet.standing("one")).error == ""  # a slow store was past the window at once
    assert await fleet.ticks() == [tick_key("one", TICK)]
    assert ((await fleet.standing("one")).looked, (await fleet.standing("one")).error) == (TICK, "")


@on_memory
async def test_of_many_missed_ticks_the_oldest_come_first_and_the_others_wait(fleet: Fleet) -> None:
    await fleet.add(fleet.plan("all", Misfire.ALL))
    await fleet.look([fleet.crontab()], after=6 * MINUTE)
    assert await fleet.ticks() == [tick_key("all", TICK + n * MINUTE) for n in range(3)]
    assert (await fleet.standing("all")).looked == TICK + 2 * MINUTE
    assert fleet.house.events(ScheduleMissed) == []
    await fleet.look([fleet.crontab(limit=0)], after=timedelta(0))
    assert await fleet.ticks() == [tick_key("all", TICK + n * MINUTE) for n in range(6)]


@on_memory
async def test_a_tick_whose_worker_died_is_counted_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    await fleet.add(fleet.plan("one"))
    dying = fleet.crontab()
    with monkeypatch.context() as patched:
        patched.setattr(fleet.house.engine, "submit", _gone)
        with pytest.raises(asyncio.CancelledError):
            await fleet.look([dying])
    await fleet.look([fleet.crontab()], after=timedelta(0))
    assert await fleet.ticks() == [tick_key("one", TICK)]
    [taken] = await fleet.house.engine.take(enqueued("ada", 3), token())
    assert (taken.granted, taken.remaining) == (True, 1)


async def _gone(*_: object) -> None:
    raise asyncio.CancelledError


@on_memory
async def test_a_tick_that_made_no_job_costs_nothing(fleet: Fleet) -> None:
    await fleet.add(fleet.plan("one"))
    taken = JobRequest(type="report", user_id="ada", idempotency_key=tick_key("one", TICK))
    await fleet.house.system.client.submit(taken)
    await fleet.look([fleet.crontab()])
    assert (await fleet.standing("one")).error.startswith("the idempotency key of a tick was taken by job")
    [left] = await fleet.house.engine.take(enqueued("ada", 3), token())
    assert left.remaining == 2


@on_memory
async def test_while_a_user_has_nothing_left_the_store_is_asked_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fleet.house.engine.take(enqueued("ada", 3, 3), token())
    await fleet.add(*(fleet.plan(f"s{number}") for number in range(50)))
    asked, take = 0, fleet.house.engine.take

    async def counted(takes: Sequence[Take], nonce: str) -> list[Taken]:
        nonlocal asked
        asked += 1
        return await take(takes, nonce)

    monkeypatch.setattr(fleet.house.engine, "take", counted)
    crontab = fleet.crontab()
    await fleet.look([crontab])
    first = asked
    for _ in range(20):
        await fleet.look([crontab], after=MINUTE)
    assert (first <= 20, asked - first) == (True, 0)
    assert await fleet.ticks() == []


@on_memory
async def test_what_code_declares_counts_for_nobody(fleet: Fleet) -> None:
    names = [f"s{number}" for number in range(5)]
    await fleet.add(*(fleet.plan(name) for name in names), origin=Origin.CODE)
    await fleet.look([fleet.crontab(*names)])
    assert len(await fleet.ticks()) == 5


# code that is gone ---------------------------------------------------------------------------------------------


async def test_a_schedule_that_no_worker_s_code_declares_any_more_is_retired_and_makes_no_job(fleet: Fleet) -> None:
    await fleet.add(fleet.plan("gone"), origin=Origin.CODE)
    crontabs = [fleet.crontab("kept") for _ in range(3)]
    await fleet.look(crontabs)
    assert (await fleet.standing("gone")).retired_at is None
    await fleet.look(crontabs)
    await fleet.look(crontabs, after=60 * MINUTE)
    assert (await fleet.standing("gone")).retired_at is not None
    assert await fleet.ticks() == []
    assert [told.schedule for told in fleet.house.events(ScheduleRetired)] == ["gone"]


async def test_while_old_and_new_code_run_together_the_old_makes_its_jobs(fleet: Fleet) -> None:
    await fleet.add(fleet.plan("old"), origin=Origin.CODE)
    old, new = fleet.crontab("old"), fleet.crontab()
    for _ in range(3):
        await fleet.look([new])
        await fleet.look([old], after=timedelta(seconds=1))
        await fleet.look([new], after=timedelta(seconds=1))
    assert len(await fleet.ticks()) == 3
    assert (await fleet.standing("old")).retired_at is None
    await fleet.look([new], after=5 * MINUTE)
    assert (await fleet.standing("old")).retired_at is not None
    await fleet.look([old], after=timedelta(seconds=1))  # it was only asleep
    assert (await fleet.standing("old")).retired_at is None
    assert len(await fleet.ticks()) == 4


@on_memory
async def test_declared_again_it_goes_on_and_what_passed_meanwhile_was_missed(fleet: Fleet) -> None:
    plan = fleet.plan("back", Misfire.SKIP)
    await fleet.add(plan, origin=Origin.CODE)
    await fleet.look([fleet.crontab()], after=10 * MINUTE)
    assert (await fleet.standing("back")).retired_at is not None
    await declare(fleet.book, [plan])
    assert (await fleet.standing("back")).retired_at is None
    await fleet.look([fleet.crontab("back")], after=timedelta(seconds=90))
    assert await fleet.ticks() == [tick_key("back", TICK + 10 * MINUTE)]
    [missed] = fleet.house.events(ScheduleMissed)
    assert (missed.since, missed.until) == (TICK, TICK + 10 * MINUTE)


@on_memory
async def test_a_schedule_of_a_user_s_needs_nobody_to_declare_it(fleet: Fleet) -> None:
    await fleet.add(fleet.plan("mine"))
    await fleet.look([fleet.crontab()], after=10 * MINUTE)
    assert len(await fleet.ticks()) == 1
    assert (await fleet.standing("mine")).retired_at is None
