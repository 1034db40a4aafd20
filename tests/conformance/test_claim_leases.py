"""Clauses of `JobQueue.claim`: what a lease is, and that a job has one at a time."""

import asyncio
from collections import Counter

from tests.conformance import build
from tests.conformance.build import OTHER_WORKER, WORKER, new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core import steps
from tidegate.core.job import Defer, JobId, Progress, Refund, Retry, Status, Succeed
from tidegate.core.query import Event, JobQuery
from tidegate.core.verbs import Beat
from tidegate.ports import Engine


@promise("claim.exclusive")
async def test_no_other_owner_gets_a_leased_job(harness: Harness) -> None:
    ids = await build.submit(harness, *(new_job() for _ in range(5)))
    first = await build.claimed_ids(harness, limit=3)
    second = await build.claimed_ids(harness, owner=OTHER_WORKER)
    assert sorted(first + second) == sorted(ids)
    assert await build.claimed_ids(harness) == []


@promise("claim.exclusive")
async def test_a_job_whose_lease_ran_out_waits_for_a_reaper_not_for_a_claim(harness: Harness) -> None:
    lease = await build.start(harness)
    harness.clock.advance(2 * build.LEASE)
    assert await build.claimed_ids(harness, owner=OTHER_WORKER) == []
    (reclaimed,) = await build.reclaim(harness)
    assert await build.claimed_ids(harness, owner=OTHER_WORKER) == []
    assert reclaimed.lease.job.id == lease.job.id


async def _drain(engine: Engine, taken: list[JobId]) -> None:
    while leases := (await engine.claim(build.request(limit=5), build.nonce())).leases:
        assert len(leases) <= 5
        taken += [lease.job.id for lease in leases]


@promise("claim.exclusive", "claim.limit")
async def test_concurrent_claims_lease_each_job_once(harness: Harness) -> None:
    lanes = [build.lane(), build.lane("llm"), build.lane("ocr")]
    ids = await build.submit(harness, *(new_job(lane=lanes[n % 3], user_id=f"u{n % 7}") for n in range(90)))
    taken: list[JobId] = []
    async with harness.other() as other:
        await asyncio.gather(*(_drain(engine, taken) for engine in [harness.engine, other] * 4))
    assert Counter(taken) == Counter(ids)


@promise("claim.running")
async def test_a_claimed_job_is_running(harness: Harness) -> None:
    await build.submit(harness, new_job(timeout=seconds(45), payload=b"\x00bytes"))
    (queued,) = (await harness.engine.find(JobQuery())).jobs
    harness.advance(7)
    claimed = await build.claim(harness)
    (lease,) = claimed.leases
    now = harness.clock.now()
    assert lease.job == steps.claimed(queued, now) == await build.job(harness, queued.id)
    assert (lease.job.status, lease.job.counters.runs, lease.job.attempts) == (Status.RUNNING, 1, 1)
    assert (lease.job.started_at, lease.job.timeout_at) == (now, now + seconds(45))
    assert (lease.payload, lease.owner, lease.expires_at) == (b"\x00bytes", WORKER, now + build.LEASE)
    assert claimed.at == now
    assert await build.steps(harness, queued.id) == [Event.SUBMITTED, Event.CLAIMED]


@promise("claim.running")
async def test_the_next_run_starts_afresh_but_keeps_the_error_and_the_count(harness: Harness) -> None:
    first = await build.start(harness, timeout=seconds(45))
    await harness.engine.renew([Beat(first.job.id, first.token, Progress(fraction=0.5, message="half"))], build.LEASE)
    harness.advance(20)
    await build.end(harness, first, Retry(delay=seconds(0), failure=build.failure()))
    harness.advance(5)
    second = await build.claim_one(harness)
    now = harness.clock.now()
    assert (second.job.counters.runs, second.job.progress, second.job.error) == (2, None, build.failure())
    assert (second.job.started_at, second.job.timeout_at) == (now, now + seconds(45))
    last = (await harness.engine.history(first.job.id))[-1]
    assert (last.event, last.run, last.at) == (Event.CLAIMED, 2, now)
    assert second.token != first.token


@promise("claim.running")
async def test_every_lease_has_a_token_of_its_own(harness: Harness) -> None:
    await build.submit(harness, *(new_job() for _ in range(15)))
    leases = [*(await build.claim(harness, limit=12)).leases, *(await build.claim(harness)).leases]
    assert len({lease.token for lease in leases}) == 15


