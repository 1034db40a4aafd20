"""Every tick of a schedule makes one job, whatever happens to the workers that look for it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypedDict, TypeVar, Unpack

import pytest

from tests.worker.house import House, eventually, on_memory
from tidegate.clock import FakeClock, token
from tidegate.core.cron import Misfire, Schedule, tick_key
from tidegate.core.job import Job, Status
from tidegate.core.query import JobQuery
from tidegate.errors import EngineUnavailable
from tidegate.handlers import Registry
from tidegate.requests import JobRequest
from tidegate.schedules import Book, Origin, Plan, Standing
from tidegate.schedules.plans import paused, planned_as, resumed, ticked
from tidegate.telemetry.events import ScheduleFailing, ScheduleMissed, ScheduleTicked
from tidegate.worker.crontab import Crontab

Answer = TypeVar("Answer")

TICK = datetime(2026, 3, 10, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
DAILY = "0 3 * * *"


class ScheduleChanges(TypedDict, total=False):
    """What tests set of a schedule."""

    timezone: str
    misfire: Misfire
    max_catch_up: int
    looked: datetime
    type: str
    payload: str


class Fleet:
    """Any number of workers' crontabs on one store, by one clock that the test moves."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.clock = FakeClock(TICK - MINUTE)
        self.book = Book(house.engine, token)
        house.job("report", _nothing)

    def crontab(self, registry: Registry | None = None) -> Crontab:
        """Another worker's."""
        runtime = replace(self.house.runtime, clock=self.clock)
        if registry is not None:
            runtime = replace(runtime, registry=registry)
        return Crontab(runtime, self.clock.now)

    async def add(self, name: str = "nightly", expression: str = DAILY, **given: Unpack[ScheduleChanges]) -> str:
        """A schedule whose ticks up to `looked` are dealt with; the key of its document."""
        schedule = Schedule(
            name=name,
            expression=expression,
            timezone=given.get("timezone", "UTC"),
            misfire=given.get("misfire", Misfire.LATEST),
            max_catch_up=given.get("max_catch_up", 10),
        )
        kind, payload = given.get("type", "report"), given.get("payload", "{}")
        plan = Plan(schedule=schedule, type=kind, payload=payload, user_id="ada")
        looked = given.get("looked", self.clock.now())
        made = Standing(plan=plan, origin=Origin.API, created_at=looked, looked=looked)
        record, _ = await self.book.change(plan.key, lambda _: made)
        return record.key

    async def standing(self, key: str) -> Standing:
        """The schedule as the store has it."""
        [record] = await self.book.load([key])
        assert record.standing is not None
        return record.standing

    async def jobs(self) -> list[Job]:
        """All jobs, oldest first."""
        return list(reversed((await self.house.engine.find(JobQuery(limit=200))).jobs))

    async def ticks(self) -> list[str | None]:
        """The keys of all jobs, oldest first."""
        return [job.spec.idempotency_key for job in await self.jobs()]


async def _nothing() -> None:
    """Do nothing."""


async def _strict(payload: dict[str, int]) -> None:
    """Do nothing with numbers."""


@pytest.fixture
def fleet(house: House) -> Fleet:
    return Fleet(house)


async def test_twenty_workers_that_race_make_one_job_of_a_tick(fleet: Fleet) -> None:
    key = await fleet.add()
    crontabs = [fleet.crontab() for _ in range(20)]
    await asyncio.gather(*(crontab.look() for crontab in crontabs))
    assert await fleet.jobs() == []

    fleet.clock.advance(MINUTE + timedelta(seconds=5))
    await asyncio.gather(*(crontab.look() for crontab in crontabs))

    [job] = await fleet.jobs()
    assert (job.spec.idempotency_key, job.spec.user_id) == (tick_key("nightly", TICK), "ada")
    stands = await fleet.standing(key)
    assert (stands.looked, stands.last_tick, stands.last_job) == (TICK, TICK, job.id)
    [told] = fleet.house.events(ScheduleTicked)
    assert (told.schedule, told.user_id, told.tick, told.job_id) == ("nightly", "ada", TICK, job.id)


