"""A house with webhooks: endpoints under names that tests choose, and what was delivered to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypedDict, Unpack

import pytest
from standardwebhooks import Webhook

from tests.servers.scripted import Request
from tests.worker.house import AT_ONCE, QUICK, STORES, House, url_of
from tidegate.clock import chance
from tidegate.config import load
from tidegate.core.job import Job, JobId, Status
from tidegate.core.query import JobQuery
from tidegate.core.rules import WEBHOOK, scaled
from tidegate.core.verbs import Swap
from tidegate.errors import GiveUp
from tidegate.handlers import Registry
from tidegate.requests import JobRequest
from tidegate.system_jobs import SYSTEM_QUEUE
from tidegate.system_jobs.webhooks import JOB_TYPE
from tidegate.system_jobs.webhooks.endpoint import KIND as WEBHOOK_KIND
from tidegate.system_jobs.webhooks.endpoint import Endpoint, Secret, encode
from tidegate.system_jobs.webhooks.notices import Terms
from tidegate.system_jobs.webhooks.service import Webhooks
from tidegate.system_jobs.webhooks.signing import SECRET_BYTES, secret_of
from tidegate.telemetry.events import Emitter, Event
from tidegate.upstreams import Known, Policies
from tidegate.wiring import open_system

on_every_store = pytest.mark.parametrize("hooked", STORES, indirect=True)

NAMES: Final = ("one", "two", "dead")
POLICIES: Final = Policies(upstreams={f"webhook.{name}": Known(rules=scaled(WEBHOOK, 60)) for name in NAMES})
"""Rules at a sixtieth of their times."""

TERMS: Final = Terms(retry=AT_ONCE)
SERVING: Final = replace(QUICK, queues={SYSTEM_QUEUE: 1, "default": 1})
SECRET: Final = secret_of(chance(SECRET_BYTES))


class Changes(TypedDict, total=False):
    """What a webhook may have otherwise."""

    events: tuple[Status, ...]
    types: tuple[str, ...]
    user_id: str
    secrets: tuple[Secret, ...]


@dataclass(slots=True)
class Hooked:
    """A house with the job types `good`, `bad` and `long`, and its webhooks."""

    house: House

    @property
    def webhooks(self) -> Webhooks:
        """All of them."""
        return self.house.system.webhooks

    async def webhook(self, url: str, name: str = "one", **changes: Unpack[Changes]) -> Endpoint:
        """Ada's new webhook at that address, which this process knows of."""
        plain = Endpoint(
            id=name,
            user_id="ada",
            url=url,
            secrets=(Secret(text=SECRET),),
            created_at=self.house.system.upstreams.now(),
        )
        endpoint = replace(plain, **changes)
        nonce = self.house.runtime.nonce()
        await self.house.engine.swap(Swap(kind=WEBHOOK_KIND, key=name, value=encode(endpoint), expected=0, nonce=nonce))
        self.webhooks.book.adopt(endpoint)
        return endpoint

    async def known(self, name: str = "one") -> Endpoint:
        """A webhook as the store has it."""
        endpoint = await self.webhooks.get(name, None)
        assert endpoint is not None
        return endpoint

    async def submit(self, job_type: str = "good", **asked: Unpack["Asked"]) -> JobId:
        """Submit a job of Ada's."""
        accepted = await self.house.system.client.submit(JobRequest(type=job_type, user_id="ada", **asked))
        return JobId(accepted.job_id)

    async def deliveries(self, name: str = "one") -> list[Job]:
        """The jobs that deliver to a webhook, newest first."""
        page = await self.house.engine.find(JobQuery(type=JOB_TYPE, tag=f"webhook:{name}", limit=200))
        return list(page.jobs)

    async def delivered(self, count: int = 1, name: str = "one") -> list[Job]:
        """The deliveries once there are so many and all have ended; no more come then."""
        jobs: list[Job] = []
        async with asyncio.timeout(8):
            while len(jobs) < count or not all(job.status.finished for job in jobs):
                await asyncio.sleep(0.01)
                jobs = await self.deliveries(name)
        assert len(jobs) == count
        return jobs


class Asked(TypedDict, total=False):
    """What a job may be asked for with."""

    max_attempts: int
    tags: tuple[str, ...]
    request_id: str
    traceparent: str


async def good() -> dict[str, int]:
    """Succeed."""
    return {"answer": 42}


async def bad() -> None:
    """Fail for good."""
    raise GiveUp("it is no good", code="no_good")


async def long() -> None:
    """Run until somebody ends it."""
    await asyncio.Event().wait()


@asynccontextmanager
async def open_hooked(path: Path, url: str) -> AsyncIterator[Hooked]:
    """A fresh house; its workers are stopped, hurried, at the end."""
    registry, emit, heard = Registry(), Emitter(), list[Event]()
    emit.subscribe(heard.append)
    for handler in (good, bad, long):
        registry.add(handler.__name__, handler, {})
    settings = load(data_dir=path, engine=url, poll=QUICK.poll, webhook_http=True, webhook_networks="127.0.0.0/8")
    async with open_system(settings, registry, emit, POLICIES) as system, AsyncExitStack() as stack:
        system.webhooks.book.terms = TERMS
        house = House(system, replace(system.runtime, settings=SERVING), system.registry, heard, stack)
        yield Hooked(house)


def verified(request: Request, secret: str = SECRET) -> dict[str, object]:
    """The event that a receiver got, by the library that receivers verify with."""
    event: dict[str, object] = Webhook(secret).verify(request.body, dict(request.headers))
    return event


@asynccontextmanager
async def open_pair(store: str, path: Path) -> AsyncIterator[tuple[Hooked, Hooked]]:
    """Two processes' worth on one store; what belongs to one process is the same one twice."""
    async with url_of(store, path) as url, open_hooked(path / "one", url) as one:
        if store in ("memory", "sqlite"):
            yield one, one
            return
        async with open_hooked(path / "two", url) as two:
            yield one, two
