"""Clauses of `JobQueue.claim`: gates decide what may be taken, and hold up nobody else."""

import asyncio
from datetime import timedelta

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Bury, Lane, Lease, NewJob, Retry, Succeed
from tidegate.core.verbs import Gate, Pace

TICK = timedelta(microseconds=1)
LLM, OCR = build.lane("llm", "acme"), build.lane("ocr", "acme")
"""Two lanes that share the gate of their parent."""


def _at(lane: Lane, count: int) -> list[NewJob]:
    return [new_job(lane=lane) for _ in range(count)]


async def _take(harness: Harness, limit: int = 100) -> list[Lease]:
    return list((await build.claim(harness, limit=limit)).leases)


async def _taken(harness: Harness, limit: int = 100) -> int:
    return len(await _take(harness, limit))


# closed ----------------------------------------------------------------------------------------------------


@promise("claim.gate-closed")
@pytest.mark.parametrize("gate", ["upstream:llm", "upstream:acme", "upstream:root", "queue:default"])
async def test_a_lane_gives_nothing_until_all_its_gates_are_open(harness: Harness, gate: str) -> None:
    await build.set_gates(harness, Gate(name=gate, not_before=harness.clock.now() + seconds(10)))
    await build.submit(harness, *_at(build.lane("llm", "acme", "root"), 3))
    harness.clock.advance(seconds(10) - TICK)
    assert await _taken(harness) == 0
    harness.clock.advance(TICK)
    assert await _taken(harness) == 3