@promise("claim.limit")
async def test_a_claim_takes_no_more_than_its_limit_over_all_lines_and_queues(harness: Harness) -> None:
    places = [build.lane(upstream, queue=queue) for queue in ("high", "default") for upstream in (None, "llm")]
    await build.submit(harness, *(new_job(lane=place, type=kind) for place in places for kind in "ab" for _ in "123"))
    wanted = build.turns("high", "default", quota=4)
    claims = [await build.claimed_ids(harness, turns=wanted, types=frozenset("ab"), limit=5) for _ in range(6)]
    assert [len(taken) for taken in claims] == [5, 5, 5, 5, 4, 0]


@promise("claim.limit")
async def test_a_limit_of_0_takes_none(harness: Harness) -> None:
    job_id = await build.submit_one(harness)
    assert (await build.claim(harness, limit=0)).leases == ()
    assert (await build.job(harness, job_id)).status is Status.QUEUED
    assert await build.claimed_ids(harness, limit=1) == [job_id]


@promise("claim.types")
async def test_jobs_of_other_types_stay_queued_and_are_in_nobodys_way(harness: Harness) -> None:
    others = await build.submit(harness, *(new_job(type="other", priority=9) for _ in range(30)))
    mine = await build.submit(harness, new_job(), new_job(type="worker"), new_job())
    assert await build.claimed_ids(harness, limit=1) == mine[:1]
    assert await build.claimed_ids(harness, limit=10) == mine[2:]
    assert await build.claimed_ids(harness, types=frozenset()) == []
    assert {(await build.job(harness, job_id)).status for job_id in others} == {Status.QUEUED}
    assert await build.claimed_ids(harness, types=frozenset({"other"})) == others


@promise("claim.nonce")
async def test_the_same_nonce_gives_the_same_leases_and_no_other_job(harness: Harness) -> None:
    await build.submit(harness, *(new_job(user_id=f"u{n}") for n in range(15)))
    nonce = build.nonce()
    first = await build.claim(harness, nonce, limit=12)
    harness.clock.advance(build.LEASE - seconds(0.001))
    again = await build.claim(harness, nonce, limit=12)
    assert again.leases == first.leases
    assert {lease.job.counters.runs for lease in again.leases} == {1}
    assert await build.steps(harness, first.leases[0].job.id) == [Event.SUBMITTED, Event.CLAIMED]
    assert len(await build.claimed_ids(harness)) == 3


@promise("claim.nonce")
async def test_a_repeated_claim_leaves_out_what_is_no_longer_held_and_takes_nothing_instead(harness: Harness) -> None:
    await build.submit(harness, *(new_job() for _ in range(6)))
    nonce = build.nonce()
    done, retried, reclaimed, kept = (await build.claim(harness, nonce, limit=4)).leases
    await build.end(harness, done, Succeed())
    await build.end(harness, retried, Retry(delay=seconds(0), failure=build.failure()))
    await build.reclaim(harness, dead=(WORKER,), keep=frozenset({kept.token}))
    assert (await build.claim(harness, nonce, limit=4)).leases == (kept,)
    await build.end(harness, kept, Succeed())
    assert (await build.claim(harness, nonce, limit=4)).leases == ()
    assert (await build.job(harness, retried.job.id)).status is Status.QUEUED
    assert (await build.job(harness, reclaimed.job.id)).status is Status.RUNNING


@promise("claim.nonce")
async def test_a_repeated_claim_leaves_out_a_job_that_another_claim_leased_since(harness: Harness) -> None:
    await build.submit(harness, new_job(), new_job())
    nonce = build.nonce()
    first, kept = (await build.claim(harness, nonce)).leases
    await build.end(harness, first, Defer(delay=seconds(0), refund=Refund.INTERRUPTION))
    newer = await build.claim_one(harness)
    assert newer.job.id == first.job.id
    assert (await build.claim(harness, nonce)).leases == (kept,)


@promise("claim.nonce")
async def test_a_claim_with_a_long_lease_may_be_repeated_for_as_long(harness: Harness) -> None:
    await build.submit(harness, new_job(), new_job())
    nonce, hours = build.nonce(), seconds(7_200)
    first = await build.claim(harness, nonce, limit=1, lease_for=hours)
    harness.clock.advance(hours - seconds(1))
    await harness.engine.prune(10)
    assert (await build.claim(harness, nonce, limit=1, lease_for=hours)).leases == first.leases
    await build.end(harness, first.leases[0], Succeed())
    assert (await build.claim(harness, nonce, limit=1, lease_for=hours)).leases == ()
