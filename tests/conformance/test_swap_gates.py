"""The gates that documents imply."""

from dataclasses import replace

import pytest

from tests.conformance.build import (
    claim_one,
    claimed_ids,
    lane,
    new_job,
    seconds,
    set_gates,
    settle,
    submit,
    submit_one,
    turns,
)
from tests.conformance.harness import Harness
from tests.conformance.papers import load, put, write
from tests.conformance.promises import promise
from tidegate.core.job import JobId, Succeed
from tidegate.core.verbs import Gate, Pace
from tidegate.errors import InvalidInput


@promise("swap.gates")
async def test_a_closed_gate_holds_from_the_next_claim_to_its_instant(harness: Harness) -> None:
    waiting = await submit_one(harness, lane=lane("a"))
    await put(harness, "a", b"1", Gate(name="upstream:a", not_before=harness.clock.now() + seconds(10)))
    harness.advance(9.999999)
    assert await claimed_ids(harness) == []
    harness.advance(0.000001)
    assert await claimed_ids(harness) == [waiting]


@promise("swap.gates")
async def test_a_document_sets_all_its_gates_and_drops_those_it_names_no_more(harness: Harness) -> None:
    opens_at = harness.clock.now() + seconds(60)
    names = ("upstream:a", "upstream:b", "queue:high")
    a, b, high = await submit(
        harness, *(new_job(lane=where) for where in (lane("a"), lane("b"), lane("c", queue="high")))
    )
    await put(harness, "all", b"1", *(Gate(name=name, not_before=opens_at) for name in names))
    assert await _claimed_anywhere(harness) == set()
    await put(harness, "all", b"2", Gate(name="upstream:b", not_before=opens_at))
    assert await _claimed_anywhere(harness) == {a, high}
    await put(harness, "all", b"3")
    assert await _claimed_anywhere(harness) == {b}


async def _claimed_anywhere(harness: Harness) -> set[JobId]:
    return set(await claimed_ids(harness, turns=turns("default", "high")))


@promise("swap.gates")
async def test_another_document_s_gates_are_left_alone(harness: Harness) -> None:
    await put(harness, "a", b"1", Gate(name="upstream:a", not_before=harness.clock.now() + seconds(60)))
    await put(harness, "b", b"1", Gate(name="upstream:b", limit=3))
    await put(harness, "b", None)
    await put(harness, "a", b"1", Gate(name="other"), kind="queue")
    await submit_one(harness, lane=lane("a"))
    assert await claimed_ids(harness) == []


@promise("swap.gates")
async def test_a_higher_era_starts_its_count_at_0(harness: Harness) -> None:
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(9)))
    await set_gates(harness, Gate(name="upstream:a", limit=2, era=4))
    old = [await claim_one(harness), await claim_one(harness)]
    assert await claimed_ids(harness) == []
    await set_gates(harness, Gate(name="upstream:a", limit=1, era=5))
    new = await claim_one(harness)
    assert await claimed_ids(harness) == []
    for lease in old:
        await settle(harness, lease, Succeed())
    assert await claimed_ids(harness) == []
    await settle(harness, new, Succeed())
    assert len(await claimed_ids(harness)) == 1


@promise("swap.gates")
async def test_a_limit_changes_within_an_era_without_losing_its_count(harness: Harness) -> None:
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(9)))
    await set_gates(harness, Gate(name="upstream:a", limit=3))
    assert len(await claimed_ids(harness)) == 3
    await set_gates(harness, Gate(name="upstream:a", limit=2))
    assert await claimed_ids(harness) == []
    await set_gates(harness, Gate(name="upstream:a", limit=5))
    assert len(await claimed_ids(harness)) == 2


@promise("swap.gates")
async def test_a_limit_where_there_was_none_needs_a_higher_era(harness: Harness) -> None:
    stored = await put(harness, "a", b"1", Gate(name="upstream:a", era=2))
    for era in (0, 1, 2):
        swap = write("a", b"2", stored.version, Gate(name="upstream:a", limit=1, era=era))
        with pytest.raises(InvalidInput):
            await harness.engine.swap(swap)
    assert await load(harness, "a") == stored
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(3)))
    assert len(await claimed_ids(harness, limit=2)) == 2
    await put(harness, "a", b"2", Gate(name="upstream:a", limit=1, era=3))
    assert len(await claimed_ids(harness)) == 1


@promise("swap.gates")
async def test_one_gate_refused_refuses_the_whole_swap(harness: Harness) -> None:
    stored = await put(harness, "a", b"1", Gate(name="upstream:a"))
    closed = Gate(name="upstream:b", not_before=harness.clock.now() + seconds(60))
    with pytest.raises(InvalidInput):
        await harness.engine.swap(write("a", b"2", stored.version, closed, Gate(name="upstream:a", limit=1)))
    assert await load(harness, "a") == stored
    waiting = await submit_one(harness, lane=lane("b"))
    assert await claimed_ids(harness) == [waiting]


@promise("swap.gates")
async def test_the_last_slot_of_a_pace_outlives_swaps(harness: Harness) -> None:
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(4)))
    gate = Gate(name="upstream:a", pace=Pace(period=seconds(10)))
    await set_gates(harness, gate)
    assert len(await claimed_ids(harness)) == 1
    await set_gates(harness, replace(gate, era=1))
    assert await claimed_ids(harness) == []
    harness.advance(9.999999)
    assert await claimed_ids(harness) == []
    harness.advance(0.000001)
    assert len(await claimed_ids(harness)) == 1
