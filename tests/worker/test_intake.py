"""What a worker takes, how much of it, and how often it asks."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.worker.faults import Line
from tests.worker.house import QUICK, House, Watch, eventually, on_sqlite
from tidegate.context import Context
from tidegate.core.job import Owner, Status
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.worker.runtime import WorkerSettings


@pytest.fixture
def line(house: House, monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(house.engine, monkeypatch)


class Meter:
    """A handler that counts itself, and stays until it is let go."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.let_go = asyncio.Event()

    async def __call__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.let_go.wait()
        await asyncio.sleep(0)
        self.now -= 1


async def test_there_are_never_more_handlers_than_slots(house: House) -> None:
    meter = Meter()

    async def counts() -> None:
        await meter()

    house.job("counts", counts)
    worker = await house.worker(replace(QUICK, slots=7))
    jobs = await house.submit_many("counts", 100)
    await eventually(lambda: worker.running == 7)
    meter.let_go.set()
    await house.all_ended(jobs)

    assert meter.most == 7


async def test_jobs_are_claimed_in_batches_for_free_slots_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, taken = house.engine.claim, list[tuple[int, int]]()

    async def noted(request: ClaimRequest, nonce: str) -> Claimed:
        claimed = await claim(request, nonce)
        taken.append((request.limit, len(claimed.leases)))
        return claimed

    meter = Meter()

    async def counts() -> None:
        await meter()

    monkeypatch.setattr(house.engine, "claim", noted)
    house.job("counts", counts)
    jobs = await house.submit_many("counts", 20)
    worker = await house.worker(replace(QUICK, slots=8))
    await eventually(lambda: worker.running == 8)
    meter.let_go.set()
    await house.all_ended(jobs)

    assert taken[0] == (8, 8)
    assert all(got <= limit <= 8 for limit, got in taken)


async def test_a_slot_is_free_again_while_the_ending_is_stored(house: House, line: Line) -> None:
    """And yet endings that can't be stored don't pile up: no more than two runs a slot."""
    runs: list[int] = []

    async def quick(ctx: Context) -> None:
        runs.append(ctx.run)

    house.job("quick", quick)
    jobs = await house.submit_many("quick", 20)
    with line.down("settle"):
        await house.worker(replace(QUICK, slots=4))
        await eventually(lambda: len(runs) == 8)
        await asyncio.sleep(5 * QUICK.poll.total_seconds())
        assert len(runs) == 8

    assert {job.status for job in await house.all_ended(jobs)} == {Status.SUCCEEDED}


async def test_one_upstream_leaves_slots_for_other_lanes(house: House) -> None:
    meter = Meter()

    async def slow() -> None:
        await meter()

    async def quick() -> None:
        pass

    house.job("slow", slow, upstream="slowpoke")
    house.job("quick", quick)
    slow_jobs = await house.submit_many("slow", 30)
    quick_jobs = await house.submit_many("quick", 30)
    await house.worker(replace(QUICK, slots=10))

    await house.all_ended(quick_jobs)  # though no slow one has ended

    assert meter.most <= 10
    meter.let_go.set()
    await house.all_ended(slow_jobs)


async def test_one_upstream_may_have_all_slots_that_nobody_else_wants(house: House) -> None:
    meter = Meter()

    async def slow() -> None:
        await meter()

    house.job("slow", slow, upstream="slowpoke")
    jobs = await house.submit_many("slow", 20)
    worker = await house.worker(replace(QUICK, slots=10))

    await eventually(lambda: worker.running == 10)

    meter.let_go.set()
    await house.all_ended(jobs)


async def test_queues_are_served_by_weight(house: House) -> None:
    order: list[str] = []

    async def notes(payload: dict[str, str]) -> None:
        order.append(payload["queue"])

    house.job("notes", notes)
    jobs = []
    for queue in ("low", "default", "high"):
        payload = f'{{"queue": "{queue}"}}'.encode()
        jobs += await house.submit_many("notes", 60, queue=queue, payload=payload)
    await house.worker(replace(QUICK, slots=1))
    await house.all_ended(jobs)

    first = Counter(order[:50])
    assert (first["high"], first["default"], first["low"]) == (30, 15, 5)


@on_sqlite
async def test_an_idle_worker_asks_the_store_about_once_a_second(house: House, line: Line) -> None:
    """`wait` is not counted: in an embedded store it asks nobody."""

    async def quick() -> None:
        pass

    house.job("quick", quick)
    await house.worker(WorkerSettings())
    await house.ended(await house.submit("quick"))
    before = line.calls.total()
    await asyncio.sleep(2.5)

    assert line.calls.total() - before <= 2.5 * 1.5


async def test_a_submitted_job_starts_at_once_though_the_worker_polls_rarely(house: House) -> None:
    async def quick() -> None:
        pass

    house.job("quick", quick)
    await house.worker(replace(QUICK, poll=timedelta(seconds=30)))
    await house.ended(await house.submit("quick"))
    await asyncio.sleep(0.05)  # it rests again

    watch = Watch()
    await house.ended(await house.submit("quick"))

    assert watch.seconds < 0.5


async def test_a_due_job_starts_on_time_though_the_worker_polls_rarely(house: House) -> None:
    async def quick() -> None:
        pass

    house.job("quick", quick)
    await house.worker(replace(QUICK, poll=timedelta(seconds=30)))
    job_id = await house.submit("quick", delay=timedelta(seconds=0.4))

    job = await house.ended(job_id, within=3)

    assert job.started_at is not None
    assert timedelta(0) <= job.started_at - job.run_at < timedelta(seconds=0.3)


async def test_a_lease_that_waits_for_its_reaper_does_not_make_workers_spin(house: House, line: Line) -> None:
    """The store says "come back at once" for as long as a lease is overdue: asking does not help."""

    async def quick() -> None:
        pass

    house.job("quick", quick)
    job_id = await house.submit("quick")
    await house.claim_as(Owner("elsewhere"), "quick", timedelta(milliseconds=10))
    await asyncio.sleep(0.05)
    with line.down("reclaim"):
        await house.worker()
        await asyncio.sleep(0.5)
        assert line.calls["claim"] < 20

    await house.ended(job_id)