@on_memory
async def test_every_minute_of_many_makes_one_job_while_twenty_workers_look(fleet: Fleet) -> None:
    await fleet.add(expression="* * * * *")
    crontabs = [fleet.crontab() for _ in range(20)]
    for _ in range(30):
        fleet.clock.advance(timedelta(seconds=20))
        await asyncio.gather(*(crontab.look() for crontab in crontabs))
    assert await fleet.ticks() == [tick_key("nightly", TICK + n * MINUTE) for n in range(10)]


@pytest.mark.parametrize(
    ("misfire", "expected"), [(Misfire.SKIP, []), (Misfire.LATEST, [0]), (Misfire.ALL, [2, 1, 0])], ids=str
)
async def test_what_becomes_of_ticks_that_nobody_saw_is_for_the_rule_to_say(
    misfire: Misfire, expected: list[int], fleet: Fleet
) -> None:
    key = await fleet.add(misfire=misfire, max_catch_up=3, looked=TICK - 300 * DAY)
    fleet.clock.advance(10 * MINUTE)
    crontabs = [fleet.crontab() for _ in range(3)]
    await asyncio.gather(*(crontab.look() for crontab in crontabs))

    assert await fleet.ticks() == [tick_key("nightly", TICK - days * DAY) for days in expected]
    assert (await fleet.standing(key)).looked == (TICK if expected else fleet.clock.now())
    [missed] = fleet.house.events(ScheduleMissed)
    assert missed.since == TICK - 299 * DAY
    assert missed.until == (TICK - expected[0] * DAY if expected else fleet.clock.now())
    fleet.clock.advance(DAY - 9 * MINUTE)
    await crontabs[0].look()
    assert (await fleet.ticks())[len(expected) :] == [tick_key("nightly", TICK + DAY)]


