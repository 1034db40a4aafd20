"""`tidegate.bulk`: what it waits for is waited for in no worker's slot, and is waited for nevertheless."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from tests.worker.house import QUICK, House, on_memory
from tidegate.clock import token
from tidegate.core.job import Job, JobId, Progress, Status
from tidegate.core.query import Event as Step
from tidegate.core.query import JobQuery
from tidegate.handlers import encode
from tidegate.requests import JobRequest
from tidegate.system_jobs import SYSTEM_QUEUE, bulk
from tidegate.system_jobs.scope import Action, Work

SERVING_US = replace(QUICK, queues={SYSTEM_QUEUE: 1, "default": 1})


async def _waiting(house: House, count: int, name: str) -> list[JobId]:
    jobs = [house.new_job(name, b"{}") for _ in range(count)]
    await house.engine.submit(jobs)
    return [job.id for job in jobs]


async def _cancelled(house: House, job_ids: Sequence[JobId]) -> int:
    jobs = [job for job in await house.engine.get(job_ids) if job is not None]
    return [job.status for job in jobs].count(Status.CANCELLED)


async def _begun(house: House, name: str, per_second: float, user: str = "ada") -> JobId:
    work = Work(action=Action.CANCEL, where=JobQuery(type=name), per_second=per_second)
    accepted = await house.system.client.submit(JobRequest(type=bulk.NAME, payload=encode(work), user_id=user))
    return JobId(accepted.job_id)


def _has_acted(job: Job) -> bool:
    """Whether a bulk job has told of anything done."""
    return job.progress is not None and bool(job.progress.fraction)


async def _applied(house: House, job_id: JobId) -> object:
    return msgspec.json.decode(await house.result(job_id) or b"")["applied"]


async def test_a_slow_one_holds_no_slot_and_shows_how_far_it_is(house: House) -> None:
    house.job("ours", lambda: None)
    job_ids, job_id = await _waiting(house, 3, "mail"), await _begun(house, "mail", 0.01)
    await house.worker(replace(SERVING_US, slots=1))
    rests = await house.until(job_id, lambda job: job.status is Status.QUEUED and job.counters.runs > 0, within=30)
    assert (rests.attempts, rests.progress) == (0, Progress(fraction=1 / 3, message="1 of 3 cancelled, 0 refused"))
    assert rests.run_at - rests.created_at > timedelta(seconds=90)
    assert await _cancelled(house, job_ids) == 1
    assert (await house.ended(await house.submit("ours"), within=30)).status is Status.SUCCEEDED


async def test_over_its_rests_the_pace_holds_and_each_job_is_counted_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LINGER", 0.05)
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 1)
    job_ids = await _waiting(house, 4, "mail")
    job_id = await _begun(house, "mail", 2)
    await house.worker(SERVING_US)
    job = await house.ended(job_id, within=60)
    assert (job.status, job.attempts, await _applied(house, job_id)) == (Status.SUCCEEDED, 1, 4)
    ends = [one.finished_at for one in await house.engine.get(job_ids) if one and one.finished_at]
    assert len(ends) == 4
    assert max(ends) - job.created_at >= timedelta(seconds=1.5)
    assert (await house.steps(job_id)).count(Step.DEFERRED) == 3


@on_memory
async def test_of_one_user_s_only_one_runs_at_once_and_all_are_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "TURN", timedelta(seconds=0.1))
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 1)
    crowds = [await _waiting(house, 4, f"mail-{n}") for n in range(4)]
    begun = [await _begun(house, f"mail-{n}", 5, user="bob" if n == 3 else "ada") for n in range(4)]
    await house.worker(SERVING_US)
    jobs = await house.all_ended(begun, within=60)
    for job_id, crowd in zip(begun, crowds, strict=True):
        assert (await _applied(house, job_id), await _cancelled(house, crowd)) == (4, 4)
    gave_way = [Step.DEFERRED in await house.steps(job_id) for job_id in begun]
    assert (gave_way, {job.attempts for job in jobs}) == ([False, True, True, False], {1})


@on_memory
async def test_the_slots_that_a_user_s_bulk_work_leaves_are_everybody_s(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten slow actions of one user and a worker of two slots: the other one is free for others' jobs throughout."""
    monkeypatch.setattr(bulk, "TURN", timedelta(seconds=0.2))
    house.job("ours", lambda: None)
    await _waiting(house, 100, "mail")
    begun = [await _begun(house, "mail", 1) for _ in range(10)]
    await house.worker(replace(SERVING_US, slots=2))
    await house.until(begun[0], _has_acted, within=30)
    for _ in range(5):
        assert (await house.ended(await house.submit("ours"), within=30)).status is Status.SUCCEEDED
    jobs = [job for job in await house.engine.get(begun) if job is not None]
    assert [_has_acted(job) for job in jobs] == [True] + [False] * 9
    await house.engine.cancel(begun, token())


@on_memory
async def test_what_is_done_in_one_batch_waits_for_no_turn(house: House) -> None:
    await _waiting(house, 100, "mail")
    few = await _waiting(house, 1, "few")
    slow, quick = await _begun(house, "mail", 1), await _begun(house, "few", 1)
    await house.worker(SERVING_US)
    assert (await house.ended(quick, within=30)).status is Status.SUCCEEDED
    assert (await _applied(house, quick), await _cancelled(house, few)) == (1, 1)
    assert Step.DEFERRED not in await house.steps(quick)
    await house.engine.cancel([slow], token())
