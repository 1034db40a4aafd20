"""A crowd of jobs past their `expires_at`: more than one claim moves out of the way, and nobody waits for long."""

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tidegate.core.verbs import Reason
from tidegate.engines.sql.sqlite import claiming, promoting

CROWD = 2_500


@pytest.mark.parametrize("delay", [0.0, 5.0])
async def test_a_crowd_that_lapsed_in_front_is_passed_in_one_claim(harness: Harness, delay: float) -> None:
    expires_at = harness.clock.now() + seconds(10)
    await build.submit(harness, *(new_job(expires_at=expires_at, delay=seconds(delay)) for _ in range(CROWD)))
    fresh = await build.submit_one(harness)
    harness.advance(10)
    assert await build.claimed_ids(harness, limit=1) == [fresh]
    stats = await harness.engine.stats()
    assert sum(lane.waiting + lane.ready for lane in stats.lanes) == CROWD, "they wait for a reaper"


async def test_a_claim_gives_up_in_time_and_says_that_there_is_more(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "MOST_SWEEPS", 1)
    assert promoting.SWEEP < CROWD
    expires_at = harness.clock.now() + seconds(10)
    await build.submit(harness, *(new_job(expires_at=expires_at) for _ in range(CROWD)))
    fresh = await build.submit_one(harness)
    harness.advance(10)
    for _ in range(CROWD // promoting.SWEEP + 1):
        claimed = await build.claim(harness, limit=1)
        if claimed.leases:
            assert claimed.leases[0].job.id == fresh
            return
        assert claimed.more
    pytest.fail("the claims never came past the lapsed jobs")


async def test_all_of_the_crowd_is_reclaimed_oldest_first(harness: Harness) -> None:
    start = harness.clock.now()
    late = [new_job(expires_at=start + seconds(20 - n % 10), delay=seconds(n % 3)) for n in range(40)]
    await build.submit(harness, *late)
    harness.advance(1)
    await build.claim(harness, types=frozenset({"none"}))
    harness.advance(60)
    await build.claim(harness, types=frozenset({"none"}))
    taken = await build.reclaim(harness, limit=100)
    assert [one.reason for one in taken] == [Reason.WAITED] * 40
    order = [(one.lease.job.expires_at, one.lease.job.seq) for one in taken]
    assert order == sorted(order)
