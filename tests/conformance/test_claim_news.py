"""Clauses of `JobQueue.claim`: what the answer tells besides leases."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tests.conformance import build
from tests.conformance.build import OTHER_WORKER, REAPER, WORKER, new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Cancel, Retry, Succeed
from tidegate.core.verbs import Beat, Gate, Pace, Swap

TICK = timedelta(microseconds=1)
LLM = build.lane("llm")


# wake_at and more ------------------------------------------------------------------------------------------


async def _a_job_becomes_due(harness: Harness) -> None:
    await build.submit(harness, new_job(delay=seconds(10)), new_job(delay=seconds(20)))


async def _a_retry_becomes_due(harness: Harness) -> None:
    await build.finish(harness, Retry(delay=seconds(10), failure=build.failure()))


async def _a_gate_opens(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", not_before=harness.clock.now() + seconds(10)))
    await build.submit(harness, new_job(lane=LLM))


async def _a_pace_admits_the_next(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", pace=Pace(period=seconds(10), burst=3)))
    await build.submit(harness, *(new_job(lane=LLM) for _ in range(5)))
    for lease in (await build.claim(harness)).leases:
        await build.end(harness, lease, Succeed())


async def _a_lease_runs_out(harness: Harness) -> None:
    await build.submit(harness, new_job())
    await build.claim_one(harness, lease_for=seconds(10))


async def _a_renewed_lease_runs_out(harness: Harness) -> None:
    lease = await build.start(harness)
    await harness.engine.renew([Beat(lease.job.id, lease.token)], seconds(10))


async def _a_lease_that_keeps_a_gate_full_runs_out(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", limit=1))
    await build.submit(harness, new_job(lane=LLM), new_job(lane=LLM))
    await build.claim_one(harness, lease_for=seconds(10))


async def _a_ready_job_expires(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", not_before=harness.clock.now() + seconds(60)))
    await build.submit(harness, new_job(lane=LLM, expires_at=harness.clock.now() + seconds(10)))


async def _a_scheduled_job_expires(harness: Harness) -> None:
    await build.submit(harness, new_job(delay=seconds(60), expires_at=harness.clock.now() + seconds(10)))


@promise("claim.wake-at")
@pytest.mark.parametrize(
    "arrange",
    [
        _a_job_becomes_due,
        _a_retry_becomes_due,
        _a_gate_opens,
        _a_pace_admits_the_next,
        _a_lease_runs_out,
        _a_renewed_lease_runs_out,
        _a_lease_that_keeps_a_gate_full_runs_out,
        _a_ready_job_expires,
        _a_scheduled_job_expires,
    ],
)
async def test_a_worker_is_told_to_come_back_when_there_will_be_something_to_do(
    harness: Harness, arrange: Callable[[Harness], Awaitable[None]]
) -> None:
    await arrange(harness)
    now = harness.clock.now()
    claimed = await build.claim(harness)
    assert (claimed.leases, claimed.more, claimed.at) == ((), False, now)
    assert claimed.wake_at is not None
    assert now < claimed.wake_at <= now + seconds(10), "earlier than now, a worker would spin"
    harness.clock.advance(seconds(10) - TICK)
    early = await build.claim(harness)
    assert (len(early.leases), early.overdue) == (0, 0)
    assert early.wake_at is not None
    assert early.wake_at <= now + seconds(10)
    harness.clock.advance(TICK)
    then = await build.claim(harness)
    assert len(then.leases) + then.overdue == 1


@promise("claim.wake-at")
async def test_the_nearest_of_all_gates_that_matter_is_told(harness: Harness) -> None:
    now = harness.clock.now()
    await build.set_gates(
        harness,
        Gate(name="upstream:a", not_before=now + seconds(30)),
        Gate(name="upstream:b", not_before=now + seconds(20)),
        Gate(name="upstream:c", not_before=now + seconds(10)),
    )
    lanes = [build.lane("a"), build.lane("b"), build.lane("b", "c")]
    await build.submit(harness, *(new_job(lane=lane) for lane in lanes))
    wake_at = (await build.claim(harness)).wake_at
    assert wake_at is not None
    assert wake_at <= now + seconds(20)


@promise("claim.wake-at")
async def test_an_idle_store_asks_nobody_back(harness: Harness) -> None:
    await build.finish(harness)
    claimed = await build.claim(harness)
    assert (claimed.more, claimed.wake_at) == (False, None)


@promise("claim.wake-at")
@pytest.mark.parametrize("limit", [1, 3, 4])
async def test_more_says_whether_another_claim_would_take_a_job_now(harness: Harness, limit: int) -> None:
    queues = build.turns("high", "default", quota=1)
    lanes = [build.lane(), LLM, build.lane(queue="high"), build.lane("llm", queue="high")]
    await build.submit(harness, *(new_job(lane=lane, delay=seconds(n)) for n, lane in enumerate(lanes)))
    harness.advance(9)
    left = 4
    while left:
        claimed = await build.claim(harness, turns=queues, limit=limit, share=1, held={"llm": 1})
        left -= len(claimed.leases)
        assert claimed.more == (left > 0)


@promise("claim.wake-at")
async def test_more_is_told_to_a_full_worker_too(harness: Harness) -> None:
    await build.submit(harness, new_job(type="other"), new_job(delay=seconds(5)))
    assert not (await build.claim(harness, limit=0)).more
    harness.advance(5)
    assert (await build.claim(harness, limit=0)).more


@promise("claim.wake-at")
async def test_more_is_told_with_a_repeated_claim_too(harness: Harness) -> None:
    await build.submit(harness, new_job(), new_job())
    nonce = build.nonce()
    await build.claim(harness, nonce, limit=1)
    assert (await build.claim(harness, nonce, limit=1)).more
    await build.claim_one(harness)
    assert not (await build.claim(harness, nonce, limit=1)).more


@promise("claim.wake-at")
async def test_a_place_that_an_ended_run_freed_is_told_by_more(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", limit=1))
    await build.submit(harness, *(new_job(lane=LLM) for _ in range(2)), new_job())
    first, plain = (await build.claim(harness, limit=2)).leases
    await build.end(harness, plain, Succeed())
    assert not (await build.claim(harness)).more
    await build.end(harness, first, Succeed())
    await build.submit(harness, new_job())
    assert (await build.claim(harness, limit=1)).more


# the news --------------------------------------------------------------------------------------------------


@promise("claim.news")
@pytest.mark.parametrize("limit", [0, 5])
async def test_an_owner_is_told_of_his_cancelled_runs_until_they_end(harness: Harness, limit: int) -> None:
    await build.submit(harness, *(new_job() for _ in range(4)))
    mine, kept = (await build.claim(harness, limit=2)).leases
    theirs, _ = (await build.claim(harness, owner=OTHER_WORKER)).leases
    await build.cancel(harness, mine.job.id, theirs.job.id)
    assert (await build.claim(harness, limit=limit)).cancelling == (mine.job.id,)
    assert (await build.claim(harness, limit=limit, owner=OTHER_WORKER)).cancelling == (theirs.job.id,)
    await build.end(harness, mine, Cancel())
    assert (await build.claim(harness, limit=limit)).cancelling == ()
    await build.end(harness, kept, Succeed())


@promise("claim.news")
async def test_a_cancel_is_told_to_whoever_holds_the_run_now(harness: Harness) -> None:
    lease = await build.start(harness)
    harness.clock.advance(build.LEASE)
    await build.reclaim_one(harness)
    await build.cancel(harness, lease.job.id)
    assert (await build.claim(harness, owner=WORKER, limit=0)).cancelling == ()
    assert (await build.claim(harness, owner=REAPER, limit=0)).cancelling == (lease.job.id,)


@promise("claim.news")
async def test_a_repeated_claim_tells_the_news_of_now(harness: Harness) -> None:
    await build.submit(harness, new_job())
    nonce = build.nonce()
    (lease,) = (await build.claim(harness, nonce)).leases
    await build.cancel(harness, lease.job.id)
    harness.clock.advance(build.LEASE - TICK)
    again = await build.claim(harness, nonce)
    assert (again.cancelling, again.at) == ((lease.job.id,), harness.clock.now())


@promise("claim.news")
@pytest.mark.parametrize("limit", [0, 5])
async def test_leases_that_ran_out_are_overdue_until_they_are_reclaimed_or_renewed(
    harness: Harness, limit: int
) -> None:
    await build.submit(harness, *(new_job() for _ in range(3)))
    leases = (await build.claim(harness)).leases
    harness.clock.advance(build.LEASE - TICK)
    assert (await build.claim(harness, limit=limit)).overdue == 0
    harness.clock.advance(TICK)
    assert (await build.claim(harness, limit=limit)).overdue == 3
    await harness.engine.renew([Beat(leases[0].job.id, leases[0].token)], build.LEASE)
    await build.end(harness, leases[1], Succeed())
    assert (await build.claim(harness, limit=limit)).overdue == 1
    await build.reclaim(harness)
    assert (await build.claim(harness, limit=limit)).overdue == 0
    harness.clock.advance(build.LEASE)
    assert (await build.claim(harness, limit=limit)).overdue == 2, "a reaper's own lease runs out like any"


@promise("claim.news")
@pytest.mark.parametrize("limit", [0, 5])
async def test_the_version_is_that_of_the_newest_won_swap(harness: Harness, limit: int) -> None:
    async def swap(key: str, expected: int, value: bytes | None = b"{}") -> int:
        wanted = Swap(kind="queue", key=key, value=value, expected=expected, nonce=build.nonce())
        return (await harness.engine.swap(wanted)).document.version

    assert (await build.claim(harness, limit=limit)).version == 0
    versions = [await swap("a", 0), await swap("b", 0)]
    assert (await build.claim(harness, limit=limit)).version == max(versions)
    await swap("a", expected=99)
    assert (await build.claim(harness, limit=limit)).version == max(versions)
    deleted = await swap("b", versions[1], None)
    assert (await build.claim(harness, limit=limit)).version == deleted > max(versions)
