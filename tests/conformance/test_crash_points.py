"""Before and after every call to the store something breaks; the job ends once all the same."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count, product

import pytest

from tests.conformance.build import new_job, steps
from tests.conformance.faulty import Fault, Faulty, Persistent, Process
from tests.conformance.harness import Harness
from tests.conformance.ledger import ENDS_A_RUN, check_history
from tidegate.core.job import Body, Job, NewJob, Status
from tidegate.core.query import Event
from tidegate.core.verbs import Settled
from tidegate.errors import EngineUnavailable

PAIRS = {"memory": 1}
"""Of how many pairs of faults one is tried, by store; of 7 where not said."""


def fresh_job() -> NewJob:
    """A job that no other life of this store works on."""
    job = new_job()
    return new_job(job_id=job.id, type=f"type-{job.id}", idempotency_key=job.id)


@dataclass(frozen=True)
class Life:
    """What became of a job: who worked on it died `deaths` times."""

    job: Job
    deaths: int
    calls: int


Live = Callable[[Harness, dict[int, Fault]], Awaitable[Life]]


async def lived_by_the_rule(harness: Harness, faults: dict[int, Fault]) -> Life:
    """One process does it all, and repeats every call that fails."""
    process = Process(harness, Persistent(harness.engine, faults), fresh_job(), vanishing=1)
    job = await process.live()
    assert set(process.endings) == {Settled.APPLIED}
    return Life(job, 0, process.store.calls)


async def lived_by_many(harness: Harness, faults: dict[int, Fault]) -> Life:
    """A process that can't go on dies with all it knew but the job; another begins anew."""
    store, job = Faulty(harness.engine, faults), fresh_job()
    for deaths in range(len(faults) + 1):
        try:
            return Life(await Process(harness, store, job).live(), deaths, store.calls)
        except EngineUnavailable:
            harness.advance(0.5)
    raise AssertionError("it died more often than the store failed")


async def check_ended_once(harness: Harness, job: Job) -> None:
    """The job succeeded after two attempts, once, and there is one of it."""
    assert job.status is Status.SUCCEEDED
    assert job.attempts == 2
    assert await harness.engine.bodies([job.id]) == [Body(payload=b"{}", result=b"done")]
    check_history(job, await harness.engine.history(job.id))
    taken = await steps(harness, job.id)
    assert [taken.count(event) for event in (Event.SUBMITTED, Event.RETRIED, Event.SUCCEEDED)] == [1, 1, 1]
    assert sum(1 for event in taken if event in ENDS_A_RUN) == job.counters.runs
    (receipt,) = await harness.engine.submit([new_job(type=job.spec.type, idempotency_key=job.id)])
    assert receipt.job_id == job.id


async def every_life(harness: Harness, live: Live, most: int) -> AsyncIterator[tuple[dict[int, Fault], Life]]:
    """A life for every way in which up to `most` of its calls fail; of pairs a part, where each costs an fsync."""
    waiting: list[dict[int, Fault]] = [{}]
    pairs = count()
    for faults in waiting:
        life = await live(harness, faults)
        yield faults, life
        if len(faults) < most:
            later = product(range(max(faults, default=0) + 1, life.calls + 1), Fault)
            longer = ({**faults, call: fault} for call, fault in later)
            waiting += [more for more in longer if len(more) < 2 or next(pairs) % PAIRS.get(harness.name, 7) == 0]


@pytest.mark.parametrize("most", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_who_repeats_every_failed_call_loses_nothing_and_burns_no_attempt(harness: Harness, most: int) -> None:
    undisturbed = (await lived_by_the_rule(harness, {})).calls
    async for faults, life in every_life(harness, lived_by_the_rule, most):
        await check_ended_once(harness, life.job)
        assert (life.job.counters.runs, life.job.counters.crashes) == (3, 1), faults
        assert life.calls == undisturbed + len(faults), faults


@pytest.mark.parametrize("most", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_whoever_dies_at_any_call_is_succeeded_by_another_who_ends_the_job(harness: Harness, most: int) -> None:
    async for faults, life in every_life(harness, lived_by_many, most):
        await check_ended_once(harness, life.job)
        assert life.deaths == len(faults), faults
        assert life.job.counters.runs == 2 + life.job.counters.crashes, faults
        assert life.job.counters.crashes <= life.deaths, faults


@pytest.mark.parametrize("fault", Fault)
async def test_a_client_that_dies_while_it_submits_leaves_the_job_whole_or_not_at_all(
    harness: Harness, fault: Fault
) -> None:
    job = fresh_job()
    with pytest.raises(EngineUnavailable):
        await Process(harness, Faulty(harness.engine, {1: fault}), job).live()
    (found,) = await harness.engine.get([job.id])
    assert (found is not None) is (fault is Fault.AFTER)
    expected = [Body(payload=job.payload)] if found else [None]
    assert await harness.engine.bodies([job.id]) == expected
    assert await steps(harness, job.id) == ([Event.SUBMITTED] if found else [])
