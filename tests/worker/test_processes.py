"""Children that run `cpu=True` handlers: reused, replaced, and deaf to what a handler does to them."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker import cpu_jobs
from tests.worker.house import QUICK, House, eventually, lives, open_house
from tidegate.core.job import Status
from tidegate.errors import ConfigError
from tidegate.worker import processes
from tidegate.worker.processes import Processes

ONE_SLOT = replace(QUICK, slots=1)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """On one store only: a child knows nothing of stores."""
    async with open_house(tmp_path, "memory://") as house:
        yield house


async def _child(house: House) -> int:
    """Which process answers now."""
    job = await house.ended(await house.submit("whoami"))
    return int(await house.result(job.id) or b"")


async def test_a_child_is_used_again(house: House) -> None:
    house.job("whoami", cpu_jobs.whoami, cpu=True)
    await house.worker(ONE_SLOT)

    assert await _child(house) == await _child(house)


async def test_a_child_is_replaced_after_its_share_of_runs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "REUSE", 2)
    house.job("whoami", cpu_jobs.whoami, cpu=True)
    await house.worker(ONE_SLOT)

    seen = [await _child(house) for _ in range(3)]

    assert seen[0] == seen[1] != seen[2]


async def test_children_run_beside_each_other(house: House) -> None:
    house.job("slow", cpu_jobs.slow, cpu=True)
    await house.worker()

    jobs = await house.all_ended(await house.submit_many("slow", 3))

    assert len({await house.result(job.id) for job in jobs}) == 3


async def test_a_stopped_worker_leaves_no_child_behind(house: House) -> None:
    house.job("whoami", cpu_jobs.whoami, cpu=True)
    worker = await house.worker(ONE_SLOT)
    child = await _child(house)
    assert lives(child)

    await house.stop(worker)

    await eventually(lambda: not lives(child))


async def test_what_an_earlier_handler_left_running_is_not_heard_in_a_later_one(house: House) -> None:
    house.job("talks_on", cpu_jobs.talks_on, cpu=True)
    house.job("slow", cpu_jobs.slow, cpu=True)
    await house.worker(ONE_SLOT)

    await house.ended(await house.submit("talks_on"))
    job_id = await house.submit("slow")
    told = await house.until(job_id, lambda job: job.progress is not None or job.status.finished)
    job = await house.ended(job_id)

    assert told.progress is not None
    assert told.progress.message == "mine"
    assert job.status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("handler", "result"),
    [
        (cpu_jobs.floods, "real"),
        (cpu_jobs.forks, "forked"),
        (cpu_jobs.spawns, "spawned"),
        (cpu_jobs.reads_stdin, ""),
        (cpu_jobs.signals_off, "deaf"),
    ],
)
async def test_a_child_answers_truly_whatever_its_handler_does_to_it(
    house: House, handler: Callable[[], str], result: str
) -> None:
    house.job("odd", handler, cpu=True)
    house.job("whoami", cpu_jobs.whoami, cpu=True)
    await house.worker(ONE_SLOT)

    job = await house.ended(await house.submit("odd"))

    assert job.status is Status.SUCCEEDED, job.error
    assert json.loads(await house.result(job.id) or b"") == result
    assert await _child(house)


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        (cpu_jobs.sys_exits, "SystemExit"),
        (cpu_jobs.interrupts, "KeyboardInterrupt"),
        (cpu_jobs.unserialisable, "InvalidInput"),
    ],
)
async def test_what_a_child_raises_is_an_attempt_that_failed(
    house: House, handler: Callable[[], object], error_type: str
) -> None:
    house.job("odd", handler, cpu=True)
    house.job("whoami", cpu_jobs.whoami, cpu=True)
    await house.worker(ONE_SLOT)

    job = await house.ended(await house.submit("odd", max_attempts=1))

    assert job.error is not None
    assert (job.error.error_type, job.attempts, job.counters.crashes) == (error_type, 1, 0)
    assert await _child(house)


async def test_a_child_that_closes_all_its_files_is_a_crash(house: House) -> None:
    house.job("closes", cpu_jobs.closes, cpu=True)
    house.job("whoami", cpu_jobs.whoami, cpu=True)
    await house.worker(ONE_SLOT)

    job_id = await house.submit("closes")
    await house.until(job_id, lambda job: job.counters.crashes >= 1)

    assert await _child(house)


async def test_a_handler_that_a_child_could_not_find_is_refused_when_it_is_registered(house: House) -> None:
    def local() -> None:
        return None

    with pytest.raises(ConfigError, match="function of a module"):
        house.job("local", local, cpu=True)


def test_a_killed_child_is_never_lent_again() -> None:
    processes = Processes()
    child = processes.lend()
    child.kill()
    processes.give_back(child)
    other = processes.lend()
    processes.give_back(other)
    processes.close()

    assert other is not child


async def test_odd_log_lines_of_a_child_neither_fail_its_job_nor_count_as_its_answer(house: House) -> None:
    house.job("odd", cpu_jobs.logs_oddly_and_gives_up, cpu=True)
    await house.worker()

    job = await house.ended(await house.submit("odd"))

    assert (job.status, job.attempts, job.error and job.error.code) == (Status.FAILED, 1, "meant")
