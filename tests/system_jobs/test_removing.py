"""A webhook that is deleted leaves nothing behind; and no receiver has more messages under way than it can bear."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import repeat

import pytest

from tests.servers.scripted import Exchange, answers, scripted
from tests.system_jobs.hooked import SERVING, Hooked, on_every_store
from tests.worker.house import eventually
from tidegate.core.job import Job, Status
from tidegate.core.query import JobQuery
from tidegate.core.rules import WEBHOOK
from tidegate.errors import EngineUnavailable
from tidegate.system_jobs.webhooks import removing
from tidegate.system_jobs.webhooks.service import Wish
from tidegate.system_jobs.webhooks.store import Endpoints
from tidegate.telemetry.events import Ended, Finished
from tidegate.upstreams import UPSTREAM

NOBODY = "http://127.0.0.1:9/"
ENDING = replace(SERVING, queues={"default": 1})
"""A worker that ends jobs and delivers nothing."""


@pytest.fixture(autouse=True)
def heard_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process has heard of a deletion at once."""
    monkeypatch.setattr(removing, "HEARD_BY_ALL", timedelta(seconds=0.2))


async def _waiting(hooked: Hooked, count: int) -> None:
    """Have so many deliveries wait: jobs end, and nobody delivers."""
    worker = await hooked.house.worker(ENDING)
    for job_id in [await hooked.submit() for _ in range(count)]:
        await hooked.house.ended(job_id)
    await hooked.house.stop(worker)
    assert {job.status for job in await hooked.deliveries()} == {Status.QUEUED}


async def _removal(hooked: Hooked) -> Job:
    """The job that follows the deletion, once it has ended."""
    [job] = (await hooked.house.engine.find(JobQuery(type=removing.NAME))).jobs
    return await hooked.house.ended(job.id)


async def _ended(hooked: Hooked, statuses: Sequence[Status]) -> None:
    """Return once all deliveries have ended so."""
    async with asyncio.timeout(20):
        for pause in repeat(0.02):
            if sorted(job.status for job in await hooked.deliveries()) == sorted(statuses):
                return
            await asyncio.sleep(pause)


@on_every_store
async def test_what_waits_for_a_deleted_webhook_is_cancelled_and_no_dead_letter(hooked: Hooked) -> None:
    endpoint = await hooked.webhook(NOBODY)
    await _waiting(hooked, 12)
    await hooked.webhooks.remove(endpoint)
    assert await hooked.webhooks.get("one", None) is None
    await hooked.house.worker(replace(SERVING, slots=1))
    assert (await _removal(hooked)).status is Status.SUCCEEDED
    await _ended(hooked, [Status.CANCELLED] * 12)
    told = [event for event in hooked.house.events(Finished) if event.job.type == "tidegate.webhook"]
    assert {event.ended for event in told} == {Ended.CANCELLED}
    assert len({event.job.job_id for event in told}) == 12


@on_every_store
async def test_a_breaker_that_holds_deliveries_back_does_not_keep_them_from_being_cancelled(hooked: Hooked) -> None:
    async with scripted(answers(500, "")) as receiver:
        endpoint = await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        for job_id in [await hooked.submit() for _ in range(20)]:
            await hooked.house.ended(job_id)
        keeper = hooked.house.system.upstreams.keeper
        await eventually(lambda: bool(keeper.board.view("upstream:webhook.one").upstream.opens), within=20)
        await hooked.webhooks.remove(endpoint)
        assert (await _removal(hooked)).status is Status.SUCCEEDED
        await _ended(hooked, [Status.CANCELLED] * 20)


async def test_what_is_known_of_the_receiver_s_health_goes_with_the_webhook(hooked: Hooked) -> None:
    endpoint = await hooked.webhook(NOBODY)
    gate = "upstream:webhook.one"
    await hooked.house.system.upstreams.reset(gate, author="ada")
    [before] = await hooked.house.engine.load(UPSTREAM, ["webhook.one"])
    await hooked.webhooks.remove(endpoint)
    await hooked.house.worker(SERVING)
    await _removal(hooked)
    [after] = await hooked.house.engine.load(UPSTREAM, ["webhook.one"])
    assert (before.value is None, after.value) == (False, None)


