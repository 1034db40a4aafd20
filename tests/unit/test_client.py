"""What an application does with jobs, on a store that a test plays the worker of."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.worker.house import House, Watch, eventually, open_house
from tidegate import client as module
from tidegate import intake
from tidegate.clock import token
from tidegate.core.failure import Failure
from tidegate.core.job import Bury, Ending, Job, JobId, Lease, NewJob, Owner, Settlement, Status, Succeed
from tidegate.core.verbs import Receipt, Settled
from tidegate.errors import (
    EngineUnavailable,
    IdempotencyConflict,
    IllegalTransition,
    InvalidInput,
    JobCancelled,
    JobFailed,
    JobNotFound,
    ResultTimeout,
    UnknownJobType,
)
from tidegate.requests import JobRequest
from tidegate.telemetry.events import CancelRequested, Dismissed, Ended, Finished, Replayed, Revived, Submitted

ASKED = JobRequest(type="work", user_id="ada")
LONG, SHORT = timedelta(seconds=20), timedelta(seconds=0.05)
FAILED = Bury(failure=Failure(code="broken", message="it broke"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, "memory://") as house:

        async def work() -> None: ...

        house.job("work", work)
        house.job("reads", work, files=("file",))
        yield house


@pytest.fixture
def client(house: House) -> module.Client:
    return house.system.client


async def _started(house: House) -> Lease:
    """A submitted job, running."""
    await house.system.client.submit(ASKED)
    return await house.claim_as(Owner("test"), "work", LONG)


async def _ended(house: House, settlement: Settlement) -> Job:
    """A submitted job, ended."""
    lease = await _started(house)
    await _end(house, lease, settlement)
    return await house.look(lease.job.id)


async def _end(house: House, lease: Lease, settlement: Settlement) -> None:
    ending = Ending(job_id=lease.job.id, token=lease.token, settlement=settlement)
    assert await house.engine.settle([ending]) == [Settled.APPLIED]


# submit ---------------------------------------------------------------------------------------------------


async def test_an_accepted_job_is_in_the_store_and_told(house: House, client: module.Client) -> None:
    accepted = await client.submit(ASKED)

    assert accepted.created
    assert (await client.get(accepted.job_id)).status is Status.QUEUED
    [event] = house.events(Submitted)
    assert event.job.job_id == accepted.job_id


async def test_a_repeat_under_one_key_gives_the_first_job(house: House, client: module.Client) -> None:
    keyed = replace(ASKED, idempotency_key="k")
    first, again = await client.submit(keyed), await client.submit(keyed)

    assert (again.job_id, again.created) == (first.job_id, False)
    assert house.events(Replayed)[0].job.job_id == first.job_id


async def test_another_request_under_a_known_key_is_a_conflict_that_names_the_first(client: module.Client) -> None:
    first = await client.submit(replace(ASKED, idempotency_key="k"))
    with pytest.raises(IdempotencyConflict) as caught:
        await client.submit(replace(ASKED, idempotency_key="k", priority=1))
    assert caught.value.job_id == first.job_id


async def test_a_submit_whose_answer_was_lost_is_asked_again_and_makes_one_job(
    house: House, client: module.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, lost = house.engine.submit, list[JobId]()

    async def forgetful(jobs: Sequence[NewJob]) -> list[Receipt]:
        receipts = await submit(jobs)
        if not lost:
            lost.extend(receipt.job_id for receipt in receipts)
            raise EngineUnavailable("the answer was lost")
        return receipts

    monkeypatch.setattr(house.engine, "submit", forgetful)

    assert (await client.submit(ASKED)).job_id == lost[0]


@pytest.mark.parametrize("count", [1, 2])
async def test_a_store_that_hung_over_a_submit_is_not_asked_again(
    house: House, client: module.Client, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    asked = list[int]()

    async def hung(jobs: Sequence[NewJob]) -> list[Receipt]:
        asked.append(len(jobs))
        await asyncio.sleep(0.02)
        raise EngineUnavailable("the store did not answer in time")

    monkeypatch.setattr(house.engine, "submit", hung)
    monkeypatch.setattr(intake, "LOST_WITHIN", timedelta(seconds=0.01))

    with pytest.raises(EngineUnavailable):
        await client.submit_many([ASKED] * count)
    assert asked == [count]


async def test_a_batch_with_one_wrong_request_stores_none(house: House, client: module.Client) -> None:
    with pytest.raises(InvalidInput):
        await client.submit_many([ASKED, replace(ASKED, priority=99)])
    assert house.events(Submitted) == []
    with pytest.raises(UnknownJobType):
        await client.submit(replace(ASKED, type="unknown"))


async def test_an_upload_that_is_not_the_users_is_refused_at_the_door(client: module.Client) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.submit(JobRequest(type="reads", payload=b'{"file": "upload:x"}', user_id="ada"))
    assert caught.value.field == "payload.file"


# look -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("job_id", ["", "no-uuid", "0197a3c0-0000-7000-8000-000000000000", "x" * 1_000, "\udcff"])
async def test_an_unknown_id_is_not_found(client: module.Client, job_id: str) -> None:
    with pytest.raises(JobNotFound):
        await client.get(job_id)


async def test_anothers_job_is_unknown_to_every_verb(client: module.Client) -> None:
    job_id = (await client.submit(ASKED)).job_id

    assert (await client.get(job_id, user_id="ada")).id == job_id
    for verb in (client.get, client.cancel, client.retry, client.dismiss):
        with pytest.raises(JobNotFound):
            await verb(job_id, user_id="bob")
    assert (await client.get(job_id)).status is Status.QUEUED


# act ------------------------------------------------------------------------------------------------------


async def test_a_waiting_job_is_cancelled_and_can_be_retried(house: House, client: module.Client) -> None:
    job_id = (await client.submit(ASKED)).job_id

    assert (await client.cancel(job_id)).status is Status.CANCELLED
    assert (await client.retry(job_id)).status is Status.QUEUED
    [ended] = house.events(Finished)
    assert (ended.job.job_id, ended.ended, ended.latency) == (job_id, Ended.CANCELLED, None)
    assert (house.events(CancelRequested), len(house.events(Revived))) == ([], 1)


async def test_a_running_job_is_asked_to_stop(house: House, client: module.Client) -> None:
    lease = await _started(house)

    job = await client.cancel(lease.job.id)

    assert (job.status, job.cancel_requested_at is None) == (Status.RUNNING, False)


async def test_a_failed_job_can_be_dismissed_and_retried(house: House, client: module.Client) -> None:
    job = await _ended(house, FAILED)

    assert (await client.dismiss(job.id)).dismissed_at is not None
    assert len(house.events(Dismissed)) == 1
    assert (await client.retry(job.id)).status is Status.QUEUED


async def test_what_a_jobs_status_forbids_is_refused(house: House, client: module.Client) -> None:
    job = await _ended(house, Succeed())

    for verb in (client.cancel, client.retry, client.dismiss):
        with pytest.raises(IllegalTransition) as caught:
            await verb(job.id)
        assert (caught.value.job_id, caught.value.status) == (job.id, "succeeded")


# wait -----------------------------------------------------------------------------------------------------


async def test_a_wait_ends_with_the_job(house: House, client: module.Client) -> None:
    lease = await _started(house)
    waiting = asyncio.create_task(client.wait(lease.job.id, LONG))
    await asyncio.sleep(0.02)

    watch = Watch()
    await _end(house, lease, Succeed())

    assert (await waiting).status is Status.SUCCEEDED
    assert watch.seconds < 0.08


async def test_a_wait_gives_the_job_as_it_is_when_its_time_is_over(client: module.Client) -> None:
    job_id = (await client.submit(ASKED)).job_id

    watch = Watch()
    assert (await client.wait(job_id, SHORT)).status is Status.QUEUED
    assert SHORT.total_seconds() <= watch.seconds < 1


async def test_a_wait_misses_no_ending_between_its_look_and_its_rest(
    house: House, client: module.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLLS", (timedelta(seconds=10),))
    lease, get = await _started(house), house.engine.get

    async def slow_to_tell(job_ids: Sequence[JobId]) -> list[Job | None]:
        seen = await get(job_ids)
        if seen[0] is not None and seen[0].status is Status.RUNNING:
            await _end(house, lease, Succeed())
            await asyncio.sleep(0.01)
        return seen

    monkeypatch.setattr(house.engine, "get", slow_to_tell)

    watch = Watch()
    assert (await client.wait(lease.job.id, LONG)).status is Status.SUCCEEDED
    assert watch.seconds < 5


async def test_a_wait_without_hints_looks_ever_more_rarely(
    house: House, client: module.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[timedelta] = []

    async def deaf(topics: Sequence[str], timeout: timedelta) -> None:
        pauses.append(timeout)
        await asyncio.sleep(0)

    monkeypatch.setattr(house.engine, "wait", deaf)
    lease = await _started(house)
    waiting = asyncio.create_task(client.wait(lease.job.id, timedelta(minutes=10)))
    await eventually(lambda: len(pauses) >= 12)
    await _end(house, lease, Succeed())
    await waiting

    assert pauses[:8] == list(module.POLLS)
    assert set(pauses[8:]) == {module.POLLS[-1]}


# results --------------------------------------------------------------------------------------------------


async def test_an_inline_result_is_read_from_the_store(house: House, client: module.Client) -> None:
    job = await _ended(house, Succeed(result=b"42", result_path="jobs/gone/1-aaaaaaaa/result.json"))
    assert await client.result(job.id, SHORT) == b"42"


async def test_a_large_result_is_read_from_its_artifact(house: House, client: module.Client) -> None:
    path = f"jobs/{token()}/1-aaaaaaaa/result.json"
    await house.runtime.artifacts.put(path, b'"large"', content_type="application/json")
    job = await _ended(house, Succeed(result_path=path))
    assert await client.result(job.id, SHORT) == b'"large"'


async def test_a_job_that_returned_nothing_has_no_result(house: House, client: module.Client) -> None:
    job = await _ended(house, Succeed())
    assert await client.result(job.id, SHORT) is None


async def test_a_failed_job_raises_its_code(house: House, client: module.Client) -> None:
    job = await _ended(house, FAILED)
    with pytest.raises(JobFailed, match="it broke") as caught:
        await client.result(job.id, SHORT)
    assert (caught.value.code, caught.value.job_id) == ("broken", job.id)


async def test_a_cancelled_job_and_an_unfinished_one_raise_what_they_are(client: module.Client) -> None:
    job_id = (await client.submit(ASKED)).job_id
    with pytest.raises(ResultTimeout, match="still queued"):
        await client.result(job_id, SHORT)
    await client.cancel(job_id)
    with pytest.raises(JobCancelled):
        await client.result(job_id, SHORT)
