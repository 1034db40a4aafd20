"""What nobody looks after any more is taken over, by cause; and what is over is forgotten."""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.worker import cpu_jobs
from tests.worker.house import AT_ONCE, QUICK, House, Watch, dead_owner, eventually, on_python, on_sqlite
from tidegate.clock import token
from tidegate.core import lifecycle
from tidegate.core.failure import CRASHED, EXPIRED, QUARANTINED, TIMEOUT
from tidegate.core.job import Owner, Retention, Spec, Status
from tidegate.core.query import Event as Step
from tidegate.core.query import WorkerInfo
from tidegate.core.retry import Exponential
from tidegate.errors import ArtifactUnavailable
from tidegate.telemetry.events import Ended, Expired, Finished, Pruned, Reclaimed
from tidegate.worker.identity import dead, identity
from tidegate.worker.pruner import Pruner

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=50)


def _info(owner: Owner) -> WorkerInfo:
    return WorkerInfo(
        owner=owner,
        host="elsewhere",
        pid=1,
        started_at=datetime.now(UTC),
        version="test",
        slots=1,
        busy=1,
        queues=("default",),
        types=("quick",),
    )


async def _quick() -> str:
    return "done"


async def test_what_a_dead_process_of_this_host_held_is_taken_over_at_once(house: House) -> None:
    owner = dead_owner()
    assert dead(owner)
    house.job("quick", _quick)
    job_id = await house.submit("quick")
    await house.claim_as(owner, "quick", LONG)

    watch = Watch()
    await house.worker()
    job = await house.ended(job_id)

    assert watch.seconds < 2
    assert (job.status, job.counters.crashes, job.attempts) == (Status.SUCCEEDED, 1, 1)
    [event] = house.events(Reclaimed)
    assert event.former == owner


async def test_the_end_of_a_run_taken_over_says_how_long_it_ran(house: House) -> None:
    house.job("quick", _quick)
    job_id = await house.submit("quick")
    await house.claim_as(dead_owner(), "quick", LONG)

    await house.worker()
    await house.ended(job_id)
    await eventually(lambda: len(house.events(Finished)) == 2)

    taken_over, finished = house.events(Finished)
    assert taken_over.ended is Ended.DEFERRED
    assert taken_over.latency is not None
    assert timedelta(0) <= taken_over.latency < timedelta(seconds=5)
    assert finished.latency is not None


async def test_what_a_living_process_holds_is_left_to_it(house: House) -> None:
    house.job("quick", _quick)
    job_id = await house.submit("quick")
    await house.claim_as(identity(token()), "quick", LONG)

    await house.worker()
    await house.ended(await house.submit("quick"))

    assert (await house.look(job_id)).status is Status.RUNNING


async def test_a_lease_that_runs_out_without_an_owner_is_a_crash(house: House) -> None:
    house.job("quick", _quick)
    job_id = await house.submit("quick")
    await house.claim_as(Owner("elsewhere"), "quick", SHORT)

    await house.worker()
    job = await house.ended(job_id)

    assert (job.counters.crashes, job.counters.interruptions, job.attempts) == (1, 0, 1)


async def test_a_lease_that_runs_out_while_its_owner_is_announced_is_an_interruption(house: House) -> None:
    house.job("quick", _quick)
    job_id = await house.submit("quick")
    await house.claim_as(Owner("elsewhere"), "quick", SHORT)
    await house.engine.announce(_info(Owner("elsewhere")), LONG)

    await house.worker()
    job = await house.ended(job_id)

    assert (job.counters.crashes, job.counters.interruptions, job.attempts) == (0, 1, 1)


async def test_a_lease_of_an_owner_that_is_listed_and_no_more_heard_of_is_a_crash(house: House) -> None:
    house.job("quick", _quick)
    job_id = await house.submit("quick")
    await house.claim_as(Owner("elsewhere"), "quick", SHORT)
    silent = replace(_info(Owner("elsewhere")), live_until=house.clock.now())
    await house.engine.announce(silent, LONG)

    await house.worker()
    job = await house.ended(job_id)

    assert (job.counters.crashes, job.counters.interruptions, job.attempts) == (1, 0, 1)


async def test_a_lease_that_runs_out_while_its_owners_process_lives_is_an_interruption(house: House) -> None:
    """A handler that holds the GIL stops announcements too; it has not crashed anything."""
    house.job("quick", _quick)
    job_id = await house.submit("quick")
    await house.claim_as(identity(token()), "quick", SHORT)

    await house.worker()
    job = await house.ended(job_id)

    assert (job.counters.crashes, job.counters.interruptions, job.attempts) == (0, 1, 1)


async def test_a_job_that_nobody_ran_in_time_fails_as_expired(house: House) -> None:
    now = datetime.now(UTC)
    spec = Spec(type="unknown", expires_at=now + SHORT)
    house.job("quick", _quick)
    await house.worker()
    job_id = await house.submit_raw(replace(house.new_job("unknown", b"{}"), spec=spec))

    job = await house.ended(job_id)

    assert job.error is not None
    assert (job.status, job.error.code, job.attempts) == (Status.FAILED, EXPIRED, 0)
    assert await house.artifacts(job_id) == ["error.json"]
    await eventually(lambda: len(house.events(Expired)) == 1)


