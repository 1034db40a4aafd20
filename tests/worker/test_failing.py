"""What becomes of runs that fail: another attempt where one can help, and at last a dead letter that says why."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from tests.worker import cpu_jobs
from tests.worker.house import AT_ONCE, House, eventually
from tidegate.context import Context
from tidegate.core.failure import INVALID_PAYLOAD, PROCESSING_ERROR
from tidegate.core.job import Job, Phase, Status
from tidegate.core.lifecycle import phase
from tidegate.core.query import Event as Step
from tidegate.core.retry import RetryPolicy, Rule, Steps
from tidegate.errors import GiveUp, RetryLater
from tidegate.telemetry.events import Ended, Finished


class Numbers(BaseModel):
    numbers: list[int]


class OutOfPaper(Exception):
    """What a vendor's library might raise."""

    code = "out_of_paper"
    transient = False


class TooFast(Exception):
    """The same, with a wish."""

    def __init__(self) -> None:
        super().__init__("429")
        self.retry_after = 42


def _code(job: Job) -> str:
    assert job.error is not None
    return job.error.code


async def _wait_decided(house: House, job: Job) -> float:
    """Seconds between the newest failure and the next run."""
    failed = [entry.at for entry in await house.engine.history(job.id) if entry.event is Step.RETRIED][-1]
    return (job.run_at - failed).total_seconds()


@pytest.mark.slow
async def test_the_default_policy_waits_1_s_and_then_5_s(house: House) -> None:
    async def fails() -> None:
        raise ValueError("no")

    house.job("fails", fails)
    await house.worker()
    job_id = await house.submit("fails")

    first = await house.until(job_id, lambda job: job.status is Status.QUEUED and job.counters.runs == 1)
    assert await _wait_decided(house, first) == pytest.approx(1, abs=0.001)
    second = await house.until(job_id, lambda job: job.status is Status.QUEUED and job.counters.runs == 2)
    assert await _wait_decided(house, second) == pytest.approx(5, abs=0.001)

    claims = [entry.at for entry in await house.engine.history(job_id) if entry.event is Step.CLAIMED]
    assert 1 <= (claims[1] - claims[0]).total_seconds() < 1.5


async def test_after_three_attempts_a_job_is_a_dead_letter_with_an_error_file(house: House) -> None:
    async def fails(ctx: Context) -> None:
        raise ValueError(f"no, {ctx.attempt}")

    house.job("fails", fails, retry=AT_ONCE)
    await house.worker()
    before = datetime.now(UTC)

    job = await house.ended(await house.submit("fails"))

    assert (job.attempts, _code(job)) == (3, PROCESSING_ERROR)
    assert phase(job, datetime.now(UTC)) is Phase.DEAD_LETTER
    [info] = [info async for info in house.runtime.artifacts.list(f"jobs/{job.id}")]
    written = json.loads(await house.artifact(info.path))
    at = datetime.fromisoformat(written.pop("timestamp"))
    assert before <= at <= datetime.now(UTC)
    assert written == {"job_id": job.id, "status": "failed", "error": PROCESSING_ERROR, "message": "no, 3"}


async def test_each_ending_is_told_once(house: House) -> None:
    async def fails_twice(ctx: Context) -> None:
        if ctx.attempt < 3:
            raise ValueError("no")

    house.job("fails", fails_twice, retry=AT_ONCE)
    await house.worker()

    job = await house.ended(await house.submit("fails"))

    def told() -> list[Ended]:
        return [event.ended for event in house.events(Finished) if event.job.job_id == job.id]

    await eventually(lambda: len(told()) > 2)
    assert told() == [Ended.RETRIED, Ended.RETRIED, Ended.SUCCEEDED]
    assert job.error is None


@pytest.mark.parametrize("cpu", [False, True])
async def test_giving_up_fails_for_good_with_its_code(house: House, cpu: bool) -> None:
    async def gives_up() -> None:
        raise GiveUp("no use", code="hopeless")

    house.job("gives_up", cpu_jobs.raises if cpu else gives_up, cpu=cpu)
    await house.worker()

    job = await house.ended(await house.submit("gives_up", payload=b'{"what": "give_up"}' if cpu else b"{}"))

    assert job.error is not None
    assert (job.status, job.attempts, job.error.code, job.error.message) == (Status.FAILED, 1, "hopeless", "no use")