@pytest.mark.parametrize("verb", ["submit", "swap"])
@pytest.mark.parametrize("acts", [True, False], ids=["answer lost", "call lost"])
async def test_a_worker_that_dies_half_way_leaves_a_tick_that_still_makes_one_job(
    verb: str, acts: bool, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await fleet.add()
    fleet.clock.advance(MINUTE)
    with monkeypatch.context() as patched:
        patched.setattr(fleet.house.engine, verb, _dying(getattr(fleet.house.engine, verb), acts=acts))
        with pytest.raises(EngineUnavailable):
            await fleet.crontab().look()
    assert len(await fleet.jobs()) == (0 if verb == "submit" and not acts else 1)

    await asyncio.gather(*(fleet.crontab().look() for _ in range(3)))

    [job] = await fleet.jobs()
    assert (await fleet.standing(key)).last_job == job.id


def _dying(call: Callable[..., Awaitable[object]], *, acts: bool) -> Callable[..., Awaitable[object]]:
    async def dying(*args: object) -> object:
        if acts:
            await call(*args)
        raise EngineUnavailable("killed")

    return dying


@on_memory
async def test_a_cancelled_look_leaves_the_tick_to_the_next_worker(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, submitted, submit = await fleet.add(), asyncio.Event(), fleet.house.engine.submit

    async def hanging(*args: object) -> None:
        submitted.set()
        await asyncio.Event().wait()

    fleet.clock.advance(MINUTE)
    with monkeypatch.context() as patched:
        patched.setattr(fleet.house.engine, "swap", hanging)
        looking = asyncio.create_task(fleet.crontab().look())
        await submitted.wait()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    assert fleet.house.engine.submit == submit
    await fleet.crontab().look()
    [job] = await fleet.jobs()
    assert (await fleet.standing(key)).last_job == job.id


@on_memory
async def test_while_nothing_is_due_no_look_asks_the_store(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    await fleet.add()
    crontab = fleet.crontab()
    await crontab.look()
    calls = Counter[str]()
    for verb in ("load", "scan", "swap", "submit", "known", "get", "find"):
        monkeypatch.setattr(fleet.house.engine, verb, _counted(verb, getattr(fleet.house.engine, verb), calls))
    for _ in range(25):
        fleet.clock.advance(timedelta(seconds=1))
        await crontab.look()
    assert calls == Counter()
    fleet.clock.advance(timedelta(seconds=35))
    await crontab.look()
    assert calls == Counter({"scan": 1, "load": 1, "submit": 1, "swap": 1})


def _counted(
    verb: str, call: Callable[..., Awaitable[Answer]], calls: Counter[str]
) -> Callable[..., Awaitable[Answer]]:
    async def counted(*args: object) -> Answer:
        calls[verb] += 1
        return await call(*args)

    return counted


@on_memory
async def test_a_changed_document_is_read_again_after_two_seconds(fleet: Fleet) -> None:
    crontab = fleet.crontab()
    await crontab.look()
    await fleet.add(looked=TICK - DAY, expression="58 2 * * *")
    fleet.house.system.upstreams.keeper.saw(10**9, fleet.house.clock.now())
    await crontab.look()
    assert await fleet.jobs() == []
    fleet.clock.advance(timedelta(seconds=2))
    await crontab.look()
    assert len(await fleet.jobs()) == 1


@pytest.mark.parametrize("meanwhile", ["deleted", "paused", "changed", "dealt with"])
async def test_what_was_changed_since_a_worker_read_it_is_obeyed(meanwhile: str, fleet: Fleet) -> None:
    key = await fleet.add()
    fleet.clock.advance(MINUTE - timedelta(seconds=10))
    crontab = fleet.crontab()
    await crontab.look()
    plan, now = (await fleet.standing(key)).plan, fleet.clock.now()
    later = replace(plan, schedule=replace(plan.schedule, expression="0 5 * * *"))
    changes: dict[str, Callable[[Standing | None], Standing | None]] = {
        "deleted": lambda _: None,
        "paused": lambda before: None if before is None else paused(before, "ada", now),
        "changed": partial(planned_as, plan=later, origin=Origin.API, now=now),
        "dealt with": partial(ticked, tick=TICK, job_id="other"),
    }
    changed, _ = await fleet.book.change(key, changes[meanwhile])
    fleet.clock.advance(timedelta(seconds=15))  # too soon to read all schedules again
    await crontab.look()
    await crontab.look()
    assert await fleet.jobs() == []
    assert await fleet.book.load([key]) == [changed]


@on_memory
async def test_ticks_of_a_pause_are_not_made_up_for(fleet: Fleet) -> None:
    key = await fleet.add(misfire=Misfire.ALL)
    start = fleet.clock.now()
    await fleet.book.change(key, lambda before: None if before is None else paused(before, "ada", start))
    fleet.clock.advance(3 * DAY)
    await fleet.crontab().look()
    end = fleet.clock.now()
    await fleet.book.change(key, lambda before: None if before is None else resumed(before, end))
    await fleet.crontab().look()
    assert await fleet.jobs() == []
    fleet.clock.advance(MINUTE)
    await fleet.crontab().look()
    assert await fleet.ticks() == [tick_key("nightly", TICK + 3 * DAY)]


@on_memory
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"type": "unheard"}, "no worker that looked knows the job type 'unheard'"),
        ({"type": "strict", "payload": '{"n": "3"}'}, "payload.n: Input should be a valid integer"),
        ({"timezone": "Mars/Olympus"}, "timezone: 'Mars/Olympus' is no time zone known here"),
    ],
    ids=["type", "payload", "zone"],
)
async def test_a_schedule_that_can_t_make_jobs_says_so_once_and_harms_no_other(
    wrong: ScheduleChanges, says: str, fleet: Fleet
) -> None:
    fleet.house.job("strict", _strict)
    bad, good = await fleet.add("bad", **wrong), await fleet.add("good")
    crontabs = [fleet.crontab() for _ in range(2)]
    for _ in range(40):
        fleet.clock.advance(timedelta(seconds=5))
        await asyncio.gather(*(crontab.look() for crontab in crontabs))
    assert (await fleet.standing(bad)).error.startswith(says)
    assert (await fleet.standing(good)).error == ""
    assert await fleet.ticks() == [tick_key("good", TICK)]
    assert [told.schedule for told in fleet.house.events(ScheduleFailing)] == ["bad"]


async def test_a_tick_waits_for_a_worker_that_knows_its_job_type(fleet: Fleet) -> None:
    key = await fleet.add(type="new")
    knows = fleet.house.runtime.registry.copy()
    knows.add("new", _nothing, {})
    old = fleet.crontab()
    fleet.clock.advance(MINUTE)
    await old.look()
    assert (await fleet.standing(key)).error == ""
    fleet.clock.advance(2 * MINUTE)
    await old.look()
    assert (await fleet.standing(key)).error

    await fleet.crontab(knows).look()

    assert await fleet.ticks() == [tick_key("nightly", TICK)]
    assert (await fleet.standing(key)).error == ""