async def test_a_run_whose_worker_is_gone_is_timed_out_by_whoever_reads_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no worker alive at all."""
    monkeypatch.setattr(lifecycle, "TIMEOUT_GRACE", timedelta(seconds=0.1))
    monkeypatch.setattr("tidegate.worker.reaper.TIMEOUT_GRACE", timedelta(seconds=0.1))
    house.job("quick", _quick)
    job_id = await house.submit("quick", timeout=SHORT)
    await house.claim_as(Owner("elsewhere"), "quick", LONG)
    await asyncio.sleep(0.3)

    job = await house.system.client.get(job_id)

    assert job.error is not None
    assert (job.status, job.error.code) == (Status.FAILED, TIMEOUT)
    assert await house.artifacts(job_id) == ["error.json"]


async def test_a_job_that_kills_its_process_is_quarantined_and_harms_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "CRASH_BACKOFF", Exponential(initial=SHORT, factor=1.0, cap=SHORT, jitter=0))
    house.job("killed", cpu_jobs.killed, cpu=True)
    house.job("healthy", cpu_jobs.whoami, cpu=True)
    house.job("quick", _quick)
    await house.worker()

    killer = await house.submit("killed")
    neighbours = [*await house.submit_many("healthy", 5), *await house.submit_many("quick", 20)]

    job = await house.ended(killer)
    assert job.error is not None
    assert (job.status, job.error.code) == (Status.FAILED, QUARANTINED)
    assert (job.counters.runs, job.counters.crashes, job.attempts) == (3, 3, 0)
    notes = [entry.note for entry in await house.engine.history(killer) if entry.event is Step.DEFERRED]
    assert notes == ["crash", "crash"]
    for neighbour in await house.all_ended(neighbours):
        assert (neighbour.status, neighbour.counters.runs) == (Status.SUCCEEDED, 1)


@on_sqlite
async def test_a_job_of_tidegate_s_own_runs_again_after_a_fourth_crash(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "CRASH_BACKOFF", Exponential(initial=SHORT, factor=1.0, cap=SHORT, jitter=0))
    house.job("tidegate.killed", cpu_jobs.killed, cpu=True)
    await house.worker()

    job_id = await house.submit_raw(house.new_job("tidegate.killed", b"{}"))

    job = await house.until(job_id, lambda job: job.counters.crashes >= 4 or job.status.finished, 30)
    assert (job.status.finished, job.counters.crashes >= 4) == (False, True)


@pytest.mark.parametrize("handler", [cpu_jobs.exits, cpu_jobs.segfaults])
async def test_a_child_that_vanishes_is_a_crash_and_no_attempt(house: House, handler: object) -> None:
    assert callable(handler)
    house.job("vanishes", handler, cpu=True, retry=AT_ONCE)
    await house.worker()

    job = await house.until(await house.submit("vanishes"), lambda job: job.counters.crashes == 1)

    assert job.error is not None
    assert (job.error.code, job.attempts) == (CRASHED, job.counters.runs - job.counters.crashes)


# retention ------------------------------------------------------------------------------------------------


def _keep_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine keeps finished jobs for some minutes whatever their retention; not here."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tidegate.") and hasattr(module, "SHORTEST_KEPT"):
            monkeypatch.setattr(module, "SHORTEST_KEPT", timedelta(0))


@on_python
async def test_a_finished_job_past_its_retention_is_forgotten_with_its_artifacts(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep_for_nothing(monkeypatch)
    house.job("quick", _quick, retention=Retention(succeeded=SHORT))
    house.job("kept", _quick)
    old, kept = await house.submit("quick"), await house.submit("kept")
    await house.worker(replace(QUICK, prune_every=timedelta(seconds=0.1)))
    await house.ended(kept)

    await eventually(lambda: sum(event.count for event in house.events(Pruned)) == 1)

    assert await house.engine.get([old]) == [None]
    assert await house.artifacts(old) == []
    assert (await house.look(kept)).status is Status.SUCCEEDED
    assert await house.artifacts(kept) == ["result.json"]


@on_python
async def test_pruning_goes_on_where_artifacts_cannot_be_removed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(prefix: str) -> int:
        raise ArtifactUnavailable("down")

    _keep_for_nothing(monkeypatch)
    monkeypatch.setattr(house.runtime.artifacts, "delete_prefix", refuses)
    house.job("quick", _quick, retention=Retention(succeeded=timedelta(0)))
    jobs = await house.submit_many("quick", 3)
    await house.worker()
    await house.all_ended(jobs)

    assert await Pruner(house.runtime).sweep() == 3
    assert await house.engine.get(jobs) == [None, None, None]
