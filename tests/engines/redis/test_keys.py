"""What is over leaves nothing behind."""

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce, seconds
from tests.conformance.harness import Harness
from tests.engines.redis.stores import fresh_url, keyspace, opened
from tests.servers.valkey import Valkey
from tidegate.core.job import Bury, Cancel, Defer, Ending, Lease, NewJob, Progress, Refund, Retry, Settlement, Succeed
from tidegate.core.verbs import Beat, Take

ENDINGS: tuple[Settlement, ...] = (
    Succeed(),
    Succeed(result=b"x" * 9_000, result_path="p"),
    Bury(failure=build.failure()),
    Cancel(note="n"),
    Retry(delay=seconds(0), failure=build.failure()),
    Defer(delay=seconds(1), refund=Refund.CRASH),
)


def _job(number: int) -> NewJob:
    """Jobs of many users, some with a key, a large payload, a delay or a bound on their waiting."""
    return new_job(
        user_id=f"u{number % 97}",
        priority=number % 10,
        payload=b"y" * (9_000 if number % 50 == 0 else 20),
        idempotency_key=f"k{number}" if number % 3 == 0 else None,
        delay=seconds(2 if number % 7 == 0 else 0),
    )


def _ending(lease: Lease, how: Settlement) -> Ending:
    return Ending(job_id=lease.job.id, token=lease.token, settlement=how)


async def _work_off(harness: Harness) -> None:
    """Claim and end everything, now one way, now another."""
    turn = 0
    while True:
        harness.advance(5)
        leases = (await build.claim(harness, limit=500)).leases
        if not leases:
            return
        half = Progress(fraction=0.5, message="m")
        await harness.engine.renew([Beat(lease.job.id, lease.token, half) for lease in leases], build.LEASE)
        await harness.engine.cancel([lease.job.id for lease in leases[::9]], nonce())
        endings = []
        for lease in leases:
            turn += 1
            again = lease.job.attempts > 2
            endings.append(_ending(lease, Succeed() if again else ENDINGS[turn % len(ENDINGS)]))
        answers = await harness.engine.settle(endings)
        left = [x for x, answer in zip(leases, answers, strict=True) if answer == "cancelling"]
        await harness.engine.settle([_ending(lease, Cancel()) for lease in left])


async def _live(harness: Harness, jobs: int) -> None:
    """So many jobs from submit to oblivion."""
    for first in range(0, jobs, 500):
        ids = await build.submit(harness, *(_job(number) for number in range(first, min(first + 500, jobs))))
        await harness.engine.cancel(ids[::11], nonce())
        await _work_off(harness)
        await harness.engine.take([Take(key=f"w{first}", n=1, limit=9, window=seconds(60))], nonce())
    harness.advance(3 * 86_400)
    while await harness.engine.prune(5_000):
        pass


@pytest.mark.parametrize("jobs", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_the_keys_of_any_number_of_jobs_are_gone_once_they_are_pruned(server: Valkey, jobs: int) -> None:
    async with keyspace(server) as keys, opened(fresh_url(server)) as harness:
        await _live(harness, 500)
        before = await keys.keys()
        await _live(harness, jobs)
        assert await keys.keys() == before
        assert (await harness.engine.stats()).lanes == ()
