"""Many tasks and threads at one store: what must hold whoever comes first."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from tests.conformance.build import (
    LEASE,
    REAPER,
    cancel,
    claim,
    claimed_ids,
    failure,
    finish,
    job,
    lane,
    new_job,
    nonce,
    reclaim,
    reclaim_request,
    request,
    seconds,
    set_gates,
    settle,
    start,
    steps,
    submit,
)
from tests.conformance.crowd import Work, in_both, on_threads
from tests.conformance.fleet import Fleet
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import (
    Bury,
    Cancel,
    Ending,
    JobId,
    Lane,
    Lease,
    NewJob,
    Owner,
    Retry,
    Settlement,
    Status,
    Succeed,
)
from tidegate.core.query import Event
from tidegate.core.verbs import Gate, Pace, Receipt, Revival, Settled, Submission, Swap, Swapped, Take


@promise("submit.race")
async def test_64_twins_with_one_key_are_one_job(harness: Harness) -> None:
    async def twin() -> Receipt:
        (receipt,) = await harness.engine.submit([new_job(idempotency_key="once")])
        return receipt

    receipts = await in_both(8, 8, twin)
    assert Counter(receipt.submission for receipt in receipts) == {Submission.CREATED: 1, Submission.REPLAYED: 63}
    (only,) = {receipt.job_id for receipt in receipts}
    assert [lease.job.id for lease in (await claim(harness)).leases] == [only]


@promise("submit.race")
async def test_twins_with_one_id_are_one_job(harness: Harness) -> None:
    twins = new_job()
    other = replace(twins, spec=replace(twins.spec, fingerprint="f-2"))

    async def submitted(new: NewJob) -> Submission:
        (receipt,) = await harness.engine.submit([new])
        return receipt.submission

    answers = await on_threads([partial(submitted, new) for new in (twins, other) * 4])
    won = await job(harness, twins.id)
    same, different = answers[::2], answers[1::2]
    winners, losers = (same, different) if won.spec == twins.spec else (different, same)
    assert Counter(winners) == {Submission.CREATED: 1, Submission.REPLAYED: 3}
    assert set(losers) == {Submission.CONFLICT}
    assert await steps(harness, twins.id) == [Event.SUBMITTED]


@promise("claim.exclusive", "claim.limit")
async def test_racing_claims_share_the_jobs_without_overlap(harness: Harness) -> None:
    jobs = await submit(harness, *(new_job(lane=lane("ab"[n % 2]), user_id=str(n % 5)) for n in range(240)))

    async def worker() -> list[Lease]:
        mine: list[Lease] = []
        while leases := (await claim(harness, limit=7)).leases:
            assert len(leases) <= 7
            mine += leases
            await asyncio.sleep(0)
        return mine

    leases = [lease for mine in await in_both(4, 3, worker) for lease in mine]
    assert sorted(lease.job.id for lease in leases) == sorted(jobs)
    assert len({lease.token for lease in leases}) == 240
    assert {lease.job.counters.runs for lease in leases} == {1}


@promise("claim.gate-limit")
@pytest.mark.parametrize(
    ("gate", "lanes"), [("upstream:a", [lane("a")]), ("upstream:p", [lane("a", "p"), lane("b", "p")])]
)
async def test_20_claims_that_race_for_one_place_get_one_lease(
    harness: Harness, gate: str, lanes: Sequence[Lane]
) -> None:
    await submit(harness, *(new_job(lane=lanes[n % len(lanes)]) for n in range(30)))
    await set_gates(harness, Gate(name=gate, limit=1))

    async def taken() -> tuple[Lease, ...]:
        return (await claim(harness)).leases

    for _ in range(3):
        (only,) = [lease for leases in await in_both(5, 4, taken) for lease in leases]
        assert await settle(harness, only, Succeed()) is Settled.APPLIED


@promise("claim.gate-pace")
async def test_racing_claims_keep_the_pace_together(harness: Harness) -> None:
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(30)))
    await set_gates(harness, Gate(name="upstream:a", pace=Pace(period=seconds(1), burst=3)))

    async def taken() -> int:
        return len((await claim(harness, limit=2)).leases)

    assert sum(await in_both(5, 4, taken)) == 3
    harness.advance(2)
    assert sum(await in_both(5, 4, taken)) == 2


@promise("claim.nonce")
async def test_one_claim_repeated_by_many_at_once_is_one_claim(harness: Harness) -> None:
    await submit(harness, *(new_job() for _ in range(9)))
    asked = nonce()

    async def taken() -> list[tuple[JobId, str]]:
        leases = (await harness.engine.claim(request(limit=3), asked)).leases
        return [(lease.job.id, lease.token) for lease in leases]

    first, *others = await in_both(4, 4, taken)
    assert others == [first] * 15
    assert len(first) == 3
    assert len((await claim(harness)).leases) == 6


@promise("settle.repeat", "settle.then")
async def test_one_ending_told_by_many_at_once_is_one_ending(harness: Harness) -> None:
    lease, follow_up = await start(harness), new_job()
    ending = Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed(result=b"1"), then=(follow_up,))

    async def ended() -> Settled:
        (answer,) = await harness.engine.settle([ending])
        return answer

    assert set(await in_both(4, 4, ended)) == {Settled.APPLIED}
    assert await steps(harness, lease.job.id) == [Event.SUBMITTED, Event.CLAIMED, Event.SUCCEEDED]
    assert await steps(harness, follow_up.id) == [Event.SUBMITTED]


@promise("settle.fenced", "reclaim.fences")
async def test_of_endings_that_race_the_first_stays(harness: Harness) -> None:
    endings: list[Settlement] = [Succeed(), Bury(failure=failure()), Retry(delay=seconds(60), failure=failure())]
    ends = {Event.SUCCEEDED: Status.SUCCEEDED, Event.FAILED: Status.FAILED, Event.RETRIED: Status.QUEUED}
    for _ in range(5):
        lease = await start(harness)
        works = [partial(settle, harness, lease, ending) for ending in endings * 2]
        assert set(await on_threads(works)) == {Settled.APPLIED}
        *_, last = taken = await steps(harness, lease.job.id)
        assert len(taken) == 3
        assert (await job(harness, lease.job.id)).status is ends[last]


@promise("settle.cancelling", "cancel.running", "cancel.finished")
async def test_a_cancel_that_races_an_ending_comes_before_it_or_after_it(harness: Harness) -> None:
    for _ in range(8):
        lease = await start(harness)
        works: list[Work[object]] = [partial(settle, harness, lease, Succeed()), partial(cancel, harness, lease.job.id)]
        settled, cancelled = await on_threads(works)
        assert (settled, cancelled) in (("applied", ["finished"]), ("cancelling", ["requested"]))
        if settled is Settled.CANCELLING:
            assert await settle(harness, lease, Cancel()) is Settled.APPLIED


@promise("reclaim.expired", "reclaim.fences", "reclaim.former")
async def test_racing_reapers_share_the_lost_leases_without_overlap(harness: Harness) -> None:
    await submit(harness, *(new_job() for _ in range(60)))
    old = (await claim(harness)).leases
    harness.advance(LEASE.total_seconds())

    async def reaper() -> list[Lease]:
        return [taken.lease for taken in await reclaim(harness, limit=7)]

    leases = [lease for mine in await in_both(4, 3, reaper) for lease in mine]
    assert sorted(lease.job.id for lease in leases) == sorted(lease.job.id for lease in old)
    assert not {lease.token for lease in leases} & {lease.token for lease in old}
    assert await harness.engine.holders() == [REAPER]


@promise("reclaim.nonce")
async def test_one_reclaim_repeated_by_many_at_once_is_one_reclaim(harness: Harness) -> None:
    await submit(harness, *(new_job() for _ in range(9)))
    await claim(harness)
    harness.advance(LEASE.total_seconds())
    asked = nonce()

    async def taken() -> list[str]:
        return [one.lease.token for one in await harness.engine.reclaim(reclaim_request(limit=4), asked)]

    first, *others = await in_both(4, 3, taken)
    assert (len(first), others) == (4, [first] * 11)


@promise("cancel.queued", "claim.exclusive")
async def test_a_cancel_that_races_a_claim_ends_the_job_or_asks_its_worker(harness: Harness) -> None:
    for _ in range(8):
        (queued,) = await submit(harness, new_job())
        works: list[Work[object]] = [partial(claimed_ids, harness), partial(cancel, harness, queued)]
        taken, cancelled = await on_threads(works)
        assert (taken, cancelled) in (([queued], ["requested"]), ([], ["cancelled"]))
        assert (await job(harness, queued)).status is (Status.RUNNING if taken else Status.CANCELLED)


@promise("revive.illegal", "revive.nonce")
async def test_of_wishes_to_revive_that_race_one_does_it(harness: Harness) -> None:
    failed = await finish(harness, Bury(failure=failure()))

    async def revived() -> Revival:
        (answer,) = await harness.engine.revive([failed], nonce())
        return answer

    assert Counter(await in_both(4, 4, revived)) == {Revival.REVIVED: 1, Revival.ILLEGAL: 15}
    assert (await steps(harness, failed)).count(Event.REVIVED) == 1


@promise("prune.due")
async def test_racing_prunes_forget_each_job_once(harness: Harness) -> None:
    ended = [await finish(harness) for _ in range(40)]
    harness.advance(timedelta(days=1).total_seconds())
    pruned = await in_both(4, 4, lambda: harness.engine.prune(7))
    assert sorted(job_id for some in pruned for job_id in some) == sorted(ended)


@promise("swap.once")
async def test_swaps_that_race_over_threads_have_one_winner(harness: Harness) -> None:
    async def swapped() -> Swapped:
        swap = Swap(kind="upstream", key="a", value=nonce().encode(), expected=0, nonce=nonce())
        return await harness.engine.swap(swap)

    answers = await in_both(4, 4, swapped)
    (winner,) = [answer.document for answer in answers if answer.won]
    assert {answer.document for answer in answers} == {winner}


@promise("take.exact")
async def test_takes_that_race_over_threads_never_get_more_than_the_limit(harness: Harness) -> None:
    async def taken() -> bool:
        takes = [Take(key=key, n=1, limit=limit, window=seconds(60)) for key, limit in (("a", 11), ("b", 13))]
        return all(answer.granted for answer in await harness.engine.take(takes, nonce()))

    assert sum(await in_both(4, 6, taken)) == 11


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_fleet_with_crashes_cancels_and_reapers_ends_every_job_once(harness: Harness, seed: int) -> None:
    fleet = Fleet(harness, seed)
    await fleet.launch(jobs=60, workers=[Owner(f"w-{number}") for number in range(6)])
    await fleet.check()
