"""Clauses of `JobQueue.settle`: what goes with an ending: follow-up jobs and places in gates."""

import pytest

from tests.conformance import build
from tests.conformance.build import WORKER, new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import (
    Bury,
    Cancel,
    Defer,
    Ending,
    Lease,
    NewJob,
    Refund,
    Retry,
    Settlement,
    Status,
    Succeed,
)
from tidegate.core.query import Event
from tidegate.core.verbs import Gate, Settled
from tidegate.errors import InvalidInput

APPLIED, CANCELLING, LOST = Settled.APPLIED, Settled.CANCELLING, Settled.LOST
AGAIN = Retry(delay=seconds(0), failure=build.failure())
LATER = Retry(delay=seconds(99), failure=build.failure())
DEFER = Defer(delay=seconds(99), refund=Refund.CRASH)
BURY = Bury(failure=build.failure())
KINDS: list[Settlement] = [Succeed(result=b"r"), LATER, DEFER, BURY, Cancel()]


async def _exists(harness: Harness, *jobs: NewJob) -> list[bool]:
    return [job is not None for job in await harness.engine.get([new.id for new in jobs])]


# follow-ups ------------------------------------------------------------------------------------------------


@promise("settle.then")
@pytest.mark.parametrize("settlement", KINDS)
async def test_follow_ups_are_accepted_like_any_job(harness: Harness, settlement: Settlement) -> None:
    lease = await build.start(harness)
    harness.advance(5)
    now, later = new_job(payload=b"now", user_id="bob"), new_job(delay=seconds(9), lane=build.lane("llm", queue="low"))
    await build.end(harness, lease, settlement, now, later)
    found = await build.job(harness, later.id)
    assert (found.spec, found.run_at) == (later.spec, harness.clock.now() + seconds(9))
    assert await build.steps(harness, later.id) == [Event.SUBMITTED]
    (next_lease,) = (await build.claim(harness)).leases
    assert (next_lease.job.id, next_lease.payload) == (now.id, b"now")
    harness.advance(9)
    assert await build.claimed_ids(harness, turns=build.turns("low")) == [later.id]


@promise("settle.then")
async def test_a_follow_up_runs_once_however_often_its_ending_is_repeated(harness: Harness) -> None:
    lease, follow_up = await build.start(harness), new_job()
    for _ in range(3):
        assert await build.settle(harness, lease, Succeed(), follow_up) is APPLIED
        for next_lease in (await build.claim(harness)).leases:
            await build.end(harness, next_lease, Succeed())
    entries = await build.steps(harness, follow_up.id)
    assert entries == [Event.SUBMITTED, Event.CLAIMED, Event.SUCCEEDED]


@promise("settle.then")
async def test_a_follow_up_with_a_key_is_refused_and_nothing_of_the_batch_is_applied(harness: Harness) -> None:
    await build.submit(harness, new_job(), new_job())
    first, second = (await build.claim(harness)).leases
    then = (new_job(), new_job(idempotency_key="k"))
    endings = [
        Ending(job_id=first.job.id, token=first.token, settlement=Succeed(), then=(new_job(),)),
        Ending(job_id=second.job.id, token=second.token, settlement=Succeed(), then=then),
    ]
    with pytest.raises(InvalidInput, match="idempotency key"):
        await harness.engine.settle(endings)
    statuses = [(await build.job(harness, lease.job.id)).status for lease in (first, second)]
    assert statuses == [Status.RUNNING] * 2
    assert await _exists(harness, *endings[0].then, *then) == [False] * 3


# gates -----------------------------------------------------------------------------------------------------

LLM = build.lane("llm")


async def _crowded(harness: Harness, limit: int) -> list[Lease]:
    """A gate at its limit, its runs, and ten more jobs that wait for it."""
    await build.set_gates(harness, Gate(name="upstream:llm", limit=limit))
    await build.submit(harness, *(new_job(lane=LLM) for _ in range(limit + 10)))
    leases = list((await build.claim(harness)).leases)
    assert len(leases) == limit
    return leases


async def _places(harness: Harness) -> int:
    """How many more runs the gate admits now; they start."""
    return len((await build.claim(harness)).leases)


@promise("settle.release")
@pytest.mark.parametrize("reclaimed", [True, False])
@pytest.mark.parametrize("settlement", KINDS)
async def test_every_kind_of_ending_frees_one_place(harness: Harness, settlement: Settlement, reclaimed: bool) -> None:
    (lease,) = await _crowded(harness, 1)
    if reclaimed:
        lease = (await build.reclaim_one(harness, dead=(WORKER,))).lease
    await build.end(harness, lease, settlement)
    assert (await _places(harness), await _places(harness)) == (1, 0)


@promise("settle.release")
async def test_a_repeated_or_refused_ending_frees_no_place(harness: Harness) -> None:
    first, second = await _crowded(harness, 2)
    await build.end(harness, first, Succeed())
    assert await _places(harness) == 1
    assert await build.settle(harness, first, Succeed()) is APPLIED
    await build.cancel(harness, second.job.id)
    assert await build.settle(harness, second, Succeed()) is CANCELLING
    ending = Ending(job_id=second.job.id, token=first.token, settlement=Cancel())
    assert await harness.engine.settle([ending]) == [LOST]
    assert await _places(harness) == 0
    await build.end(harness, second, Cancel())
    assert await _places(harness) == 1


@promise("settle.release")
async def test_a_job_that_moves_frees_its_place_in_the_lane_it_leaves_and_none_in_the_other(harness: Harness) -> None:
    ocr = build.lane("ocr")
    await build.set_gates(harness, Gate(name="upstream:ocr", limit=1), key="two")
    (lease,) = await _crowded(harness, 1)
    await build.submit(harness, new_job(lane=ocr))
    assert await _places(harness) == 1
    await build.end(harness, lease, Defer(delay=seconds(0), refund=Refund.UPSTREAM_FAULT, lane=ocr))
    claimed = await build.claim(harness)
    assert [one.job.lane.upstream for one in claimed.leases] == ["llm"]


@promise("settle.release")
async def test_a_cancel_in_the_queue_frees_no_place(harness: Harness) -> None:
    await _crowded(harness, 1)
    waiting = await build.submit_one(harness, lane=LLM)
    await build.cancel(harness, waiting)
    assert await _places(harness) == 0
