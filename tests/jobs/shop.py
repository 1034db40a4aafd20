"""A house with the built-in job types, their model being a server that the test runs."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypedDict, Unpack

from tests.worker.house import QUICK, House, open_house
from tidegate.artifacts import uploads
from tidegate.core.budget import Budget
from tidegate.core.job import Job, JobId
from tidegate.core.retry import Exponential
from tidegate.core.rules import scaled
from tidegate.handlers import Registry
from tidegate.jobs import builtin
from tidegate.jobs.models import ModelSettings
from tidegate.upstreams import Policies
from tidegate.wiring import new_job_id

KEY = "sk-canary-key-7f3a"
PROMPT = "canary prompt: what is my diagnosis?"
MODEL = "some/model"
TIMEOUT = timedelta(seconds=60)


class Changes(TypedDict, total=False):
    """What a test sets of the models."""

    fallback: str
    tries: int
    overall: timedelta
    limit: int
    budget: Budget
    prices: Mapping[str, tuple[Decimal, Decimal]]


def settings(url: str, **changes: Unpack[Changes]) -> ModelSettings:
    """The models of a server at `url`; waits are short."""
    told = {"LLM_MODEL": MODEL, "LLM_BASE_URL": url, "LLM_API_KEY": KEY} if url else {}
    backoff = Exponential(initial=timedelta(milliseconds=20), cap=timedelta(milliseconds=50))
    quick = ModelSettings(environment=told, backoff=backoff, overall=timedelta(seconds=5))
    return replace(quick, **changes)


@asynccontextmanager
async def shop(path: Path, models: ModelSettings, faster: float = 60) -> AsyncIterator[House]:
    """The house, a worker in it that serves the queue `content` too. Rules run that much faster."""
    known = builtin.register(Registry(), Policies(), timeout=TIMEOUT, models=models)
    upstreams = {name: replace(each, rules=scaled(each.rules, faster)) for name, each in known.upstreams.items()}
    queues = {name: scaled(rules, faster) for name, rules in known.queues.items()}
    async with open_house(path, "memory://", replace(known, upstreams=upstreams, queues=queues)) as house:
        builtin.register(house.registry, Policies(), timeout=TIMEOUT, models=models)
        await house.worker(replace(QUICK, queues={"default": 1, "content": 1}))
        yield house


async def generate(house: House, **payload: object) -> JobId:
    """A `content.generate` job, of the prompt unless it says otherwise."""
    asked = payload if "messages" in payload else {"prompt": PROMPT, **payload}
    return await house.submit("content.generate", payload=json.dumps(asked).encode())


async def analyse(house: House, csv: str) -> JobId:
    """An `analysis` job of a file with this text."""

    async def chunks() -> AsyncIterator[bytes]:
        yield csv.encode()

    incoming = uploads.Incoming(
        upload_id=new_job_id(), user_id="ada", name="data.csv", content_type="text/csv", created_at=house.clock.now()
    )
    stored = await uploads.receive(house.runtime.artifacts, chunks(), incoming, limit=10_000_000)
    return await house.submit("analysis", payload=json.dumps({"file": stored.reference}).encode(), user_id="ada")


async def told(house: House, job: Job) -> dict[str, object]:
    """The result of a job that succeeded, as its artifact has it."""
    assert job.result_path is not None, job.error
    value = json.loads(await house.artifact(job.result_path))
    assert isinstance(value, dict)
    return value
