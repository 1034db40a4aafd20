"""What one does with jobs at a real server, with either client."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.http.handlers import LARGE, PICTURE
from tests.sdk.house import UNKNOWN
from tidegate.core.job import Phase, Status
from tidegate.core.query import Event
from tidegate.core.retry import RetryPolicy, Steps
from tidegate.errors import (
    ArtifactNotFound,
    IdempotencyConflict,
    IllegalTransition,
    InvalidInput,
    JobCancelled,
    JobFailed,
    JobNotFound,
    ResultTimeout,
    UnknownJobType,
)
from tidegate.sdk import AsyncClient, Client, JobEvent

LATER = timedelta(hours=1)


class Echo(BaseModel):
    """A payload, and the result."""

    text: str = ""
    count: int = 0
    numbers: list[float] = []


@dataclasses.dataclass
class Plain:
    """The same without Pydantic."""

    text: str = ""
    count: int = 0
    numbers: list[float] = dataclasses.field(default_factory=list)


PAYLOADS = [{"text": "a", "count": 3}, Echo(text="a", count=3), Plain(text="a", count=3)]


@pytest.mark.parametrize("payload", PAYLOADS, ids=["dict", "model", "dataclass"])
async def test_a_payload_may_be_a_dict_a_model_or_a_dataclass(client: AsyncClient, payload: object) -> None:
    job = await client.submit("echo", payload)
    assert await job.result(timeout=20) == {"text": "a", "count": 3, "numbers": []}


@pytest.mark.parametrize("kind", [Echo, Plain])
async def test_a_result_is_read_into_what_was_asked_for(client: AsyncClient, kind: type[Echo] | type[Plain]) -> None:
    job = await client.submit("echo", {"text": "a"})
    result = await job.result(timeout=20, into=kind)
    assert isinstance(result, kind)
    assert result.text == "a"
    with pytest.raises(InvalidInput, match="is not a int"):
        await job.result(into=int)


async def test_the_blocking_client_does_the_same(blocking: Client, tmp_path: Path) -> None:
    def use() -> None:
        job = blocking.submit("chart", tags=["t"])
        assert job.created
        assert job.result(timeout=20) == {"chart": "charts/trend.png"}
        assert [artifact.path for artifact in job.artifacts()] == ["charts/trend.png", "page.html", "result.json"]
        assert job.download("charts/trend.png", tmp_path).read_bytes() == PICTURE
        assert [event.event for event in job.events()][-1] == "succeeded"
        assert [step.event for step in job.history()] == [Event.SUBMITTED, Event.CLAIMED, Event.SUCCEEDED]
        assert next(blocking.find(tag="t")).job_id == job.id

    await asyncio.to_thread(use)


async def test_a_repeat_under_one_key_is_the_first_job_and_another_request_is_refused(client: AsyncClient) -> None:
    first = await client.submit("echo", {"text": "a"}, idempotency_key="k-1")
    again = await client.submit("echo", {"text": "a"}, idempotency_key="k-1")
    assert (first.created, again.created, again.id) == (True, False, first.id)
    with pytest.raises(IdempotencyConflict) as refused:
        await client.submit("echo", {"text": "b"}, idempotency_key="k-1")
    assert (refused.value.job_id, refused.value.key) == (first.id, "k-1")


async def test_every_option_reaches_the_job(client: AsyncClient) -> None:
    run_at = datetime.now(UTC) + LATER
    policy = RetryPolicy(backoff=Steps(delays=(timedelta(seconds=2),)), max_attempts=4)
    job = await client.submit(
        "echo", queue="low", priority=7, run_at=run_at, retry=policy, timeout=timedelta(seconds=9), tags=("a", "b")
    )
    seen = await job.details()
    assert (seen.queue, seen.priority, seen.run_at, seen.timeout, seen.tags) == ("low", 7, run_at, 9, ["a", "b"])
    assert (seen.retry["delays"], seen.max_attempts, seen.phase) == ([2], 4, Phase.SCHEDULED)
    job = await client.submit("echo", delay=LATER, max_attempts=2, expires_at=run_at + LATER, idempotency_key="k-2")
    seen = await job.details()
    assert seen.run_at - seen.created_at == LATER
    assert (seen.max_attempts, seen.expires_at, seen.idempotency_key) == (2, run_at + LATER, "k-2")


async def test_a_misspelt_option_or_filter_is_no_silent_default(client: AsyncClient) -> None:
    submit: Callable[..., Awaitable[object]] = client.submit
    with pytest.raises(TypeError, match="no option 'prioritty'"):
        await submit("echo", prioritty=3)
    find: Callable[..., AsyncIterator[object]] = client.find
    with pytest.raises(TypeError, match="no option 'stats'"):
        await anext(find(stats="failed"))


async def test_many_are_accepted_in_their_order_each_under_its_key(client: AsyncClient) -> None:
    jobs = await client.submit_many("echo", [{"count": n} for n in range(5)], keys=[f"m-{n}" for n in range(5)])
    assert [await job.result(timeout=20) for job in jobs] == [{"text": "", "count": n, "numbers": []} for n in range(5)]
    again = await client.submit_many("echo", [{"count": n} for n in range(6)], keys=[f"m-{n}" for n in range(6)])
    assert [job.created for job in again] == [False] * 5 + [True]
    assert [job.id for job in again[:5]] == [job.id for job in jobs]
    assert await client.submit_many("echo", []) == []


async def test_many_are_refused_whole_and_a_key_short_is_said(client: AsyncClient) -> None:
    with pytest.raises(InvalidInput) as refused:
        await client.submit_many("echo", [{"count": 1}, {"count": "2"}], tags=("whole",))
    assert refused.value.field == "jobs.1.payload.count"
    assert [job async for job in client.find(tag="whole")] == []
    with pytest.raises(InvalidInput, match="1 keys for 2 payloads"):
        await client.submit_many("echo", [{}, {}], keys=["one"])
    with pytest.raises(InvalidInput, match="keys: give a list"):
        await client.submit_many("echo", [{}, {}], keys="xy")


@pytest.mark.parametrize(("payloads", "said"), [("xy", {}), ({"count": 1}, {}), ([{}], {"tags": "xy"})])
async def test_a_lone_text_is_no_list_of_payloads_or_tags(
    client: AsyncClient, payloads: object, said: dict[str, str]
) -> None:
    submit_many: Callable[..., Awaitable[object]] = client.submit_many
    with pytest.raises(InvalidInput, match=f"^{next(iter(said), 'payloads')}: give a list"):
        await submit_many("echo", payloads, **said)


async def test_a_time_without_a_zone_is_refused_in_plain_words(client: AsyncClient) -> None:
    with pytest.raises(InvalidInput, match=r"^run_at: write it like 2026-01-31T12:00:00Z"):
        await client.submit("echo", run_at=datetime(2026, 1, 31, 12))


async def test_a_job_that_failed_says_so_and_can_be_dismissed_and_retried(client: AsyncClient) -> None:
    job = await client.submit("broken", max_attempts=1)
    with pytest.raises(JobFailed) as failed:
        await job.result(timeout=20)
    assert (failed.value.job_id, failed.value.code) == (job.id, "processing_error")
    assert "it is broken" in str(failed.value)
    assert (await job.dismiss()).phase is Phase.FAILED
    assert (await job.retry()).status is Status.QUEUED
    with pytest.raises(JobFailed):
        await job.result(timeout=20)


async def test_a_job_that_was_cancelled_says_so_and_can_t_be_cancelled_twice(client: AsyncClient) -> None:
    job = await client.submit("echo", delay=LATER)
    assert (await job.cancel()).status is Status.CANCELLED
    with pytest.raises(JobCancelled):
        await job.result()
    with pytest.raises(IllegalTransition) as refused:
        await job.cancel()
    assert (refused.value.job_id, refused.value.status) == (job.id, "cancelled")
    assert str(refused.value) == f"job {job.id} is cancelled: it can't be cancelled"


async def test_a_job_that_does_not_end_in_time_goes_on(client: AsyncClient) -> None:
    job = await client.submit("echo", delay=LATER)
    with pytest.raises(ResultTimeout) as late:
        await job.result(timeout=timedelta(milliseconds=50))
    assert late.value.job_id == job.id
    assert (await job.status()).status is Status.QUEUED


async def test_results_that_are_nothing_or_large_come_whole(client: AsyncClient) -> None:
    nothing, large = await client.submit("nothing"), await client.submit("large")
    assert await nothing.result(timeout=20) is None
    assert await large.result(timeout=20, into=str) == "x" * LARGE


async def test_a_file_goes_up_is_used_and_what_was_made_comes_down(client: AsyncClient, tmp_path: Path) -> None:
    source = tmp_path / "größe.csv"
    source.write_bytes(b"a,b\n1,2\n")
    sent, named = await client.upload(source), await client.upload(b"1", name="one.txt")
    assert (sent.name, sent.size, named.name) == ("größe.csv", 8, "one.txt")
    job = await client.submit("measure", {"file": sent.file})
    assert await job.result(timeout=20) == {"name": "größe.csv", "size": 8}
    to = await job.download("result.json", tmp_path / "saved.json")
    assert to.read_bytes() == b'{"name":"gr\xc3\xb6\xc3\x9fe.csv","size":8}'
    for path in ("none.txt", "../status", "a//b", ""):
        with pytest.raises(ArtifactNotFound):
            await job.download(path, tmp_path / "none")
    with pytest.raises(InvalidInput, match="can't be read"):
        await client.upload(tmp_path / "missing")
    assert sorted(os.listdir(tmp_path)) == ["größe.csv", "saved.json"]


async def test_a_list_goes_on_from_page_to_page(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.sdk.listing.PAGE", 2)
    since = datetime.now(UTC) - LATER
    jobs = await client.submit_many("echo", [{"count": n} for n in range(5)], tags=("pages",), delay=LATER)
    found = [job async for job in client.find(tag="pages", status=Phase.SCHEDULED, created_from=since)]
    assert [job.job_id for job in found] == [job.id for job in reversed(jobs)]
    assert [job async for job in client.find(tag="pages", status="succeeded")] == []


async def test_events_come_as_they_happen_up_to_the_end_and_from_where_one_was(client: AsyncClient) -> None:
    job = await client.submit("brief")
    heard: list[JobEvent] = [event async for event in job.events()]
    steps = [event for event in heard if event.seq is not None]
    assert [event.event for event in steps] == ["submitted", "claimed", "succeeded"]
    assert steps[-1].status is Status.SUCCEEDED
    assert [event.event async for event in job.events(after=2)] == ["succeeded"]
    assert [event async for event in job.events(after=3)] == []


async def test_what_there_is_not_is_said_so(client: AsyncClient) -> None:
    with pytest.raises(UnknownJobType) as refused:
        await client.submit("no-such-type")
    assert refused.value.field == "type"
    for verb in (client.handle(UNKNOWN).status, client.handle(UNKNOWN).result, client.handle(UNKNOWN).cancel):
        with pytest.raises(JobNotFound) as unknown:
            await verb()
        assert unknown.value.job_id == UNKNOWN
    with pytest.raises(JobNotFound):
        await anext(client.handle(UNKNOWN).events())
    for text in ("..", "a/b", "", UNKNOWN.upper()):
        with pytest.raises(JobNotFound):
            client.handle(text)


async def test_queues_and_upstreams_are_shown_and_steered(client: AsyncClient) -> None:
    assert "default" in {queue.name for queue in await client.queues.list()}
    assert (await client.queues.pause_queue("low", last=timedelta(minutes=5))).resumes_at is not None
    assert (await client.queues.show("low")).paused
    assert await client.queues.is_queue_paused("low")
    assert not (await client.queues.resume_queue("low")).is_paused
    assert (await client.upstreams.override("mail", "open", last=60)).override is not None
    assert {upstream.name for upstream in await client.upstreams.list()} == {"mail"}
    assert (await client.upstreams.clear("mail")).override is None
    assert (await client.upstreams.reset("mail")).state == "closed"
    assert [change.author for change in await client.upstreams.history("mail")][-1] == "ada"
    with pytest.raises(InvalidInput, match="no queue 'nope' is known"):
        await client.queues.show("nope")
    with pytest.raises(InvalidInput):
        await client.upstreams.show("../queues")


async def test_the_blocking_client_steers_too(blocking: Client) -> None:
    def use() -> None:
        assert blocking.queues.pause_queue("high").is_paused
        assert not blocking.queues.resume_queue("high").is_paused
        assert blocking.queues.show("high").name in {queue.name for queue in blocking.queues.list()}
        blocking.upstreams.override("post", "off")
        assert blocking.upstreams.clear("post").override is None
        assert blocking.upstreams.reset("post").name == blocking.upstreams.show("post").name
        assert blocking.upstreams.history("post")
        assert "post" in {upstream.name for upstream in blocking.upstreams.list()}
        assert "echo" in {known.name for known in blocking.job_types()}
        assert blocking.upload(b"x").size == 1
        jobs = blocking.submit_many("broken", [None], max_attempts=1)
        with pytest.raises(JobFailed):
            jobs[0].result(timeout=20)
        assert (jobs[0].usage(), jobs[0].dismiss().phase) == ([], Phase.FAILED)
        assert (jobs[0].retry().status, jobs[0].details().type) == (Status.QUEUED, "broken")
        job = blocking.handle(blocking.submit("echo", delay=LATER).id)
        assert job.status().phase is Phase.SCHEDULED
        assert job.cancel().status is Status.CANCELLED
        assert repr(job) == f"<job {job.id}>"

    await asyncio.to_thread(use)