async def test_a_delivery_that_is_under_way_is_ended(hooked: Hooked) -> None:
    under_way = asyncio.Event()

    async def hangs(exchange: Exchange) -> None:
        under_way.set()
        await exchange.gone()

    async with scripted(hangs) as receiver:
        endpoint = await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        await hooked.submit()
        async with asyncio.timeout(10):
            await under_way.wait()
        await hooked.webhooks.remove(endpoint)
        await _ended(hooked, [Status.CANCELLED])


@on_every_store
async def test_a_delivery_made_by_who_had_not_heard_of_the_deletion_cancels_itself(hooked: Hooked) -> None:
    async with scripted(answers(204, "")) as receiver:
        endpoint = await hooked.webhook(receiver.url)
        await hooked.webhooks.remove(endpoint)
        await hooked.house.worker(SERVING)
        await _removal(hooked)
        hooked.webhooks.book.adopt(endpoint)
        await hooked.house.ended(await hooked.submit())
        await _ended(hooked, [Status.CANCELLED])
        [delivery] = await hooked.deliveries()
        assert (receiver.requests, delivery.error) == ([], None)
        assert await hooked.house.artifacts(delivery.id) == []


async def test_a_deletion_that_broke_off_is_carried_out_all_the_same(
    hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await hooked.webhook(NOBODY)
    with monkeypatch.context() as patched:
        patched.setattr(Endpoints, "remove", _away)
        with pytest.raises(EngineUnavailable):
            await hooked.webhooks.remove(endpoint)
    assert await hooked.webhooks.get("one", None) is not None
    await hooked.house.worker(SERVING)
    await _removal(hooked)
    assert await hooked.webhooks.get("one", None) is None


async def _away(*_: object) -> None:
    raise EngineUnavailable("away")


async def test_it_looks_again_once_every_process_has_heard(hooked: Hooked) -> None:
    endpoint = await hooked.webhook(NOBODY)
    await hooked.webhooks.remove(endpoint)
    await hooked.house.worker(SERVING)
    assert (await _removal(hooked)).counters.runs == 2


@on_every_store
async def test_a_receiver_has_so_many_messages_under_way_and_no_more_however_many_workers(hooked: Hooked) -> None:
    under_way, most = 0, 0

    async def slow(exchange: Exchange) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        await answers(204, "")(exchange)

    async with scripted(slow) as receiver:
        await hooked.webhook(receiver.url)
        await _waiting(hooked, 30)
        for _ in range(2):
            await hooked.house.worker_elsewhere(replace(SERVING, slots=20))
        await _ended(hooked, [Status.SUCCEEDED] * 30)
    assert WEBHOOK.limit is not None
    assert 1 < most <= WEBHOOK.limit


async def test_a_new_webhook_s_limit_is_in_the_store_before_anything_is_delivered(hooked: Hooked) -> None:
    made = await hooked.webhooks.create(Wish(user_id="ada", url=NOBODY))
    [document] = await hooked.house.engine.load(UPSTREAM, [made.endpoint.upstream])
    assert document.value is not None
    assert b'"limited":true' in document.value


@on_every_store
async def test_what_had_failed_is_no_dead_letter_any_more(hooked: Hooked) -> None:
    async with scripted(answers(404, "")) as receiver:
        endpoint = await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        await hooked.house.ended(await hooked.submit())
        await _ended(hooked, [Status.FAILED])
    await hooked.webhooks.remove(endpoint)
    await _removal(hooked)
    [delivery] = await hooked.deliveries()
    assert (delivery.status, delivery.dismissed_at is None) == (Status.FAILED, False)


async def test_every_page_of_deliveries_is_gone_through(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removing, "PAGE", 5)
    endpoint = await hooked.webhook(NOBODY)
    await _waiting(hooked, 12)
    await hooked.webhooks.remove(endpoint)
    await hooked.house.worker(SERVING)
    await _removal(hooked)
    await _ended(hooked, [Status.CANCELLED] * 12)
