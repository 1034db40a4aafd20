"""Clauses of `JobQueue.known`: what an idempotency key stands for, asked without a submit."""

from datetime import timedelta

from tests.conformance import build
from tests.conformance.build import new_job
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Retention
from tidegate.core.verbs import Submission

HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)


@promise("known.keys")
async def test_each_key_is_answered_by_its_job_and_fingerprint_in_order(harness: Harness) -> None:
    ada = await build.submit_one(harness, idempotency_key="k", fingerprint="f-a")
    bob = await build.submit_one(harness, idempotency_key="k", fingerprint="f-b", user_id="bob")
    await build.submit_one(harness)
    asked = [("bob", "k"), ("ada", "K"), ("ada", "k"), ("", "k"), ("ada", ""), ("bob", "k")]
    first, second = (ada, "f-a"), (bob, "f-b")
    assert await harness.engine.known(asked) == [second, None, first, None, None, second]
    assert await harness.engine.known([]) == []


@promise("known.keys")
async def test_to_ask_takes_no_key(harness: Harness) -> None:
    assert await harness.engine.known([("ada", "k")]) == [None]
    (receipt,) = await harness.engine.submit([new_job(idempotency_key="k")])
    assert receipt.submission is Submission.CREATED


@promise("known.keys")
async def test_a_key_names_the_first_job_and_its_fingerprint_whoever_came_later(harness: Harness) -> None:
    first = await build.submit_one(harness, idempotency_key="k", fingerprint="f-1")
    await harness.engine.submit([new_job(idempotency_key="k", fingerprint=name) for name in ("f-1", "f-2")])
    assert await harness.engine.known([("ada", "k")]) == [(first, "f-1")]


@promise("known.keys")
async def test_a_key_is_known_as_long_as_submit_would_find_it(harness: Harness) -> None:
    job_id = await build.finish(harness, idempotency_key="k", retention=Retention(succeeded=HOUR))
    for step in (timedelta(0), HOUR, 23 * HOUR - TICK):
        harness.clock.advance(step)
        await harness.engine.prune(10)
        assert await harness.engine.known([("ada", "k")]) == [(job_id, "f-1")]
    harness.clock.advance(TICK)
    assert await harness.engine.known([("ada", "k")]) == [(job_id, "f-1")]
    await harness.engine.prune(10)
    assert await harness.engine.known([("ada", "k")]) == [None]
