"""What a user's type checker sees of the Python client. mypy checks this file; nothing runs it."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import assert_type

from pydantic import BaseModel

from tidegate import RetryPolicy, Status, Steps
from tidegate.sdk import (
    AsyncClient,
    AsyncJobHandle,
    Attempt,
    BulkResult,
    Client,
    FeedEvent,
    FeedReset,
    JobDetails,
    JobEvent,
    JobHandle,
    JobItem,
    JobStatus,
    JobStep,
    KeyInfo,
    Matches,
    NewKey,
    NewWebhook,
    Patience,
    QueueCircuit,
    QueueInfo,
    ScheduleDetails,
    Upload,
    UpstreamInfo,
    WorkerInfo,
)

POLICY = RetryPolicy(backoff=Steps(delays=(timedelta(seconds=1),)))


class Report(BaseModel):
    """A result."""

    title: str


@dataclass
class Plain:
    """Another."""

    title: str


def blocking() -> None:
    """The blocking client."""
    with Client("http://h", user_id="ada", api_key="k", timeout=3, patience=Patience(tries=2)) as client:
        assert_type(client, Client)
        job = client.submit("report", Report(title="x"), delay=1.5, retry=POLICY, tags=["a"], idempotency_key="k")
        assert_type(job, JobHandle)
        assert_type(job.created, bool)
        assert_type(job.status(), JobStatus)
        assert_type(job.status().status, Status)
        assert_type(job.details(), JobDetails)
        assert_type(job.result(), object)
        assert_type(job.result(timeout=timedelta(minutes=1), into=Report), Report)
        assert_type(job.result(5, into=list[int]), list[int])
        assert_type(job.events(), Iterator[JobEvent])
        assert_type(job.history(), list[JobStep])
        assert_type(job.download("a.txt", Path()), Path)
        assert_type(client.submit_many("report", [{"title": "x"}], keys=["k"], queue="low"), list[JobHandle])
        assert_type(client.find(status=Status.FAILED, tag="a"), Iterator[JobItem])
        assert_type(client.upload(b"x", name="a"), Upload)
        assert_type(client.queues.show("low"), QueueInfo)
        assert_type(client.queues.pause_queue("low", last=60), QueueCircuit)
        assert_type(client.queues.is_queue_paused("low"), bool)
        assert_type(client.upstreams.list(), list[UpstreamInfo])
        _grouped(client)


def _grouped(client: Client) -> None:
    """Its resources."""
    assert_type(client.schedules.put("s", "0 3 * * *", "report", timezone="UTC", retry=POLICY), ScheduleDetails)
    assert_type(client.schedules.trigger("s"), JobHandle)
    assert_type(client.webhooks.create("https://h", ["failed"]), NewWebhook)
    assert_type(client.webhooks.deliveries("id"), Iterator[JobItem])
    assert_type(client.webhooks.delete("id"), None)
    assert_type(client.keys.create("billing", "writer"), NewKey)
    assert_type(client.bulk.retry(upstream="mail", per_second=20), JobHandle)
    assert_type(client.bulk.retry(all=True).result(into=BulkResult), BulkResult)
    assert_type(client.bulk.count("retry", tag="a"), Matches)
    assert_type(client.handle("id").attempts(), list[Attempt])
    assert_type(client.handle("id").status(wait=30), JobStatus)
    assert_type(client.dead_letters(type="report"), Iterator[JobItem])
    assert_type(client.events(), Iterator[FeedEvent | FeedReset])


async def awaited() -> None:
    """The async client."""
    async with AsyncClient() as client:
        job = await client.submit("report", Plain(title="x"))
        assert_type(job, AsyncJobHandle)
        assert_type(await job.status(), JobStatus)
        assert_type(await job.result(), object)
        assert_type(await job.result(into=Plain), Plain)
        assert_type(job.events(after=3), AsyncGenerator[JobEvent, None])
        assert_type(await job.cancel(), JobStatus)
        assert_type(await client.submit_many("report", [Plain(title="x")]), list[AsyncJobHandle])
        assert_type(client.find(), AsyncGenerator[JobItem, None])
        assert_type(await client.upload(Path("a.csv")), Upload)
        assert_type(await client.upstreams.override("mail", "open"), UpstreamInfo)
        assert_type(await client.schedules.trigger("s"), AsyncJobHandle)
        assert_type(client.webhooks.deliveries("id"), AsyncGenerator[JobItem, None])
        assert_type(await client.keys.list(), list[KeyInfo])
        assert_type(await client.bulk.cancel(tag="a"), AsyncJobHandle)
        assert_type(await client.workers(), list[WorkerInfo])
        assert_type(client.events("id"), AsyncGenerator[FeedEvent | FeedReset, None])
        async with asyncio.TaskGroup() as group:
            assert_type(await group.create_task(client.queues.show("low")), QueueInfo)
