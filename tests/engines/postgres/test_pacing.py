"""A paced gate opens in time after a clock that was wrong, and after a pace that was slower."""

from tests.conformance.build import claim, lane, new_job, nonce, request, seconds, submit
from tests.conformance.harness import Harness
from tests.conformance.postgres_store import database_of
from tidegate.clock import FakeClock
from tidegate.core.verbs import Gate, Pace, Swap
from tidegate.engines.sql.postgres.engine import PostgresEngine


async def _pace(harness: Harness, version: int, period: float, burst: int) -> None:
    gate = Gate(name="upstream:up", pace=Pace(period=seconds(period), burst=burst), era=1)
    swap = Swap(kind="upstreams", key="up", expected=version, value=b"{}", nonce=nonce(), gates=(gate,))
    assert (await harness.engine.swap(swap)).won


async def test_a_clock_that_was_a_day_ahead_keeps_a_gate_shut_for_its_burst_only(harness: Harness) -> None:
    await _pace(harness, 0, 1, 5)
    await submit(harness, *(new_job(lane=lane("up")) for _ in range(20)))
    ahead = FakeClock()
    ahead.advance(seconds(86_400))
    async with PostgresEngine(database_of(harness), ahead) as wrong:
        assert len((await wrong.claim(request(limit=2), nonce())).leases) == 2
    shut = await claim(harness)
    assert shut.leases == ()
    assert shut.wake_at == harness.clock.now() + seconds(1)
    harness.clock.advance(seconds(3))
    assert len((await claim(harness)).leases) == 3
    harness.clock.advance(seconds(1))
    assert len((await claim(harness)).leases) == 1


async def test_a_pace_that_becomes_faster_is_kept_from_then_on(harness: Harness) -> None:
    await _pace(harness, 0, 3600, 1)
    await submit(harness, *(new_job(lane=lane("up")) for _ in range(20)))
    assert len((await claim(harness)).leases) == 1
    await _pace(harness, 1, 1, 2)
    assert (await claim(harness)).leases == ()
    harness.clock.advance(seconds(2))
    assert len((await claim(harness)).leases) == 2
