"""Whatever is stored reads back as it was."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce, seconds
from tests.conformance.harness import Harness
from tests.engines.redis.stores import fresh_url, opened
from tests.servers.valkey import Valkey
from tidegate.core.failure import Failure
from tidegate.core.job import (
    Bury,
    Cancel,
    Defer,
    Ending,
    JobId,
    Lane,
    NewJob,
    Owner,
    Progress,
    Refund,
    Retention,
    Retry,
    Succeed,
)
from tidegate.core.retry import Exponential, RetryPolicy, Rule
from tidegate.core.verbs import Beat
from tidegate.engines.redis.records import read_steps
from tidegate.errors import InvalidInput

ODD = ("", "\0", "a\0b", "\x7f\x1f", '"quoted" \\', "👋🏽 ß \u2028", "1:x{}[]\n", "x" * 5_000)
LATE = datetime(2255, 1, 1, tzinfo=UTC)
"""Until then the store counts microseconds exactly."""


@pytest.fixture
async def harness(server: Valkey) -> AsyncIterator[Harness]:
    """A store of this engine."""
    async with opened(fresh_url(server)) as fresh:
        yield fresh


@pytest.mark.parametrize("text", ODD)
async def test_any_text_reads_back_as_it_was(harness: Harness, text: str) -> None:
    lane = Lane(queue=f"q{text}", upstream=text, parents=(text, "p"))
    kind, owner = f"t{text}", Owner(f"o{text}")
    new = new_job(
        type=kind, user_id=text, tags=(text, "b"), lane=lane, idempotency_key=text, fingerprint=text, request_id=text
    )
    await build.submit(harness, new)
    turns, types, asked = build.turns(lane.queue), frozenset({kind}), nonce()
    (lease,) = (await build.claim(harness, asked, turns=turns, types=types, owner=owner)).leases
    beat = Beat(lease.job.id, lease.token, Progress(fraction=0.1 + 0.2, message=text * 20))
    await harness.engine.renew([beat], seconds(40))
    running = await build.job(harness, new.id)
    assert (running.spec, running.lane, running.progress) == (new.spec, lane, beat.progress)
    (again,) = (await build.claim(harness, asked, turns=turns, types=types, owner=owner)).leases
    assert (again.job, again.token, again.owner) == (running, lease.token, owner)
    assert again.expires_at == harness.clock.now() + seconds(40)
    failure = Failure(
        code="c" + text, message=text, error_type=text, transient=False, retry_after=seconds(1.5), status=503
    )
    await build.end(harness, lease, Bury(failure=failure))
    assert (await build.job(harness, new.id)).error == failure
    assert [entry.note for entry in await harness.engine.history(new.id)] == ["", "", failure.code]
    assert await harness.engine.known([(text, text)]) == [(new.id, text)]


async def test_users_that_differ_behind_their_length_are_two(harness: Harness) -> None:
    users = [("a", "k"), ("a\0b", "k"), ("1:a", "k"), ("1", ":ak")]
    ids = await build.submit(harness, *(new_job(user_id=user, idempotency_key=key) for user, key in users))
    assert await harness.engine.known(users) == [(job_id, "f-1") for job_id in ids]


@pytest.mark.parametrize("size", [0, 1, 4_096, 4_097, 1_048_576])
async def test_a_payload_of_any_size_is_claimed_to_the_byte(harness: Harness, size: int) -> None:
    payload, asked = bytes(range(256)) * (size // 256) + b"\xff" * (size % 256), nonce()
    await build.submit(harness, new_job(payload=payload), new_job(payload=b"small"))
    claimed = await build.claim(harness, asked)
    assert [lease.payload for lease in claimed.leases] == [payload, b"small"]
    assert (await build.claim(harness, asked)).leases == claimed.leases
    await build.end(harness, claimed.leases[0], Succeed(result=payload))
    (body,) = await harness.engine.bodies([claimed.leases[0].job.id])
    assert body is not None
    assert (body.payload, body.result) == (payload, payload)


async def test_a_text_that_no_record_holds_is_refused(harness: Harness) -> None:
    with pytest.raises(InvalidInput):
        await harness.engine.submit([new_job(traceparent="x" * 70_000)])


async def test_odd_terms_read_back_as_they_were(harness: Harness) -> None:
    policy = RetryPolicy(
        backoff=Exponential(initial=seconds(0.1), factor=1.7, cap=seconds(1_000.000001), jitter=0.3),
        max_attempts=17,
        rules=(Rule(error="http:5xx"),),
    )
    kept = Retention(succeeded=seconds(0.000001), failed=timedelta.min, cancelled=timedelta.max)
    new = new_job(retry=policy, retry_on_timeout=True, retention=kept, timeout=seconds(0.5), expires_at=LATE)
    await build.submit(harness, new)
    assert (await build.job(harness, new.id)).spec == new.spec


async def test_instants_read_back_to_the_microsecond(harness: Harness) -> None:
    instant = LATE - timedelta(microseconds=1)
    (job_id,) = await build.submit(harness, new_job(run_at=instant, expires_at=instant))
    job = await build.job(harness, job_id)
    assert (job.run_at, job.due_at, job.expires_at) == (instant, instant, instant)


async def test_what_lies_beyond_the_calendar_is_put_at_its_end(harness: Harness) -> None:
    end_of_time = datetime.max.replace(tzinfo=UTC)
    kept = Retention(succeeded=timedelta.max)
    await build.submit(harness, new_job(delay=timedelta.max / 100, type="late"))
    lease = await build.start(harness, retention=kept)
    await build.end(harness, lease, Defer(delay=timedelta.max, refund=Refund.CRASH))
    assert end_of_time - (await build.job(harness, lease.job.id)).run_at < timedelta(milliseconds=1)
    done = await build.job(harness, await build.finish(harness, Succeed(), retention=kept))
    assert done.prune_at is not None
    assert end_of_time - done.prune_at < timedelta(milliseconds=1)
    assert done.spec.retention == kept
    assert await build.claimed_ids(harness) == []


async def test_a_history_of_any_length_is_whole(harness: Harness) -> None:
    (job_id,) = await build.submit(harness, new_job())
    for _ in range(100):
        await build.end(harness, await build.claim_one(harness), Defer(delay=seconds(0), refund=Refund.INTERRUPTION))
    history = await harness.engine.history(job_id, limit=1_000)
    assert [entry.seq for entry in history] == list(range(1, 202))
    assert [entry.note for entry in history[2::2]] == ["interruption"] * 100


def test_no_step_is_read_from_nothing() -> None:
    assert list(read_steps(b"")) == []


@pytest.mark.parametrize(
    "spoiled",
    [
        new_job(tags=("ok", "\udfff")),
        new_job(user_id="\udfff"),
        new_job(type="\udfff"),
        new_job(lane=Lane(queue="\udfff")),
        new_job(delay=timedelta(days=-800_000)),
        new_job(job_id=JobId("x" * 256)),
        new_job(job_id=JobId("ü" * 128)),
        new_job(job_id=JobId("\udfff")),
        replace(new_job(), id=JobId("")),
    ],
)
async def test_a_job_that_could_not_be_read_back_is_refused_with_its_whole_batch(
    harness: Harness, spoiled: NewJob
) -> None:
    good = new_job()
    with pytest.raises(InvalidInput):
        await harness.engine.submit([good, spoiled])
    assert await harness.engine.get([good.id]) == [None]
    lease = await build.start(harness)
    again = Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed(), then=(spoiled,))
    with pytest.raises(InvalidInput):
        await harness.engine.settle([again])
    retry = Retry(delay=timedelta(days=-800_000), failure=build.failure())
    with pytest.raises(InvalidInput):
        await harness.engine.settle([Ending(job_id=lease.job.id, token=lease.token, settlement=retry)])


@pytest.mark.parametrize("job_id", ["x" * 255, "ü" * 127, "\0"])
async def test_the_longest_and_the_oddest_ids_come_back_from_the_feed(harness: Harness, job_id: str) -> None:
    start = (await harness.engine.events(None)).next
    job = new_job(job_id=JobId(job_id), idempotency_key="k")
    assert [receipt.job_id for receipt in await harness.engine.submit([job, job])] == [job_id, job_id]
    assert [entry.job_id for entry in (await harness.engine.events(start)).entries] == [job_id]
    assert [lease.job.id for lease in (await build.claim(harness)).leases] == [job_id]


async def test_a_note_that_is_too_long_is_cut_and_history_goes_on(harness: Harness) -> None:
    lease = await build.start(harness)
    await build.end(harness, lease, Cancel(note="n" + "ü" * 40_000))
    *_, last = await harness.engine.history(lease.job.id)
    assert last.note == "n" + "ü" * 32_767


async def test_any_number_of_jobs_may_be_named_to_reclaim(harness: Harness) -> None:
    lease = await build.start(harness)
    harness.advance(60)
    only = (*(JobId(f"none{number}") for number in range(9_000)), lease.job.id)
    taken = await harness.engine.reclaim(build.reclaim_request(only=only), nonce())
    assert [one.lease.job.id for one in taken] == [lease.job.id]
