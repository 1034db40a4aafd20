"""What the how-to pages say that their handlers do, they do."""

import asyncio
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.docs.pages import DOCS
from tests.docs.program import Program
from tests.http.calls import post
from tests.http.handlers import application
from tests.http.reach import plain_settings, served
from tidegate.app import JobFunction, JobHandle, Tidegate
from tidegate.core.job import Job, Status
from tidegate.errors import JobCancelled, JobFailed
from tidegate.http.live import streams
from tidegate.telemetry.events import Claimed

HOW_TO = DOCS / "how-to"
Function = JobFunction[object, object]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SimpleNamespace]:
    """Run a page; what it has defined."""
    program = Program(tmp_path, monkeypatch)
    return lambda name: SimpleNamespace(**program.run(HOW_TO / name))


async def _ended(app: Tidegate, function: Function, payload: object, **options: float) -> tuple[Job, object]:
    """The job once it has ended, and its result or the code it failed with."""
    job: JobHandle[object] = await app.submit(function, payload, timeout=options.get("timeout", 60))
    try:
        result = await job.result(timeout=20)
    except JobFailed as failed:
        result = failed.code
    return await job.status(), result


def test_a_rule_forbids_retries_of_what_will_not_get_better(page: Callable[[str], SimpleNamespace]) -> None:
    known = page("retry-and-give-up.md")

    async def run() -> tuple[Job, object]:
        async with known.app:
            return await _ended(known.app, known.sync, {"status": 404})

    job, code = asyncio.run(run())
    assert (job.status, code, job.attempts) == (Status.FAILED, "processing_error", 1)
    assert [rule.error for rule in job.spec.retry.rules] == ["http:429", "http:4xx", "http:5xx"]


def test_a_handler_may_give_up_or_ask_for_another_attempt(page: Callable[[str], SimpleNamespace]) -> None:
    known = page("retry-and-give-up.md")

    async def run() -> list[tuple[Job, object]]:
        async with known.app:
            return [await _ended(known.app, known.deliver, parcel) for parcel in ({}, {"address": "Main Street 1"})]

    (given_up, code), (delivered, result) = asyncio.run(run())
    assert (given_up.attempts, code) == (1, "no_address")
    assert (delivered.attempts, result) == (2, "delivered to Main Street 1 at attempt 2")


@pytest.mark.slow
def test_a_timeout_is_final_unless_the_type_says_otherwise(page: Callable[[str], SimpleNamespace]) -> None:
    known = page("cancel-and-time-out.md")

    async def run() -> list[tuple[Job, object]]:
        async with known.app:
            ends = [_ended(known.app, function, {}, timeout=0.2) for function in (known.slow, known.stubborn)]
            return list(await asyncio.gather(*ends))

    (slow, code), (_, result) = asyncio.run(run())
    assert (slow.attempts, code) == (1, "timeout")
    assert result == "done at attempt 2"


def test_a_thread_that_reports_progress_stops_within_seconds_of_a_cancel(
    page: Callable[[str], SimpleNamespace],
) -> None:
    known = page("cancel-and-time-out.md")

    async def run() -> Job:
        claimed = asyncio.Event()
        known.app.emit.subscribe(lambda event: claimed.set() if isinstance(event, Claimed) else None)
        async with known.app:
            job: JobHandle[int] = await known.app.submit(known.count, list(range(3_000)))
            async with asyncio.timeout(10):
                await claimed.wait()
                await job.cancel()
            with pytest.raises(JobCancelled):
                await job.result(timeout=10)
            return await job.status()

    ended = asyncio.run(run())
    assert (ended.status, ended.result_path) == (Status.CANCELLED, None)


@pytest.mark.slow
def test_a_cpu_handler_computes_in_a_process_of_its_own(page: Callable[[str], SimpleNamespace]) -> None:
    page("run-cpu-work.md")
    primes = sys.modules["primes"]

    async def run() -> tuple[Job, object]:
        async with primes.app:
            return await _ended(primes.app, primes.primes, {"below": 3_000})

    job, result = asyncio.run(run())
    assert isinstance(result, list)
    assert (job.status, len(result), result[:4]) == (Status.SUCCEEDED, 430, [2, 3, 5, 7])


@pytest.mark.slow
def test_a_process_that_dies_is_a_crash_and_the_third_one_is_final(page: Callable[[str], SimpleNamespace]) -> None:
    page("run-cpu-work.md")
    primes = sys.modules["primes"]

    async def run() -> tuple[Job, object]:
        async with primes.app:
            return await _ended(primes.app, primes.fatal, {})

    job, code = asyncio.run(run())
    assert (code, job.attempts, job.counters.crashes) == ("quarantined", 0, 3)


def test_saved_files_and_the_result_lie_in_one_folder(page: Callable[[str], SimpleNamespace]) -> None:
    known = page("save-artifacts.md")
    assert known.text == b"All is well.\n"
    assert known.known.result_path == f"{known.folder}/result.json"


def test_the_tests_that_the_page_shows_pass(page: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    known = page("test-your-handlers.md")
    shown = [test for name, test in vars(known).items() if name.startswith("test_")]
    assert len(shown) == 2
    for test in shown:
        assert inspect.iscoroutinefunction(test)
        asyncio.run(test(tmp_path))


def test_a_job_is_followed_to_its_end_over_a_stream_that_breaks(
    page: Callable[[str], SimpleNamespace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page("follow-a-job.md")
    monkeypatch.setattr(streams, "LONGEST", 0.05)
    following = sys.modules["following"]
    settings = plain_settings(tmp_path / "data")
    app = application(settings)

    async def run() -> str:
        async with served(app, settings) as client:
            job_id = await post(client)
            followed = asyncio.create_task(following.followed(client, job_id))
            await asyncio.sleep(0.2)
            await client.post(f"/jobs/{job_id}/cancel")
            return str(await followed)

    assert asyncio.run(run()) == "cancelled"
