"""Clauses of `JobQueue.claim`: whose turn it is between queues, lines and upstreams."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import TypedDict

import pytest

from tests.conformance import build
from tests.conformance.build import SpecChanges, new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.fairness import Turn
from tidegate.core.job import Lane, NewJob
from tidegate.core.verbs import Gate

LLM, OCR = build.lane("llm"), build.lane("ocr")


def _turn(queue: str, quota: int) -> Turn:
    return Turn(queue=queue, quota=quota)


def _in(queue: str, count: int) -> list[NewJob]:
    return [new_job(lane=Lane(queue=queue)) for _ in range(count)]


def _at(lane: Lane, count: int) -> list[NewJob]:
    return [new_job(lane=lane) for _ in range(count)]


async def _queues(harness: Harness, limit: int, *turns: Turn) -> list[str]:
    claimed = await build.claim(harness, limit=limit, turns=turns)
    return [lease.job.lane.queue for lease in claimed.leases]


class Claiming(TypedDict, total=False):
    """What the clauses on lanes change of a claim."""

    types: frozenset[str]
    limit: int
    share: int | None
    held: Mapping[str, int]


async def _lanes(harness: Harness, claim: Claiming) -> list[Lane]:
    return [lease.job.lane for lease in (await build.claim(harness, **claim)).leases]


async def _rotation(harness: Harness, count: int) -> list[Lane]:
    """The lanes that so many claims of one job each take from."""
    return [lane for _ in range(count) for lane in await _lanes(harness, {"limit": 1})]


# weights and queues ----------------------------------------------------------------------------------------


@promise("claim.weights")
@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, ["a"]),
        (4, ["a", "a", "a", "b"]),
        (5, ["a", "a", "a", "b", "b"]),
        (8, ["a", "a", "a", "b", "b", "a", "a", "a"]),
        (14, ["a", "a", "a", "b", "b", "a", "a", "a", "a", "a", "b", "b", "b", "b"]),
    ],
)
async def test_each_queue_gives_its_quota_and_then_they_fill_in_the_same_order(
    harness: Harness, limit: int, expected: list[str]
) -> None:
    await build.submit(harness, *_in("b", 6), *_in("a", 8))
    assert await _queues(harness, limit, _turn("a", 3), _turn("b", 2)) == expected


@promise("claim.weights")
async def test_the_turns_say_the_order_of_the_queues(harness: Harness) -> None:
    await build.submit(harness, *_in("a", 6), *_in("b", 6))
    assert await _queues(harness, 5, _turn("b", 1), _turn("a", 2)) == ["b", "a", "a", "b", "b"]


@promise("claim.weights")
async def test_a_queue_without_quota_fills_what_the_others_leave(harness: Harness) -> None:
    await build.submit(harness, *_in("a", 2), *_in("c", 3))
    assert await _queues(harness, 4, _turn("c", 0), _turn("a", 3), _turn("b", 3)) == ["a", "a", "c", "c"]


@promise("claim.weights")
async def test_a_quota_is_the_queues_not_its_lanes(harness: Harness) -> None:
    places = [Lane(queue="a", upstream=name) for name in ("llm", "ocr", "tts")]
    await build.submit(harness, *(job for place in places for job in _at(place, 4)), *_in("b", 4))
    assert await _queues(harness, 4, _turn("a", 2), _turn("b", 2)) == ["a", "a", "b", "b"]


@promise("claim.only-queues")
async def test_nothing_is_taken_from_a_queue_without_a_turn(harness: Harness) -> None:
    await build.submit(harness, *_in("low", 2), *_in("default2", 2), *_in("Default", 2), *_in("defaul_", 2))
    claimed = await build.claim(harness)
    assert (claimed.leases, claimed.more) == ((), False)
    assert await _queues(harness, 9) == []
    assert await _queues(harness, 9, _turn("low", 9)) == ["low", "low"]


# lines -----------------------------------------------------------------------------------------------------


@promise("claim.lanes")
async def test_lanes_take_turns_whatever_their_backlogs(harness: Harness) -> None:
    small = [OCR, build.lane("llm", "acme"), build.lane("llm", "other")]
    await build.submit(harness, *_at(LLM, 40), *(job for lane in small for job in _at(lane, 3)))
    order = await _rotation(harness, 12)
    for start in range(0, 12, 4):
        assert set(order[start : start + 4]) == {LLM, *small}
    assert await _rotation(harness, 3) == [LLM] * 3


@promise("claim.lanes")
async def test_types_of_one_lane_take_turns(harness: Harness) -> None:
    both = frozenset({"work", "other"})
    await build.submit(harness, *(new_job() for _ in range(40)), *(new_job(type="other") for _ in range(3)))
    leases = [lease for _ in range(6) for lease in (await build.claim(harness, limit=1, types=both)).leases]
    assert [lease.job.spec.type for lease in leases].count("other") == 3


@promise("claim.lanes")
async def test_the_least_recently_served_line_is_first_also_after_a_batch(harness: Harness) -> None:
    await build.submit(harness, *_at(LLM, 9), *_at(OCR, 9))
    assert len(await _rotation(harness, 1)) == 1
    assert len(await _lanes(harness, {"limit": 6})) == 6
    tts = build.lane("tts")
    await build.submit(harness, *_at(tts, 1))
    assert await _rotation(harness, 1) == [tts], "it was never served"


@promise("claim.lanes")
async def test_a_batch_is_drawn_from_every_lane(harness: Harness) -> None:
    await build.submit(harness, *_at(LLM, 40), *_at(Lane(), 40), *_at(OCR, 1))
    assert Counter(await _lanes(harness, {"limit": 9})) == {LLM: 4, Lane(): 4, OCR: 1}


@promise("claim.lanes")
async def test_a_batch_takes_from_one_lane_what_the_others_do_not_have(harness: Harness) -> None:
    await build.submit(harness, *_at(LLM, 40), *_at(OCR, 2))
    assert Counter(await _lanes(harness, {"limit": 10})) == {LLM: 8, OCR: 2}


# share -----------------------------------------------------------------------------------------------------


@promise("claim.share")
@pytest.mark.parametrize(("share", "held", "expected"), [(2, 0, 2), (2, 1, 1), (2, 2, 0), (2, 7, 0), (0, 0, 0)])
async def test_an_upstream_keeps_to_its_share_while_another_lane_has_jobs(
    harness: Harness, share: int, held: int, expected: int
) -> None:
    await build.submit(harness, *_at(LLM, 20), *_at(Lane(), 20))
    taken = Counter(await _lanes(harness, {"limit": 10, "share": share, "held": {"llm": held, "ocr": 9}}))
    assert (taken[LLM], taken[Lane()]) == (expected, 10 - expected)


@promise("claim.share")
async def test_an_upstream_fills_the_slots_that_nobody_else_wants(harness: Harness) -> None:
    await build.submit(harness, *_at(LLM, 20), *_at(Lane(), 3))
    taken = Counter(await _lanes(harness, {"limit": 10, "share": 2, "held": {"llm": 1}}))
    assert (taken[LLM], taken[Lane()]) == (7, 3)


@promise("claim.share")
async def test_a_share_counts_all_lanes_and_queues_of_an_upstream(harness: Harness) -> None:
    wide = [LLM, build.lane("llm", "acme"), build.lane("llm", queue="high")]
    await build.submit(harness, *(job for lane in wide for job in _at(lane, 9)), *_at(Lane(), 20))
    for limit in (3, 6):
        claimed = await build.claim(harness, limit=limit, share=2, turns=build.turns("high", "default", quota=1))
        assert [lease.job.lane.upstream for lease in claimed.leases].count("llm") == 2


@promise("claim.share")
@pytest.mark.parametrize("quota", [0, 1, 9])
async def test_an_upstream_keeps_to_its_share_also_where_queues_fill_what_is_left(harness: Harness, quota: int) -> None:
    await build.submit(harness, *_at(build.lane("llm", queue="high"), 20), *_at(Lane(), 20))
    claimed = await build.claim(harness, limit=10, share=2, turns=build.turns("high", "default", quota=quota))
    assert [lease.job.lane.upstream for lease in claimed.leases].count("llm") == 2


@promise("claim.share")
async def test_another_upstream_within_its_share_comes_before_one_over_it(harness: Harness) -> None:
    await build.submit(harness, *_at(LLM, 20), *_at(OCR, 2))
    assert Counter(await _lanes(harness, {"limit": 6, "share": 3})) == {LLM: 4, OCR: 2}


@promise("claim.share")
async def test_without_a_share_an_upstream_has_its_turns(harness: Harness) -> None:
    await build.submit(harness, *_at(LLM, 20), *_at(Lane(), 20))
    taken = Counter(await _lanes(harness, {"limit": 10, "held": {"llm": 50}}))
    assert (taken[LLM], taken[Lane()]) == (5, 5)


@promise("claim.share")
@pytest.mark.parametrize(
    ("spec", "delay"),
    [
        ({"type": "other"}, seconds(0)),
        ({"lane": Lane(queue="low")}, seconds(0)),
        ({"lane": build.lane("shut")}, seconds(0)),
        ({}, seconds(60)),
    ],
    ids=["not of its types", "not in its turns", "not admitted", "not due"],
)
async def test_a_lane_that_has_nothing_to_give_holds_no_upstream_to_its_share(
    harness: Harness, spec: SpecChanges, delay: timedelta
) -> None:
    await build.set_gates(harness, Gate(name="upstream:shut", not_before=harness.clock.now() + seconds(60)))
    await build.submit(harness, *_at(LLM, 20), *(new_job(delay=delay, **spec) for _ in range(20)))
    assert await _lanes(harness, {"limit": 10, "share": 2}) == [LLM] * 10
