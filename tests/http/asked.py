"""What the tests of what users asked for begin with: an application on a store, and how its jobs are followed.

Rules run at a sixtieth of their times here; with the times that were asked for they are met in tests/e2e.
"""

import asyncio
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import httpx2
import pytest

from tests.http.handlers import application
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.rules import API, scaled
from tidegate.upstreams import Policies

COUNTS = {"total_jobs", "active_jobs", "completed_jobs", "failed_jobs", "dead_letter_jobs"} | {
    f"{name}_length" for name in ("queue", "retry_queue", "dlq")
}
SALES = "day,shop,sales\n" + "".join(
    f"2024-01-{day:02},{'north' if day % 2 else 'south'},{day * 10}\n" for day in range(1, 31)
)
QUICK = {"policy": "steps", "delays": [0.01]}


@dataclass
class Provider:
    """What the job type `ask` calls."""

    status: int = 200
    calls: int = 0


class ProviderError(Exception):
    """What an HTTP client raises for a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status_code = status


def asking(settings: Settings, provider: Provider) -> Tidegate:
    """An application with a job type that calls `provider`, and one of the queue `content` that is always told 429."""
    made = application(settings)
    made.upstream("provider", rules=scaled(API, 60))
    made.policies = Policies(
        upstreams=made.policies.upstreams,
        queues={name: scaled(rules, 60) for name, rules in made.policies.queues.items()},
    )

    @made.job("ask", upstream="provider")
    async def ask() -> str:
        provider.calls += 1
        if provider.status == 408:
            raise TimeoutError
        if provider.status != 200:
            raise ProviderError(provider.status)
        return "answered"

    @made.job("limited", queue="content")
    async def limited() -> None:
        raise RuntimeError("Error code: 429 - Rate limit reached")

    return made


async def status_of(api: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    """What the API says of a job."""
    answer: dict[str, Any] = (await api.get(f"/jobs/{job_id}/status")).json()
    return answer


async def until(api: httpx2.AsyncClient, job_id: str, *phases: str) -> dict[str, Any]:
    """The job's status, once it is in one of these phases."""
    for pause in chain(repeat(0.02, 1_000), [0.0]):
        status = await status_of(api, job_id)
        if status["phase"] in phases:
            return status
        await asyncio.sleep(pause)
    pytest.fail(f"{job_id} is in none of {phases}")


async def ended(api: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    """The job's status, once it has ended."""
    return await until(api, job_id, "succeeded", "degraded", "dead_letter", "failed", "cancelled")


async def tell(api: httpx2.AsyncClient, word: str, times: int = 1) -> dict[str, Any]:
    """How the queue `content` stands, told so often that a job succeeded or met a rate limit."""
    told: dict[str, Any] = {}
    for _ in range(times):
        await asyncio.sleep(0.02)  # those of one moment count as one
        told = (await api.post(f"/queues/content/{word}")).json()
    return told


async def until_paused(api: httpx2.AsyncClient, *, paused: bool) -> dict[str, Any]:
    """How the queue `content` stands, once it is paused, or is not."""
    for pause in chain(repeat(0.05, 400), [0.0]):
        queue: dict[str, Any] = (await api.get("/queues/content")).json()
        if queue["paused"] is paused:
            return queue
        await asyncio.sleep(pause)
    pytest.fail("it did not pause" if paused else "it did not resume")
