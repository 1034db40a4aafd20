"""Who wants to hear that a job has ended hears it, once, whatever befalls; who can't be reached holds up nobody."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest
from standardwebhooks import WebhookVerificationError
from structlog.testing import capture_logs

from tests.servers.scripted import Exchange, Request, answers, scripted
from tests.system_jobs.hooked import SECRET, SERVING, Hooked, on_every_store, verified
from tests.worker.faults import Line
from tests.worker.house import dead_owner, eventually
from tidegate.core.failure import Failure
from tidegate.core.job import Bury, JobId, Status, Succeed
from tidegate.core.upstream import State, state
from tidegate.errors import EngineUnavailable, IllegalTransition
from tidegate.requests import JobRequest
from tidegate.system_jobs.acting import Actor
from tidegate.system_jobs.scope import Action
from tidegate.system_jobs.webhooks.endpoint import GIVES_UP_AFTER, OVERLAP, Secret, enabled, failed, rotated
from tidegate.system_jobs.webhooks.signing import secret_of
from tidegate.system_jobs.webhooks.store import Endpoints
from tidegate.telemetry.events import UpstreamChanged

NOBODY = "http://127.0.0.1:9/"


async def test_a_receiver_is_told_thinly_and_can_verify_it(hooked: Hooked) -> None:
    async with scripted(answers(204, "")) as receiver:
        await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        job_id = await hooked.submit("good", tags=("monthly",))
        [delivery] = await hooked.delivered()
        [request] = receiver.requests
    event = verified(request)
    timestamp = event.pop("timestamp")
    assert event == {
        "type": "job.succeeded",
        "data": {
            "job_id": job_id,
            "type": "good",
            "status": "succeeded",
            "attempts": 1,
            "tags": ["monthly"],
            "user_id": "ada",
            "result_url": f"/jobs/{job_id}/result",
        },
    }
    assert str(timestamp).endswith("Z")
    assert request.headers["webhook-id"] == f"msg_{delivery.id}"
    assert request.headers["content-type"] == "application/json"
    assert (delivery.status, delivery.spec.user_id, delivery.lane.upstream) == ("succeeded", "ada", "webhook.one")


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@on_every_store
async def test_a_message_and_its_replay_are_tied_to_the_call_that_asked_for_the_job(hooked: Hooked) -> None:
    async with scripted(answers(204, "")) as receiver:
        endpoint = await hooked.webhook(receiver.url)
        await hooked.submit("good", request_id="r-1", traceparent=TRACE)
        await hooked.house.worker(SERVING)
        [delivery] = await hooked.delivered()
        body = await hooked.house.system.client.body(delivery)
        again = hooked.webhooks.replayed(endpoint, delivery.spec, body.payload)
        await hooked.house.engine.submit([again])
        await hooked.delivered(2)
    assert [verified(request)["type"] for request in receiver.requests] == ["job.succeeded"] * 2
    told = [(request.headers["x-request-id"], request.headers["traceparent"]) for request in receiver.requests]
    assert told == [("r-1", TRACE)] * 2


@pytest.mark.parametrize("said", ["", "two words", "a\r\nX-Else: b", "é", "x" * 129])
async def test_what_no_header_could_hold_ties_nothing(hooked: Hooked, said: str) -> None:
    async with scripted(answers(204, "")) as receiver:
        await hooked.webhook(receiver.url)
        await hooked.submit("good", request_id=said, traceparent=said)
        await hooked.house.worker(SERVING)
        [delivery] = await hooked.delivered()
        [request] = receiver.requests
    assert delivery.status == "succeeded"
    assert {"x-request-id", "traceparent", "x-else"}.isdisjoint(request.headers)


async def test_what_is_changed_on_the_way_does_not_verify(hooked: Hooked) -> None:
    async with scripted(answers(204, "")) as receiver:
        await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        await hooked.submit()
        await hooked.delivered()
        [request] = receiver.requests
    forged = Request(path=request.path, headers=request.headers, body=request.body.replace(b"succeeded", b"cancelled"))
    with pytest.raises(WebhookVerificationError):
        verified(forged)


@on_every_store
async def test_every_end_is_told_once(hooked: Hooked) -> None:
    """By a worker, by a cancel of what runs and of what waits, and by a reaper of what waited too long."""
    house, client = hooked.house, hooked.house.system.client
    await hooked.webhook(NOBODY)
    waiting = await hooked.submit("good")
    await client.cancel(waiting)
    late = await client.submit(
        JobRequest(type="good", user_id="ada", delay=timedelta(days=1), expires_at=_soon(hooked, 0.05))
    )
    await house.worker(SERVING)
    good, bad, long = [await hooked.submit(name) for name in ("good", "bad", "long")]
    await house.running(long)
    await client.cancel(long)
    for job_id in (good, bad, long, JobId(late.job_id)):
        await house.ended(job_id)
    for job_id in (waiting, long):
        with pytest.raises(IllegalTransition):
            await client.cancel(job_id)
    told = await _told(hooked)
    assert told == {
        (waiting, "job.cancelled", None),
        (good, "job.succeeded", None),
        (bad, "job.failed", "no_good"),
        (long, "job.cancelled", None),
        (late.job_id, "job.failed", "expired"),
    }
    assert len(await hooked.deliveries()) == len(told)


@on_every_store
async def test_an_ending_whose_answer_is_lost_is_told_once(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(hooked.house.engine, monkeypatch)
    await hooked.webhook(NOBODY)
    await hooked.house.worker(SERVING)
    with line.deaf("settle"):
        job_id = await hooked.submit()
        await hooked.house.ended(job_id)
        await eventually(lambda: line.calls["settle"] >= 2)
    await eventually(lambda: line.answers["settle"] >= 1)
    assert len(await hooked.deliveries()) == 1


@on_every_store
async def test_what_a_worker_ended_before_it_died_another_delivers(hooked: Hooked) -> None:
    house = hooked.house
    async with scripted(answers(204, "")) as receiver:
        await hooked.webhook(receiver.url)
        first = await house.worker(replace(SERVING, queues={"default": 1}))  # it delivers nothing
        job_id = await hooked.submit()
        await house.ended(job_id)
        await house.stop(first)
        assert [job.status for job in await hooked.deliveries()] == ["queued"]
        await house.worker(SERVING)
        await hooked.delivered()
        assert len(receiver.requests) == 1


@on_every_store
async def test_what_a_dead_worker_left_running_is_told_by_who_takes_it_over(hooked: Hooked) -> None:
    house = hooked.house
    await hooked.webhook(NOBODY)
    job_id = await hooked.submit("good")
    lease = await house.claim_as(dead_owner(), "good")
    await house.system.client.cancel(job_id)  # it runs, as far as the store knows
    assert await hooked.deliveries() == []
    await house.worker(SERVING)
    assert (await house.ended(lease.job.id)).status is Status.CANCELLED
    assert await _told(hooked) == {(job_id, "job.cancelled", None)}


@on_every_store
async def test_a_cancel_that_broke_off_is_made_up_for_by_the_next(
    hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, client = hooked.house.engine, hooked.house.system.client
    await hooked.webhook(NOBODY)
    job_id = await hooked.submit()
    with monkeypatch.context() as patch:
        patch.setattr(engine, "submit", _away)
        with pytest.raises(EngineUnavailable):
            await client.cancel(job_id)
    assert await hooked.deliveries() == []
    for _ in range(2):
        with pytest.raises(IllegalTransition):
            await client.cancel(job_id)
    assert await _told(hooked) == {(job_id, "job.cancelled", None)}
    assert len(await hooked.deliveries()) == 1


@on_every_store
async def test_a_cancel_in_bulk_is_told_of_each_job_once(hooked: Hooked) -> None:
    engine, webhooks = hooked.house.engine, hooked.webhooks
    await hooked.webhook(NOBODY)
    jobs = [await hooked.submit() for _ in range(5)]
    actor = Actor(engine=engine, emit=hooked.house.system.emit, cancelled=webhooks.cancelled_ids)
    for _ in range(2):  # as a run does that begins anew
        await actor.act(Action.CANCEL, jobs, "5" * 32)
    assert await _told(hooked) == {(job_id, "job.cancelled", None) for job_id in jobs}


async def test_a_job_that_is_revived_is_told_of_again(hooked: Hooked) -> None:
    await hooked.webhook(NOBODY)
    await hooked.house.worker(SERVING)
    job_id = await hooked.submit("bad")
    for count in (1, 2):
        await hooked.house.ended(job_id)
        assert len(await hooked.deliveries()) == count
        await hooked.house.system.client.retry(job_id)
    await hooked.house.ended(job_id)
    assert len(await hooked.deliveries()) == 3


async def test_only_what_was_asked_for_is_told_and_only_to_its_user(hooked: Hooked) -> None:
    await hooked.webhook(NOBODY, "one", events=(Status.FAILED,))
    await hooked.webhook(NOBODY, "two", types=("bad",))
    await hooked.webhook(NOBODY, "dead", user_id="bob")
    await hooked.house.worker(SERVING)
    for job_id in [await hooked.submit("good"), await hooked.submit("bad")]:
        await hooked.house.ended(job_id)
    counts = [len(await hooked.deliveries(name)) for name in ("one", "two", "dead")]
    assert counts == [1, 1, 0]


async def test_a_refused_event_is_sent_again_under_the_same_id(hooked: Hooked) -> None:
    async with scripted(answers(400, ""), answers(401, ""), answers(200, "")) as receiver:
        await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        await hooked.submit()
        [delivery] = await hooked.delivered()
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
        assert len({request.body for request in receiver.requests}) == 1
        assert [verified(request)["type"] for request in receiver.requests] == ["job.succeeded"] * 3
    assert (delivery.status, delivery.attempts) == (Status.SUCCEEDED, 3)
    assert (await hooked.known()).failing_since is None


async def test_what_is_refused_too_often_fails(hooked: Hooked) -> None:
    async with scripted(answers(404, "")) as receiver:
        await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        await hooked.submit()
        [delivery] = await hooked.delivered()
        assert len(receiver.requests) == 3
    assert delivery.error is not None
    assert (delivery.error.code, delivery.error.message) == ("webhook_refused", "the receiver answered 404")
    assert (await hooked.known()).failing_since is not None


async def test_a_busy_receiver_uses_no_attempt(hooked: Hooked) -> None:
    async with scripted(answers(503, ""), answers(429, ""), answers(200, "")) as receiver:
        await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        await hooked.submit()
        [delivery] = await hooked.delivered()
    assert (delivery.status, delivery.attempts, delivery.counters.upstream_faults) == (Status.SUCCEEDED, 1, 2)


async def test_a_receiver_that_is_gone_is_asked_once(hooked: Hooked) -> None:
    async with scripted(answers(410, "")) as receiver:
        await hooked.webhook(receiver.url)
        await hooked.house.worker(SERVING)
        with capture_logs() as lines:
            await hooked.submit()
            [delivery] = await hooked.delivered()
        await hooked.house.ended(await hooked.submit())
        assert len(await hooked.deliveries()) == 1
        assert len(receiver.requests) == 1
    assert delivery.error is not None
    assert delivery.error.code == "webhook_gone"
    endpoint = await hooked.known()
    assert endpoint.disabled_why == "its receiver answered 410 Gone"
    [line] = [line for line in lines if line["event"] == "webhook.disabled"]
    assert (line["webhook_id"], line["why"]) == ("one", endpoint.disabled_why)


async def test_a_dead_receiver_holds_up_only_its_own_until_it_is_back(hooked: Hooked) -> None:
    well = asyncio.Event()

    async def sick(exchange: Exchange) -> None:
        await answers(200 if well.is_set() else 500, "")(exchange)

    async with scripted(sick) as dead, scripted(answers(200, "")) as receiver:
        await hooked.webhook(dead.url, "dead", events=(Status.FAILED,))
        await hooked.webhook(receiver.url, "one", events=(Status.SUCCEEDED,))
        await hooked.house.worker(SERVING)
        for name in ("bad", "good") * 10:
            await hooked.submit(name)
        await eventually(lambda: _opened(hooked, "webhook.dead"))
        assert len(await hooked.delivered(10)) == 10
        tried = len(dead.requests)
        await asyncio.sleep(0.1)
        assert len(dead.requests) <= tried + 1
        assert [job.attempts for job in await hooked.deliveries("dead") if job.status is Status.QUEUED]
        well.set()
        jobs = await hooked.delivered(10, "dead")
        assert {(job.status, job.attempts) for job in jobs} == {(Status.SUCCEEDED, 1)}
        health = hooked.house.system.upstreams
        assert state(health.upstream("upstream:webhook.dead"), health.now()) is State.CLOSED
    assert not _opened(hooked, "webhook.one")


async def test_no_secret_gets_into_jobs_histories_or_lines(hooked: Hooked) -> None:
    async with scripted(answers(500, ""), answers(400, ""), answers(200, "")) as receiver:
        await hooked.webhook(f"{receiver.url}?token=hidden")
        await hooked.house.worker(SERVING)
        with capture_logs() as lines:
            await hooked.submit()
            [delivery] = await hooked.delivered()
    [body] = await hooked.house.engine.bodies([delivery.id])
    history = await hooked.house.engine.history(delivery.id)
    shown = repr((delivery, body, history, lines, hooked.house.heard, await hooked.known()))
    assert SECRET.removeprefix("whsec_") not in shown
    assert "hidden" not in shown


async def test_a_rotated_secret_signs_on_for_a_day(hooked: Hooked) -> None:
    newer, now = secret_of(b"n" * 32), hooked.house.system.upstreams.now()
    async with scripted(answers(200, "")) as receiver:
        endpoint = rotated(await hooked.webhook(receiver.url), newer, now)
        await hooked.webhooks.change("one", lambda _: endpoint)
        await hooked.house.worker(SERVING)
        await hooked.submit()
        await hooked.delivered()
        [request] = receiver.requests
    assert verified(request, SECRET) == verified(request, newer)
    assert endpoint.signers(now + OVERLAP) == (newer,)
    assert endpoint.secrets == (Secret(text=newer), Secret(text=SECRET, until=now + OVERLAP))


async def test_a_webhook_that_fails_for_days_is_disabled_until_its_user_enables_it(hooked: Hooked) -> None:
    endpoint, now = await hooked.webhook(NOBODY), hooked.house.system.upstreams.now()
    failing, at = failed(endpoint, now), now
    while (at := at + timedelta(hours=12)) < now + GIVES_UP_AFTER:
        failing = failed(failing, at)
        assert (failing.failing_since, failing.failed_at, failing.disabled_at) == (now, at, None)
    given_up = failed(failing, at)
    assert given_up.disabled_at == at
    assert given_up.disabled_why == "every delivery has failed for 5 days"
    assert enabled(given_up) == endpoint


async def test_failures_with_days_between_them_disable_nothing(hooked: Hooked) -> None:
    endpoint, now = await hooked.webhook(NOBODY), hooked.house.system.upstreams.now()
    failing = failed(endpoint, now)
    assert failed(failing, now + timedelta(minutes=5)) == failing
    later = failed(failing, now + timedelta(days=30))
    assert (later.failing_since, later.disabled_at) == (now + timedelta(days=30), None)


async def test_what_is_sent_stays_small_whatever_a_job_holds(hooked: Hooked) -> None:
    await hooked.webhook(NOBODY)
    tags = tuple(chr(0x1F600 + number) * 64 for number in range(16))
    job = await hooked.house.look(await hooked.submit(tags=tags))
    failure = Failure(code="c" * 10_000, message="\x01" * 100_000, error_type="T" * 10_000)
    [delivery] = hooked.webhooks.book.follow(job, Bury(failure=failure))
    assert 5_000 < len(delivery.payload) < 20_000


async def test_what_another_process_has_changed_is_known_within_seconds(hooked: Hooked) -> None:
    house, book = hooked.house, hooked.webhooks.book
    await house.worker(SERVING)
    job = await house.ended(await hooked.submit())
    endpoint = await hooked.webhook(NOBODY)
    book.drop(endpoint.id)  # as if another process had made it
    assert book.follow(job, Succeed()) == ()
    elsewhere = Endpoints(house.engine, house.runtime.nonce)
    await elsewhere.change(endpoint.id, lambda known: replace(known, description="changed"))
    await eventually(lambda: len(book.follow(job, Succeed())) == 1)


async def test_without_webhooks_an_end_asks_nobody(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("the store was asked")

    await hooked.house.worker(SERVING)
    monkeypatch.setattr(hooked.house.engine, "load", never)
    await hooked.house.ended(await hooked.submit())
    assert await hooked.deliveries() == []


class Data(msgspec.Struct):
    """What an event tells of a job, in part."""

    job_id: str
    error: str | None = None


class Told(msgspec.Struct):
    """An event."""

    type: str
    data: Data


class Sent(msgspec.Struct):
    """The payload of a delivery."""

    event: Told


async def _told(hooked: Hooked) -> set[tuple[str, str, str | None]]:
    """Of which job which event was made, and with which error: one delivery each."""
    jobs = await hooked.deliveries()
    bodies = await hooked.house.engine.bodies([job.id for job in jobs])
    events = [msgspec.json.decode(body.payload, type=Sent).event for body in bodies if body is not None]
    told = {(event.data.job_id, event.type, event.data.error) for event in events}
    assert len(told) == len(jobs)
    return told


async def _away(*_: object) -> None:
    raise EngineUnavailable("the line is down")


def _soon(hooked: Hooked, seconds: float) -> datetime:
    return hooked.house.clock.now() + timedelta(seconds=seconds)


def _opened(hooked: Hooked, name: str) -> bool:
    changes = hooked.house.events(UpstreamChanged)
    return any(change.gate == f"upstream:{name}" and change.transition.to == State.OPEN for change in changes)