@on_memory
async def test_a_clock_that_jumps_ahead_missed_ticks_and_one_that_jumps_back_repeats_none(fleet: Fleet) -> None:
    await fleet.add()
    crontab = fleet.crontab()
    fleet.clock.advance(365 * DAY)
    await crontab.look()
    assert await fleet.ticks() == [tick_key("nightly", TICK + 364 * DAY)]
    fleet.clock.advance(-300 * DAY)
    for each in (crontab, fleet.crontab()):
        await each.look()
        fleet.clock.advance(DAY)
        await each.look()
    assert len(await fleet.jobs()) == 1


@on_memory
async def test_a_worker_that_slept_for_days_submits_nothing_that_was_dealt_with(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fleet.add()
    asleep = fleet.crontab()
    await asleep.look()
    fleet.clock.advance(MINUTE)
    await fleet.crontab().look()
    fleet.clock.advance(20 * 60 * MINUTE)  # its key may be forgotten by now
    calls = Counter[str]()
    for verb in ("submit", "swap"):
        monkeypatch.setattr(fleet.house.engine, verb, _counted(verb, getattr(fleet.house.engine, verb), calls))
    await asleep.look()
    assert calls == Counter()


@on_memory
async def test_a_key_that_somebody_took_is_told_and_the_next_tick_runs(fleet: Fleet) -> None:
    key = await fleet.add()
    mine = JobRequest(type="report", user_id="ada", idempotency_key=tick_key("nightly", TICK))
    taken = await fleet.house.system.client.submit(mine)
    fleet.clock.advance(MINUTE)
    await fleet.crontab().look()
    assert (await fleet.standing(key)).error == f"the idempotency key of a tick was taken by job {taken.job_id}"
    assert [told.error_type for told in fleet.house.events(ScheduleFailing)] == ["IdempotencyConflict"]
    fleet.clock.advance(DAY)
    await fleet.crontab().look()
    assert (await fleet.ticks())[1:] == [tick_key("nightly", TICK + DAY)]
    assert (await fleet.standing(key)).error == ""


@on_memory
@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-03-28T23:00+00:00", ["2026-03-29T01:00:00+00:00"]),  # 02:30 is left out: at 03:00 summer time
        ("2026-10-24T22:00+00:00", ["2026-10-25T00:30:00+00:00"]),  # 02:30 is shown twice: the first time
    ],
    ids=["spring", "autumn"],
)
async def test_a_night_in_which_clocks_change_has_one_job(day: str, expected: list[str], fleet: Fleet) -> None:
    fleet.clock.advance(datetime.fromisoformat(day) - fleet.clock.now())
    await fleet.add(expression="30 2 * * *", timezone="Europe/Berlin")
    for _ in range(6 * 12):
        fleet.clock.advance(5 * MINUTE)
        await fleet.crontab().look()
    assert [tick.tick.isoformat() for tick in fleet.house.events(ScheduleTicked)] == expected


async def test_a_machine_whose_clock_is_ahead_makes_no_job_before_the_store_says_so(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = fleet.house.clock.now()
    key = await fleet.add(expression=f"0 {(now.hour + 12) % 24} * * *", looked=now)
    [before] = await fleet.book.load([key])
    monkeypatch.setattr(fleet.house.runtime.upstreams, "now", lambda: now + DAY)
    await Crontab(fleet.house.runtime).look()
    assert await fleet.jobs() == []
    assert await fleet.book.load([key]) == [before]


async def test_a_worker_that_starts_makes_up_for_what_was_missed_and_runs_the_job(fleet: Fleet) -> None:
    now = fleet.house.clock.now()
    key = await fleet.add(expression="* * * * *", looked=now - 5 * MINUTE)
    await fleet.house.worker()
    await eventually(lambda: bool(fleet.house.events(ScheduleTicked)))
    [job] = await fleet.jobs()
    assert (await fleet.house.ended(job.id)).status is Status.SUCCEEDED
    assert (await fleet.standing(key)).last_job == job.id