@pytest.mark.parametrize("cpu", [False, True])
async def test_a_handler_may_name_the_time_of_its_next_attempt(house: House, cpu: bool) -> None:
    async def later() -> None:
        raise RetryLater("not yet", after=timedelta(seconds=7))

    house.job("later", cpu_jobs.raises if cpu else later, retry=AT_ONCE, cpu=cpu)
    await house.worker()

    job_id = await house.submit("later", payload=b'{"what": "retry_later"}' if cpu else b"{}")
    job = await house.until(job_id, lambda job: job.error is not None)

    assert await _wait_decided(house, job) == pytest.approx(7, abs=0.001)


async def test_an_error_that_says_it_is_final_is(house: House) -> None:
    def prints() -> None:
        raise OutOfPaper("empty tray")

    house.job("prints", prints, retry=AT_ONCE)
    await house.worker()

    job = await house.ended(await house.submit("prints"))

    assert (job.attempts, _code(job)) == (1, "out_of_paper")


async def test_retry_after_on_any_error_is_honoured(house: House) -> None:
    async def hurries() -> None:
        raise TooFast

    house.job("hurries", hurries, retry=AT_ONCE)
    await house.worker()
    job_id = await house.submit("hurries")

    job = await house.until(job_id, lambda job: job.error is not None)

    assert await _wait_decided(house, job) == pytest.approx(42, abs=0.001)


async def test_a_rule_for_one_error_beats_the_policy(house: House) -> None:
    async def fails() -> None:
        raise LookupError("unknown")

    policy = RetryPolicy(backoff=Steps(delays=(timedelta(hours=1),)), rules=(Rule(error="LookupError", retry=False),))
    house.job("fails", fails, retry=policy)
    await house.worker()

    job = await house.ended(await house.submit("fails"))

    assert job.attempts == 1


@pytest.mark.parametrize("payload", [b'{"numbers": ["1"]}', b'{"numbers": [], "more": 1}', b"{", b"\xff", b"null"])
async def test_a_stored_payload_that_no_longer_fits_fails_without_another_try(house: House, payload: bytes) -> None:
    async def add(payload: Numbers) -> int:
        raise AssertionError

    house.job("add", add)
    await house.worker()

    job = await house.ended(await house.submit_raw(house.new_job("add", payload)))

    assert (job.status, job.attempts, _code(job)) == (Status.FAILED, 1, INVALID_PAYLOAD)


async def test_an_upload_that_is_gone_fails_without_another_try(house: House) -> None:
    async def reads(payload: dict[str, object]) -> None:
        raise AssertionError

    house.job("reads", reads, files=("file",))
    await house.worker()

    job = await house.ended(await house.submit_raw(house.new_job("reads", b'{"file": "upload:gone"}')))

    assert (job.attempts, _code(job)) == (1, INVALID_PAYLOAD)


async def test_a_type_that_nobody_knows_stays_queued(house: House) -> None:
    async def known() -> None:
        pass

    house.job("known", known)
    await house.worker()
    unknown = await house.submit_raw(house.new_job("unknown", b"{}"))

    await house.ended(await house.submit("known"))

    assert (await house.look(unknown)).status is Status.QUEUED


async def test_a_text_that_is_no_unicode_can_be_told(house: House) -> None:
    """A file name read from a disk may hold half a surrogate pair; no store takes that."""

    async def odd(ctx: Context) -> None:
        ctx.progress(0.5, "\udcff")
        raise GiveUp("\udcff\x00", code="od\udcffd")

    house.job("odd", odd)
    await house.worker()

    job = await house.ended(await house.submit("odd"))

    assert job.error is not None
    assert (job.status, job.error.message) == (Status.FAILED, "?\ufffd")


async def test_a_policy_is_taken_from_the_job_before_its_type(house: House) -> None:
    async def fails() -> None:
        raise ValueError("no")

    house.job("fails", fails)
    await house.worker()

    job = await house.ended(await house.submit("fails", retry=replace(AT_ONCE, max_attempts=2)))

    assert job.attempts == 2
