"""kill -9 of a process under load: whatever it acknowledged is there, and the store is whole."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conformance import build
from tests.engines.sqlite.worlds import check_books
from tidegate.core.job import Cancel, Ending, JobId, Status
from tidegate.core.query import Event
from tidegate.core.verbs import Settled
from tidegate.engines.sql.sqlite.engine import SqliteEngine

ROUNDS = 5
TORN = 12
"""Lines after which the process is killed, times the round: early, and later."""


def killed_at_work(store: Path, lines: int) -> list[tuple[str, JobId]]:
    """Let a process work the store, kill it when it has said so much, and give all that it said."""
    command = [sys.executable, "-m", "tests.engines.sqlite.busy", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = [process.stdout.readline() for _ in range(lines)]
        finally:
            process.kill()
        said += process.stdout.readlines()
    return [
        (line.split()[0], JobId(line.split()[1])) for line in said if line.endswith("\n") and len(line.split()) == 2
    ]


def of(word: str, said: Iterable[tuple[str, JobId]]) -> set[JobId]:
    return {job_id for what, job_id in said if what == word}


@pytest.mark.slow
@pytest.mark.e2e
async def test_killing_the_owner_loses_nothing_that_it_acknowledged(store: Path) -> None:
    said: list[tuple[str, JobId]] = []
    for number in range(1, ROUNDS + 1):
        said += killed_at_work(store, TORN * number**3)
        async with SqliteEngine(store) as engine:
            submitted, settled = sorted(of("submitted", said)), of("settled", said)
            found = {job.id: job for job in await engine.get(submitted) if job is not None}
            assert sorted(found) == submitted
            assert {found[job_id].status for job_id in settled & found.keys()} <= {Status.SUCCEEDED}
            await _end_what_was_running(engine)
        check_books(store)
    assert len(of("submitted", said)) > 500
    assert len(of("settled", said)) > 100


async def _end_what_was_running(engine: SqliteEngine) -> None:
    """A new process takes over what the dead one held: each was claimed and not settled."""
    dead = tuple(await engine.holders())
    taken = await engine.reclaim(build.reclaim_request(dead=dead, limit=200), build.nonce() + "r")
    for lease in (one.lease for one in taken):
        steps = [entry.event for entry in await engine.history(lease.job.id)]
        assert steps == [Event.SUBMITTED, Event.CLAIMED, Event.RECLAIMED]
    endings = [Ending(job_id=one.lease.job.id, token=one.lease.token, settlement=Cancel()) for one in taken]
    assert set(await engine.settle(endings)) <= {Settled.APPLIED}
    assert await engine.holders() == []