@promise("claim.gate-closed")
async def test_other_lanes_flow_as_if_a_closed_one_were_not_there(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:acme", not_before=harness.clock.now() + seconds(10)))
    shut = [build.lane(f"llm-{n}", "acme") for n in range(30)]
    await build.submit(harness, *(job for lane in shut for job in _at(lane, 3)))
    plain, tts = await build.submit(harness, new_job(), new_job(lane=build.lane("tts")))
    assert [lease.job.id for lease in await _take(harness, 1)] == [plain]
    claimed = await build.claim(harness)
    assert ([lease.job.id for lease in claimed.leases], claimed.more) == ([tts], False)


@promise("claim.gate-closed")
async def test_a_gate_of_another_name_closes_nothing(harness: Harness) -> None:
    later = harness.clock.now() + seconds(10)
    names = ["upstream:llm2", "upstream:ll_", "upstream:LLM", "queue:llm", "llm", "queue:high", "upstream:default"]
    await build.set_gates(harness, *(Gate(name=name, not_before=later) for name in names))
    await build.submit(harness, *_at(LLM, 2), new_job())
    assert await _taken(harness) == 3


@promise("claim.gate-closed")
async def test_a_gate_that_closes_leaves_running_jobs_alone(harness: Harness) -> None:
    lease = await build.start(harness, lane=LLM)
    await build.set_gates(harness, Gate(name="upstream:llm", not_before=harness.clock.now() + seconds(10)))
    await build.end(harness, lease, Succeed())


# limit -----------------------------------------------------------------------------------------------------


@promise("claim.gate-limit")
async def test_running_jobs_never_exceed_a_gates_limit(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", limit=2))
    await build.submit(harness, *_at(LLM, 9), *(new_job(lane=LLM, type="other") for _ in range(3)))
    first, _ = await _take(harness)
    assert len((await build.claim(harness, types=frozenset({"work", "other"}))).leases) == 0
    await build.end(harness, first, Succeed())
    assert await _taken(harness) == 1
    assert await _taken(harness) == 0


@promise("claim.gate-limit")
@pytest.mark.parametrize("limit", [0, 1, 3])
async def test_lanes_that_share_a_gate_share_its_limit_also_within_one_claim(harness: Harness, limit: int) -> None:
    await build.set_gates(harness, Gate(name="upstream:acme", limit=limit))
    await build.submit(harness, *_at(LLM, 9), *_at(OCR, 9), *_at(Lane(), 2))
    taken = [lease.job.lane for lease in await _take(harness)]
    assert (len(taken), taken.count(Lane())) == (limit + 2, 2)
    assert await _taken(harness) == 0


@promise("claim.gate-limit")
async def test_every_gate_of_a_lane_holds(harness: Harness) -> None:
    gates = [Gate(name="upstream:acme", limit=5), Gate(name="upstream:llm", limit=2)]
    await build.set_gates(harness, *gates, Gate(name="queue:default", limit=6))
    await build.submit(harness, *_at(LLM, 9), *_at(OCR, 9), *_at(Lane(), 9))
    taken = [lease.job.lane for lease in [*await _take(harness), *await _take(harness)]]
    assert len(taken) == 6
    assert taken.count(LLM) <= 2
    assert taken.count(LLM) + taken.count(OCR) <= 5


@promise("claim.gate-limit")
async def test_a_limit_holds_over_concurrent_claims(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:acme", limit=5))
    await build.submit(harness, *_at(LLM, 40), *_at(OCR, 40))
    async with harness.other() as other:
        engines = [harness.engine, other] * 8
        answers = await asyncio.gather(*(engine.claim(build.request(limit=3), build.nonce()) for engine in engines))
    assert sum(len(answer.leases) for answer in answers) == 5


@promise("claim.gate-limit")
async def test_a_run_keeps_its_place_until_it_is_settled_whoever_holds_it(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", limit=1))
    await build.submit(harness, *_at(LLM, 2))
    await build.claim_one(harness)
    harness.clock.advance(2 * build.LEASE)
    assert await _taken(harness) == 0
    taken = await build.reclaim_one(harness)
    assert await _taken(harness) == 0
    await build.end(harness, taken.lease, Retry(delay=seconds(99), failure=build.failure()))
    assert await _taken(harness) == 1


@promise("claim.gate-limit")
async def test_a_job_that_waited_too_long_never_had_a_place(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", limit=1))
    await build.submit(harness, new_job(lane=LLM, expires_at=harness.clock.now() + seconds(5)), *_at(LLM, 2))
    harness.advance(5)
    waited = await build.reclaim_one(harness)
    assert await _taken(harness) == 1
    await build.end(harness, waited.lease, Bury(failure=build.failure()))
    assert await _taken(harness) == 0


@promise("claim.gate-limit")
async def test_a_lowered_limit_admits_none_until_enough_have_ended(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", limit=3))
    await build.submit(harness, *_at(LLM, 9))
    leases = await _take(harness)
    await build.set_gates(harness, Gate(name="upstream:llm", limit=1))
    for lease in leases:
        assert await _taken(harness) == 0
        await build.end(harness, lease, Succeed())
    assert await _taken(harness) == 1


# era -------------------------------------------------------------------------------------------------------


@promise("claim.gate-era")
async def test_a_new_era_counts_from_0_and_older_leases_take_and_free_none_of_its_places(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:acme", limit=2, era=1))
    await build.submit(harness, *_at(LLM, 9), *_at(OCR, 9))
    old = await _take(harness)
    await build.set_gates(harness, Gate(name="upstream:acme", limit=2, era=2))
    new = await _take(harness)
    assert (len(old), len(new), await _taken(harness)) == (2, 2, 0)
    await build.end(harness, old[0], Succeed())
    assert await _taken(harness) == 0
    await build.end(harness, new[0], Succeed())
    assert await _taken(harness) == 1


@promise("claim.gate-era")
async def test_a_lease_of_an_older_era_stays_one_in_a_reapers_hands(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", limit=1, era=1))
    await build.submit(harness, *_at(LLM, 3))
    assert await _taken(harness) == 1
    await build.set_gates(harness, Gate(name="upstream:llm", limit=1, era=2))
    harness.clock.advance(build.LEASE)
    taken = await build.reclaim_one(harness)
    assert taken.lease.eras.get("upstream:llm") == 1
    assert (await _taken(harness), await _taken(harness)) == (1, 0)
    await build.end(harness, taken.lease, Retry(delay=seconds(99), failure=build.failure()))
    assert await _taken(harness) == 0


@promise("claim.gate-era")
async def test_a_lease_tells_the_eras_of_its_gates_as_it_was_claimed(harness: Harness) -> None:
    await build.set_gates(harness, Gate(name="upstream:llm", era=3), Gate(name="queue:default", era=1, limit=9))
    await build.set_gates(harness, Gate(name="upstream:acme", era=7), Gate(name="upstream:else", era=5), key="two")
    await build.submit(harness, *_at(LLM, 1))
    nonce = build.nonce()
    (lease,) = (await build.claim(harness, nonce)).leases
    eras = {"upstream:llm": 3, "upstream:acme": 7, "queue:default": 1}
    assert lease.eras == eras
    await build.set_gates(harness, Gate(name="upstream:llm", era=4))
    (again,) = (await build.claim(harness, nonce)).leases
    assert again.eras == eras


# pace ------------------------------------------------------------------------------------------------------


def _paced(burst: int = 1, *, limit: int | None = None) -> Gate:
    return Gate(name="upstream:acme", pace=Pace(period=seconds(2), burst=burst), limit=limit)


@promise("claim.gate-pace")
async def test_starts_come_one_a_period_over_all_claims_and_lanes(harness: Harness) -> None:
    await build.set_gates(harness, _paced())
    await build.submit(harness, *_at(LLM, 9), *_at(OCR, 9), new_job())
    lanes = [lease.job.lane for lease in await _take(harness)]
    assert (len(lanes), lanes.count(Lane())) == (2, 1), "one start, and a lane that has no pace"
    counts = [await _taken(harness)]
    for _ in range(3):
        harness.clock.advance(seconds(2) - TICK)
        counts.append(await _taken(harness))
        harness.clock.advance(TICK)
        counts += [await _taken(harness), await _taken(harness)]
    assert counts == [0, 0, 1, 0, 0, 1, 0, 0, 1, 0]


@promise("claim.gate-pace")
async def test_a_burst_starts_at_once_and_is_saved_up_again_no_further(harness: Harness) -> None:
    await build.set_gates(harness, _paced(burst=3))
    await build.submit(harness, *_at(LLM, 20), *_at(OCR, 20))
    counts = [await _taken(harness, 2), await _taken(harness), await _taken(harness)]
    for pause in (2, 4, 1, 1, 60):
        harness.advance(pause)
        counts += [await _taken(harness), await _taken(harness)]
    assert counts == [2, 1, 0, 1, 0, 2, 0, 0, 0, 1, 0, 3, 0]


@promise("claim.gate-pace")
async def test_a_repeated_claim_starts_nothing_and_uses_up_no_pace(harness: Harness) -> None:
    await build.set_gates(harness, _paced())
    await build.submit(harness, *_at(LLM, 5))
    nonce = build.nonce()
    for _ in range(3):
        assert len((await build.claim(harness, nonce)).leases) == 1
    harness.advance(2)
    assert await _taken(harness) == 1


@promise("claim.gate-pace")
async def test_the_pace_goes_on_over_a_change_of_the_gate(harness: Harness) -> None:
    await build.set_gates(harness, _paced())
    await build.submit(harness, *_at(LLM, 5))
    assert await _taken(harness) == 1
    await build.set_gates(harness, _paced(), Gate(name="upstream:llm"))
    assert await _taken(harness) == 0
    harness.advance(2)
    assert await _taken(harness) == 1


@promise("claim.gate-pace", "claim.gate-limit")
async def test_a_start_that_the_limit_refuses_uses_up_no_pace(harness: Harness) -> None:
    await build.set_gates(harness, _paced(burst=2, limit=1))
    await build.submit(harness, *_at(LLM, 5))
    (lease,) = await _take(harness)
    assert await _taken(harness) == 0
    await build.end(harness, lease, Succeed())
    assert await _taken(harness) == 1


@promise("claim.gate-pace", "claim.wake-at")
async def test_a_clock_set_back_shuts_a_paced_gate_for_no_longer_than_its_burst(harness: Harness) -> None:
    await build.set_gates(harness, _paced(burst=3))
    await build.submit(harness, *_at(LLM, 20))
    harness.advance(86_400)
    assert await _taken(harness, 1) == 1
    harness.advance(-86_390)
    counts = [await _taken(harness)]
    for pause in (2, 2, 1, 1, 60):
        harness.advance(pause)
        counts.append(await _taken(harness))
    assert counts[0] in (0, 2), "a store may go on from the later instant, and give the rest of the burst"
    assert counts[1:] == [1, 1, 0, 1, 3]


@promise("claim.gate-pace", "claim.wake-at")
async def test_a_faster_pace_holds_as_soon_as_the_gate_has_it(harness: Harness) -> None:
    slow = Gate(name="upstream:acme", pace=Pace(period=seconds(3_600), burst=3))
    await build.set_gates(harness, slow)
    await build.submit(harness, *_at(LLM, 20))
    assert await _taken(harness) == 3
    await build.set_gates(harness, _paced(burst=3))
    claimed = await build.claim(harness)
    assert (claimed.leases, claimed.wake_at) == ((), harness.clock.now() + seconds(2))
    harness.advance(2)
    assert [await _taken(harness), await _taken(harness)] == [1, 0]
