"""A process that works a store as hard as it can, and says what was acknowledged, until it is killed.

`python -m tests.engines.sqlite.busy PATH` prints "submitted <id>" and "settled <id>" once the engine has answered.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from tidegate.clock import new_id_parts, token
from tidegate.core.fairness import Turn
from tidegate.core.ids import uuid7
from tidegate.core.job import Ending, JobId, NewJob, Owner, Settlement, Spec, Succeed
from tidegate.core.verbs import ClaimRequest, Settled
from tidegate.engines.sql.sqlite.engine import SqliteEngine

SUCCEEDED: Settlement = Succeed(result=b"done")


def say(word: str, job_ids: list[JobId]) -> None:
    """One write a line, so that a kill can't tear what was said before."""
    for job_id in job_ids:
        sys.stdout.write(f"{word} {job_id}\n")
    sys.stdout.flush()


async def submit(engine: SqliteEngine, size: int) -> None:
    """Submit batches for ever."""
    while True:
        spec = Spec(type="work", user_id="ada", idempotency_key=token())
        jobs = [NewJob(id=JobId(uuid7(*new_id_parts())), spec=spec, payload=b"x" * 300)]
        keyless = Spec(type="work", user_id="bob")
        jobs += [NewJob(id=JobId(uuid7(*new_id_parts())), spec=keyless) for _ in range(size - 1)]
        receipts = await engine.submit(jobs)
        say("submitted", [receipt.job_id for receipt in receipts])


async def work(engine: SqliteEngine, owner: Owner) -> None:
    """Claim and settle for ever."""
    turns = (Turn(queue="default", quota=20),)
    lease_for = timedelta(seconds=60)
    while True:
        request = ClaimRequest(owner=owner, turns=turns, types=frozenset({"work"}), limit=20, lease_for=lease_for)
        leases = (await engine.claim(request, token())).leases
        endings = [Ending(job_id=lease.job.id, token=lease.token, settlement=SUCCEEDED) for lease in leases]
        answers = await engine.settle(endings)
        assert set(answers) <= {Settled.APPLIED}
        say("settled", [ending.job_id for ending in endings])


async def main(path: Path) -> None:
    """Work until killed."""
    async with SqliteEngine(path) as engine, asyncio.TaskGroup() as tasks:
        for size in (1, 1, 1, 40):
            tasks.create_task(submit(engine, size))
        for number in range(2):
            tasks.create_task(work(engine, Owner(f"worker-{number}")))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
