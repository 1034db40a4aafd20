"""The shell around the breaker: what it asks of the store, and what becomes of calls whose store fails them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.upstreams.shells import AT_ONCE, SHARED, Process, Store, claim, fleet, submit
from tests.worker.house import eventually
from tidegate.clock import FakeClock
from tidegate.core.fault import Fault
from tidegate.core.job import Lane
from tidegate.core.rules import API
from tidegate.core.upstream import Override, State
from tidegate.core.verbs import Pace
from tidegate.errors import ConfigError, EngineUnavailable, UpstreamUnavailable
from tidegate.upstreams import Call, Known, Policies, folding
from tidegate.upstreams.board import StoreClock


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> Store:
    return Store(clock)


async def _open(here: Process, name: str = "api") -> None:
    here.fail(name, 6)
    await here.tell(name)
    assert here.state(name) is State.OPEN


def _call(name: str, era: int) -> Call:
    return Call(upstream=name, eras={f"upstream:{name}": era}, job="a-job")


async def test_a_swap_whose_answer_is_lost_counts_no_failure_twice(store: Store, clock: FakeClock) -> None:
    [here] = fleet(store, clock, 1)
    here.fail("api", 3)
    store.lost = 1
    with pytest.raises(EngineUnavailable):
        await here.tell("api")
    await here.tell("api")
    assert len(here.known("api").faults) == 3
    here.fail("api", 2)
    await here.tell("api")
    assert here.state("api") is State.CLOSED


async def test_nor_does_it_where_another_process_was_faster(store: Store, clock: FakeClock) -> None:
    here, there = fleet(store, clock)
    here.fail("api", 3)
    store.lost = 1
    with pytest.raises(EngineUnavailable):
        await here.tell("api")
    there.fail("api", 2)
    await there.tell("api")
    await here.tell("api")
    assert len(here.known("api").faults) == 5
    assert here.state("api") is State.CLOSED


async def test_a_transition_whose_answer_was_lost_is_told_once(store: Store, clock: FakeClock) -> None:
    here, there = fleet(store, clock)
    here.fail("api", 6)
    store.lost = 1
    with pytest.raises(EngineUnavailable):
        await here.tell("api")
    await there.catch_up()
    await here.catch_up()  # as after any claim that tells of a newer document
    await here.tell("api")
    await there.tell("api")
    assert (here.told(State.OPEN), there.told(State.OPEN)) == (1, 0)


async def test_outcomes_of_an_older_era_change_nothing(store: Store, clock: FakeClock) -> None:
    [here] = fleet(store, clock, 1)
    old = here.known("api").era
    await _open(here)
    opened = here.known("api")
    clock.advance(timedelta(seconds=31))
    for _ in range(6):
        here.health.succeeded(_call("api", old), AT_ONCE)
        here.health.failed(_call("api", old), Fault.SERVER_ERROR, AT_ONCE)
    await here.tell("api")
    assert here.known("api") == opened


async def test_calls_are_let_through_and_refused_without_asking_the_store(store: Store, clock: FakeClock) -> None:
    [here] = fleet(store, clock, 1)
    lane = Lane(upstream="api")

    def ask() -> list[bool]:
        answers = []
        for _ in range(100):
            try:
                here.health.admit("api", (), "a-job", {})
                answers.append(here.health.open_until(lane) is None)
            except UpstreamUnavailable:
                answers.append(here.health.open_until(lane) is None)
        return answers

    store.asked.clear()
    assert all(ask())
    assert not store.asked
    await _open(here)
    store.asked.clear()
    assert not any(ask())
    assert not store.asked


async def test_a_store_that_hangs_leaves_the_views_and_is_told_later(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "DEADLINE", timedelta(seconds=0.05))
    [here] = fleet(store, clock, 1)
    keeper = here.health.keeper
    here.fail("api", 1)
    await here.tell("api")
    with store.hanging():
        for _ in range(5):  # one failure after the other, each told to a store that does not answer
            here.fail("api", 1)
            await keeper.catch_up()
        assert here.state("api") is State.CLOSED
    await here.tell("api")
    assert here.state("api") is State.OPEN
    assert here.told(State.OPEN) == 1


async def test_a_probe_that_hangs_gets_company_and_then_opens_again(store: Store, clock: FakeClock) -> None:
    [here] = fleet(store, clock, 1)
    await submit(store, "api", 6)
    await _open(here)
    assert await claim(here) == ()
    clock.advance(timedelta(seconds=31))
    [probe] = await claim(here)
    here.health.began(Call(upstream="api", eras=probe.eras, job=probe.job.id))
    assert await claim(here) == ()
    for _ in range(2):
        clock.advance(timedelta(seconds=5.5))
        await here.tell("api")
        [_] = await claim(here)
    clock.advance(timedelta(seconds=30))
    await here.tell("api")
    assert await claim(here) == ()  # three at most
    assert here.state("api") is State.HALF_OPEN
    clock.advance(timedelta(seconds=25))
    await here.tell("api")
    assert (here.state("api"), here.known("api").why) == (State.OPEN, "its probe hung")


async def test_two_models_that_are_down_close_the_lane_of_their_providers_third(store: Store, clock: FakeClock) -> None:
    here, there = fleet(store, clock, policies=SHARED)
    parents = SHARED.parents("third")
    await submit(store, "third", 1, parents)
    here.fail("small", 3)
    there.fail("large", 3)
    await here.tell("small", "account", "provider")
    await there.tell("large", "account", "provider")
    assert there.state("provider") is State.OPEN
    assert [there.state(name) for name in ("small", "large", "third")] == [State.CLOSED] * 3
    assert await claim(here) == ()
    await here.catch_up()
    with pytest.raises(UpstreamUnavailable):
        here.health.admit("third", parents, "a-job", {})
    assert here.health.open_until(Lane(upstream="third", parents=parents)) is not None


async def test_one_model_that_is_down_leaves_its_provider_open_to_others(store: Store, clock: FakeClock) -> None:
    [here] = fleet(store, clock, 1, SHARED)
    parents = SHARED.parents("third")
    await submit(store, "third", 1, parents)
    here.fail("small", 9)
    await here.tell("small", "account", "provider")
    assert (here.state("small"), here.state("provider")) == (State.OPEN, State.CLOSED)
    assert len(await claim(here)) == 1


async def test_a_quota_used_up_on_one_model_blocks_the_account(store: Store, clock: FakeClock) -> None:
    here, there = fleet(store, clock, policies=SHARED)
    await submit(store, "large", 1, SHARED.parents("large"))
    here.fail("small", 1, Fault.QUOTA)
    await here.tell("small", "account", "provider")
    await there.catch_up()
    assert there.known("account").block is Fault.QUOTA
    assert [there.state(name) for name in ("small", "provider")] == [State.CLOSED] * 2
    assert await claim(there) == ()
    clock.advance(timedelta(minutes=10, seconds=1))
    assert len(await claim(there)) == 1


@pytest.mark.parametrize("knows", [True, False])
async def test_a_store_that_forgot_the_newest_writes_is_believed(store: Store, clock: FakeClock, knows: bool) -> None:
    here, there = fleet(store, clock)
    await submit(store, "api", 3)
    if knows:
        here.fail("api", 1)
        await here.tell("api")
    copy = store.copy()
    await _open(here)
    await there.catch_up()
    store.fail_over(copy)
    [lease, *_] = await claim(here)
    await here.catch_up()
    await claim(there, 0)
    await there.tell("api")
    assert [each.state("api") for each in (here, there)] == [State.CLOSED] * 2
    here.fail("api", 6)
    await here.tell("api")
    assert here.state("api") is State.OPEN
    here.health.succeeded(_call("api", lease.eras.get("upstream:api", 0)), AT_ONCE)
    await here.tell("api")
    assert here.state("api") is State.OPEN


async def test_a_swap_on_a_store_that_forgot_is_made_on_what_it_has(store: Store, clock: FakeClock) -> None:
    [here] = fleet(store, clock, 1)
    here.fail("api", 1)
    await here.tell("api")
    copy = store.copy()
    here.fail("api", 2)
    await here.tell("api")
    store.fail_over(copy)
    here.fail("api", 3)
    await here.health.keeper.catch_up()  # without reading first
    assert len(here.known("api").faults) == 4


@pytest.mark.parametrize(("word", "expected"), [(Override.OPEN, State.OPEN), (Override.CLOSED, State.CLOSED)])
async def test_an_operators_word_holds_in_every_process_and_ends(
    store: Store, clock: FakeClock, word: Override, expected: State
) -> None:
    here, there = fleet(store, clock)
    await here.health.override("upstream:api", word, author="ada", last=timedelta(seconds=40))
    await there.catch_up()
    there.fail("api", 0 if word is Override.OPEN else 9)
    await there.tell("api")
    assert there.state("api") is expected
    clock.advance(timedelta(seconds=41))
    await there.tell("api")
    assert there.state("api") is State.CLOSED
    assert [(change.to, change.why, change.author) for change in there.known("api").log] == [
        ("override", "none", "expiry"),
        ("override", word.value, "ada"),
    ]


async def test_a_store_that_refuses_for_a_while_is_said_once_and_asked_again(
    store: Store, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    [here] = fleet(store, clock, 1)
    store.refusing = ConfigError("the store refused the user or password in the engine's URL")
    keeping = asyncio.create_task(here.health.keeper.work())
    await eventually(lambda: store.asked["claim"] > 3)
    here.fail("api", 6)
    store.refusing = None
    await eventually(lambda: here.state("api") is State.OPEN)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    keeping.cancel()


async def test_an_answer_that_was_long_under_way_does_not_set_the_stores_clock_back(clock: FakeClock) -> None:
    present, started = StoreClock(clock), clock.now()
    present.saw(started)
    clock.advance(timedelta(seconds=3))
    present.saw(started + timedelta(seconds=1))  # given 2 s ago
    assert present.now() == started + timedelta(seconds=3)
    for _ in range(8):  # a clock that was set back is followed
        present.saw(started - timedelta(hours=1))
    assert present.now() == started - timedelta(hours=1)


async def test_tallies_of_many_threads_are_all_told(store: Store, clock: FakeClock) -> None:
    [here] = fleet(store, clock, 1)
    await asyncio.gather(*(asyncio.to_thread(here.fail, "api", 1) for _ in range(5)))
    await here.tell("api")
    assert len(here.known("api").faults) == 5


async def test_calls_of_jobs_in_other_lanes_use_up_the_pace_and_the_first_of_its_own_does_not(
    store: Store, clock: FakeClock
) -> None:
    rules = replace(API, pace=Pace(period=timedelta(seconds=10)))
    [here] = fleet(store, clock, 1, Policies(upstreams={"api": Known(rules=rules)}))
    await submit(store, "api", 5)
    gate = "upstream:api"
    await here.health.keeper.declare()
    assert len(await claim(here)) == 1
    for claimed in ([gate], [], []):
        here.health.charge(here.health.admit("api", (), "a-job", {}), claimed)
    await here.tell("api")
    clock.advance(timedelta(seconds=10))
    assert not await claim(here)
    clock.advance(timedelta(seconds=10))
    assert len(await claim(here)) == 1
