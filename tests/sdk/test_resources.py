"""What one does at a real server beside jobs: schedules, webhooks, keys, bulk actions, and what is going on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.sdk.house import serving
from tests.servers.scripted import answers, scripted
from tests.system_jobs.hooked import verified
from tidegate.core.access import Role
from tidegate.core.job import Phase, Status
from tidegate.core.retry import RetryPolicy, Steps
from tidegate.errors import AccessDenied, IdempotencyConflict, InvalidInput, JobNotFound, Unauthenticated
from tidegate.sdk import AsyncClient, BulkResult, Client, FeedEvent, FeedReset, JobItem, Matches, NotDone

ADMIN = "tg_admin_0123456789abcdef"
LATER = timedelta(hours=1)
UNKNOWN_HOOK = "0123456789abcdef"


async def _dead(client: AsyncClient, tag: str, count: int = 1) -> list[str]:
    """The ids of dead letters, oldest first."""
    jobs = await client.submit_many("broken", [None] * count, max_attempts=1, tags=[tag])
    for job in jobs:
        async for _ in job.events():
            pass
    return [job.id for job in jobs]


# schedules -------------------------------------------------------------------------------------------------


async def test_a_schedule_is_made_shown_held_triggered_and_deleted(client: AsyncClient) -> None:
    policy = RetryPolicy(backoff=Steps(delays=(timedelta(seconds=2),)), max_attempts=4)
    made = await client.schedules.put(
        "nightly", "0 3 * * *", "echo", {"text": "a"}, timezone="Europe/Berlin", retry=policy, timeout=LATER, tags=["n"]
    )
    assert (made.expression, made.timezone, made.payload, made.timeout) == (
        "0 3 * * *",
        "Europe/Berlin",
        {"text": "a"},
        3600,
    )
    assert (made.retry or {})["max_attempts"] == 4
    assert len(made.next_ticks) == 5
    assert (await client.schedules.put("nightly", "0 4 * * *", "echo")).expression == "0 4 * * *"
    assert [one.name for one in await client.schedules.list()] == ["nightly"]
    assert (await client.schedules.pause("nightly")).paused_by == "ada"
    job = await client.schedules.trigger("nightly", idempotency_key="now")
    again = await client.schedules.trigger("nightly", idempotency_key="now")
    assert (job.created, again.created, again.id) == (True, False, job.id)
    assert await job.result(timeout=20) == {"text": "", "count": 0, "numbers": []}
    assert not (await client.schedules.resume("nightly")).paused
    assert (await client.schedules.delete("nightly")).name == "nightly"
    with pytest.raises(InvalidInput, match="no schedule 'nightly' is known"):
        await client.schedules.show("nightly")


async def test_a_schedule_that_makes_no_sense_is_refused_by_its_field(client: AsyncClient) -> None:
    with pytest.raises(InvalidInput) as refused:
        await client.schedules.put("odd", "every night", "echo")
    assert refused.value.field == "expression"
    put: Callable[..., Awaitable[object]] = client.schedules.put
    with pytest.raises(TypeError, match="no option 'timezon'"):
        await put("odd", "0 3 * * *", "echo", timezon="UTC")
    for name in ("../jobs", "", "A"):
        with pytest.raises(InvalidInput):
            await client.schedules.trigger(name)
    with pytest.raises(InvalidInput, match="printable ASCII"):
        await client.schedules.trigger("odd", idempotency_key="a\r\nX-User-ID: bob")


# webhooks --------------------------------------------------------------------------------------------------


async def _delivery(client: AsyncClient, webhook_id: str) -> JobItem:
    """The newest delivery, which has ended."""
    async with aclosing(client.webhooks.deliveries(webhook_id)) as deliveries:
        newest = await anext(deliveries)
    async for _ in client.handle(newest.job_id).events():
        pass
    return newest


async def test_a_webhook_hears_of_an_end_and_its_delivery_is_replayed(client: AsyncClient) -> None:
    async with scripted(answers(204, "")) as receiver:
        made = await client.webhooks.create(f"{receiver.url}/hook", ["failed"], types=["broken"], description="d")
        assert made.secret not in repr(made)
        [dead] = await _dead(client, "hooked")
        delivery = await _delivery(client, made.id)
        replay = await client.webhooks.replay(made.id, delivery.job_id)
        await replay.result(timeout=20)
        await (await client.webhooks.test(made.id)).result(timeout=20)
        assert len(await _all_deliveries(client, made.id)) == 3
    told = [verified(request, made.secret) for request in receiver.requests]
    assert [dead in str(one["data"]) for one in told] == [True, True, False]
    await client.webhooks.delete(made.id)
    with pytest.raises(InvalidInput, match="no webhook"):
        await client.webhooks.show(made.id)


async def _all_deliveries(client: AsyncClient, webhook_id: str) -> list[JobItem]:
    return [one async for one in client.webhooks.deliveries(webhook_id)]


async def test_a_webhook_is_made_once_under_a_key(client: AsyncClient) -> None:
    url, key = "https://93.184.216.34/hook", "hook-1"
    made = await client.webhooks.create(url, idempotency_key=key)
    assert await client.webhooks.create(url, idempotency_key=key) == made
    with pytest.raises(IdempotencyConflict) as caught:
        await client.webhooks.create(url, ["failed"], idempotency_key=key)
    assert (caught.value.key, caught.value.job_id) == (key, "")
    await client.webhooks.rotate(made.id)
    assert (await client.webhooks.create(url, idempotency_key=key)).secret == ""
    await client.webhooks.delete(made.id)


async def test_a_text_is_no_list_of_what_a_webhook_hears_of(client: AsyncClient) -> None:
    for asked in (
        client.webhooks.create("https://93.184.216.34/hook", "failed"),
        client.webhooks.change(UNKNOWN_HOOK, events="failed"),
    ):
        with pytest.raises(InvalidInput, match=r"^events: give a list"):
            await asked
    for asked in (
        client.webhooks.create("https://93.184.216.34/hook", ["failed"], types="greet"),
        client.webhooks.change(UNKNOWN_HOOK, types="greet"),
    ):
        with pytest.raises(InvalidInput, match=r"^types: give a list"):
            await asked


async def test_a_webhook_is_changed_disabled_and_given_a_new_secret(client: AsyncClient) -> None:
    made = await client.webhooks.create("https://93.184.216.34/hook")
    assert (made.events, made.types, made.description) == (["succeeded", "failed", "cancelled"], [], "")
    changed = await client.webhooks.change(made.id, events=["failed"], disabled=True)
    assert (changed.events, changed.disabled, changed.url) == (["failed"], True, made.url)
    rotated = await client.webhooks.rotate(made.id)
    assert rotated.secret != made.secret
    assert rotated.former_secret_until is not None
    assert made.id in {one.id for one in await client.webhooks.list()}
    job = await client.submit("echo")
    with pytest.raises(JobNotFound):
        await client.webhooks.replay(made.id, job.id)
    await client.webhooks.delete(made.id)
    for unknown in (UNKNOWN_HOOK, "../keys", ""):
        with pytest.raises(InvalidInput):
            await client.webhooks.rotate(unknown)


# keys ------------------------------------------------------------------------------------------------------


async def test_keys_are_made_rotated_and_revoked(tmp_path: Path) -> None:
    async with serving(tmp_path, admin_key=ADMIN) as (url, _), AsyncClient(url, api_key=ADMIN) as admin:
        made = await admin.keys.create("billing", Role.WRITER, user_id="bob", expires_in=timedelta(days=1))
        assert made.key not in repr(made)
        assert made.expires_at is not None
        async with AsyncClient(url, api_key=made.key) as bob:
            assert (await bob.whoami()).user_id == "bob"
            assert (await (await bob.submit("echo")).details()).user_id == "bob"
            with pytest.raises(AccessDenied):
                await bob.keys.list()
        rotated = await admin.keys.rotate(made.id)
        assert (rotated.id, rotated.key == made.key) == (made.id, False)
        assert (await admin.keys.show(made.id)).former_until is not None
        assert [key.name for key in await admin.keys.list()] == ["billing"]
        await admin.keys.revoke(made.id)
        async with AsyncClient(url, api_key=rotated.key) as bob:
            with pytest.raises(Unauthenticated):
                await bob.whoami()
        for unknown in ("abcdefgh", "../jobs"):
            with pytest.raises(InvalidInput):
                await admin.keys.show(unknown)


# bulk ------------------------------------------------------------------------------------------------------


async def test_a_bulk_action_is_counted_first_and_then_a_job_that_tells_how_far_it_is(client: AsyncClient) -> None:
    dead = await _dead(client, "bulk", 3)
    counted = await client.bulk.count("dismiss", tag="bulk")
    assert counted == Matches(action="dismiss", matches=3, exact=True, sample=dead[::-1])
    assert [job.job_id async for job in client.dead_letters(tag="bulk")] == dead[::-1]
    job = await client.bulk.dismiss(tag="bulk", idempotency_key="b-1")
    done = await job.result(timeout=20, into=BulkResult)
    assert done == BulkResult(matched=3, applied=3, refused=NotDone(illegal=0, unknown=0))
    progress = (await job.status()).progress
    assert progress is not None
    assert progress.fraction == 1
    again = await client.bulk.dismiss(tag="bulk", idempotency_key="b-1")
    assert (again.created, again.id) == (False, job.id)
    assert [letter async for letter in client.dead_letters(tag="bulk")] == []


async def test_every_job_is_meant_only_where_that_is_said(client: AsyncClient) -> None:
    with pytest.raises(InvalidInput) as refused:
        await client.bulk.cancel()
    assert refused.value.field == "filter"
    job = await client.submit("echo", delay=LATER, tags=["all"])
    assert (await client.bulk.count("cancel", all=True)).matches >= 1
    created_from = datetime.now(UTC) - LATER
    cancelled = await client.bulk.cancel(tag="all", status=Status.QUEUED, created_from=created_from, limit=1)
    assert (await cancelled.result(timeout=20, into=BulkResult)).applied == 1
    assert (await job.status()).status is Status.CANCELLED
    retried = await client.bulk.retry(tag="all", status="cancelled", per_second=50)
    assert (await retried.result(timeout=20, into=BulkResult)).applied == 1
    assert (await job.status()).status is not Status.CANCELLED


# what is going on ------------------------------------------------------------------------------------------


async def test_the_runs_of_a_job_are_told_one_by_one(client: AsyncClient) -> None:
    policy = RetryPolicy(backoff=Steps(delays=(timedelta(milliseconds=10),)), max_attempts=2)
    job = await client.submit("broken", retry=policy)
    async for _ in job.events():
        pass
    first, second = await job.attempts()
    assert (first.run, first.outcome, first.counted, first.usage) == (1, "retried", True, [])
    assert (second.run, second.outcome, second.note) == (2, "failed", "processing_error")


async def test_a_status_may_be_waited_for(client: AsyncClient) -> None:
    job = await client.submit("brief")
    assert (await job.status(wait=30)).status is Status.SUCCEEDED
    waiting = await client.submit("echo", delay=LATER)
    assert (await waiting.status(wait=timedelta(milliseconds=50))).phase is Phase.SCHEDULED
    assert (await waiting.status(wait=0)).phase is Phase.SCHEDULED
    with pytest.raises(InvalidInput) as refused:
        await job.status(wait=61)
    assert refused.value.field == "wait"


async def test_a_wait_may_take_longer_than_a_server_may_be_silent(url: str) -> None:
    async with AsyncClient(url, user_id="ada") as client, AsyncClient(url, user_id="ada", timeout=0.2) as hasty:
        job = await client.submit("brief")
        assert (await hasty.handle(job.id).status(wait=30)).status is Status.SUCCEEDED


async def test_all_jobs_are_followed_and_who_comes_back_misses_nothing(url: str) -> None:
    async with AsyncClient(url, user_id="feed") as client:
        async with aclosing(client.events()) as events:
            first = asyncio.ensure_future(anext(events))
            while not first.done():  # the feed begins at some moment from now on
                await client.submit("echo", delay=LATER)
                await asyncio.sleep(0.02)
            seen = await first
        assert isinstance(seen, FeedEvent)
        job = await client.submit("echo", {"text": "a"})
        async with aclosing(client.events(after=seen.id)) as events:
            steps = [event async for event in _of(events, job.id)]
        assert [(step.event, step.seq) for step in steps] == [("submitted", 1), ("claimed", 2), ("succeeded", 3)]
        async with aclosing(client.events(after="a-place-that-is-gone")) as events:
            assert isinstance(await anext(events), FeedReset)
        with pytest.raises(InvalidInput, match="no id of an event"):
            await anext(client.events(after="1\r\nX-User-ID: bob"))


async def _of(events: AsyncIterator[FeedEvent | FeedReset], job_id: str) -> AsyncGenerator[FeedEvent, None]:
    """The steps of one job, up to its success."""
    async for event in events:
        if isinstance(event, FeedEvent) and event.job_id == job_id:
            yield event
            if event.event == "succeeded":
                return


async def test_the_server_tells_of_itself(client: AsyncClient) -> None:
    await (await client.submit("echo")).result(timeout=20)  # whoever has run it has told of himself
    [worker] = await client.workers()
    assert (worker.stale, worker.slots is None) == (False, False)
    counts, ready, about, caller = await asyncio.gather(
        client.counts(), client.ready(), client.about(), client.whoami()
    )
    assert (ready.workers, counts.workers <= 1) == (1, True)  # counts may be 5 s old
    assert (ready.engine, about.name, caller.role) == ("memory", "tidegate", Role.ADMIN)


async def test_rate_limits_and_outcomes_can_be_told_from_outside(client: AsyncClient) -> None:
    told = [await client.queues.record_queue_rate_limit_error("content") for _ in range(5)]
    assert [queue.is_paused for queue in told] == [False] * 4 + [True]
    assert (await client.queues.get_queue_circuit_status("content")).consecutive_errors == 5
    assert (await client.queues.resume_queue("content")).consecutive_errors == 0
    await client.queues.record_queue_rate_limit_error("content")
    assert (await client.queues.record_queue_success("content")).consecutive_errors == 0
    await client.upstreams.override("outside", "closed")
    await client.upstreams.clear("outside")
    upstream = await client.upstreams.record("outside", "down", retry_after=1, took=timedelta(seconds=2))
    assert upstream.faults == 1
    assert (await client.upstreams.record("outside")).name == "outside"


async def test_the_blocking_client_does_all_of_that_too(url: str) -> None:
    def use() -> None:
        with Client(url, user_id="blocking") as client:
            client.schedules.put("s", "0 3 * * *", "echo")
            job = client.schedules.trigger("s")
            assert job.result(timeout=20) is not None
            assert job.status(wait=1).status is Status.SUCCEEDED
            assert [one.outcome for one in job.attempts()] == ["succeeded"]
            hook = client.webhooks.create("https://93.184.216.34/hook")
            assert list(client.webhooks.deliveries(hook.id)) == []
            client.webhooks.delete(hook.id)
            assert list(client.dead_letters()) == []
            assert client.bulk.retry(all=True).result(timeout=20, into=BulkResult).matched == 0
            client.submit("echo")
            assert (len(client.workers()), client.counts().failed_jobs >= 0) == (1, True)
            client.schedules.delete("s")

    await asyncio.to_thread(use)
