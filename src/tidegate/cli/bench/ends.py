"""Waits until the jobs of a load test have ended. It looks once they are all submitted, so as to cost these nothing."""

import asyncio
from collections.abc import Iterator
from typing import Final

from tidegate.cli.bench.figures import Tally
from tidegate.errors import EngineUnavailable, JobNotFound, RateLimited, ServiceError
from tidegate.sdk import AsyncClient, JobStatus

LONGEST_LOOK: Final = 20.0
"""Seconds that one request waits for a job's end."""

MOST_LOOKS: Final = 50
"""Jobs that are waited for at once; a server lets a user wait for 100."""

REST: Final = 1.0


async def follow(client: AsyncClient, tally: Tally, timeout: float) -> None:
    """Wait for all accepted jobs; raises TimeoutError once that took too long, and what a look is refused by."""
    jobs = iter(tuple(tally.jobs))
    async with asyncio.timeout(timeout):
        try:
            async with asyncio.TaskGroup() as lookers:
                for _ in range(min(MOST_LOOKS, len(tally.jobs))):
                    lookers.create_task(_look(client, tally, jobs))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None


async def _look(client: AsyncClient, tally: Tally, jobs: Iterator[str]) -> None:
    for job_id in jobs:
        try:
            tally.ended.append(await _ended(client, job_id))
        except JobNotFound:
            tally.gone += 1


async def _ended(client: AsyncClient, job_id: str) -> JobStatus:
    """The job once it has ended. A server that is away for a while, or busy, has not lost it."""
    while True:
        try:
            status = await client.handle(job_id).status(wait=LONGEST_LOOK)
        except (ServiceError, EngineUnavailable, RateLimited):
            await asyncio.sleep(REST)
        else:
            if status.status.finished:
                return status
