"""What must hold of any job's history, whoever did what to it at the same time."""

from collections.abc import Sequence
from typing import Final

from tidegate.core.job import Job, Status
from tidegate.core.lifecycle import LEGAL
from tidegate.core.query import Event, HistoryEntry
from tidegate.ports import Engine

LEAVES: Final = {
    Event.SUBMITTED: Status.QUEUED,
    Event.CLAIMED: Status.RUNNING,
    Event.SUCCEEDED: Status.SUCCEEDED,
    Event.RETRIED: Status.QUEUED,
    Event.DEFERRED: Status.QUEUED,
    Event.FAILED: Status.FAILED,
    Event.CANCELLED: Status.CANCELLED,
    Event.REVIVED: Status.QUEUED,
}
"""The stored status that a step leaves; the other steps leave it as it was."""

ENDS_A_RUN: Final = frozenset({Event.SUCCEEDED, Event.RETRIED, Event.DEFERRED, Event.FAILED, Event.CANCELLED})


def check_history(job: Job, entries: Sequence[HistoryEntry]) -> None:
    """Every step was legal, runs are gapless, each ended once, and the job is what its history says."""
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert entries[0].event is Event.SUBMITTED
    runs = [entry.run for entry in entries if entry.event is Event.CLAIMED]
    assert runs == list(range(1, job.counters.runs + 1))
    assert _walked(entries) is job.status


def _walked(entries: Sequence[HistoryEntry]) -> Status:
    """The status after all steps, each of which must be legal."""
    status = Status.QUEUED
    for entry in entries[1:]:
        if entry.event in (Event.RECLAIMED, Event.CANCEL_REQUESTED):
            assert status is Status.RUNNING or (entry.event is Event.RECLAIMED and status is Status.QUEUED)
            status = Status.RUNNING
        elif entry.event is Event.DISMISSED:
            assert status is Status.FAILED
        else:
            assert LEAVES[entry.event] in LEGAL[status], f"{entry} from {status}"
            status = LEAVES[entry.event]
    return status


async def check_all(engine: Engine, jobs: Sequence[Job | None]) -> list[Job]:
    """Check every job's history; the jobs."""
    found = [job for job in jobs if job is not None]
    for job in found:
        check_history(job, await engine.history(job.id))
    return found
