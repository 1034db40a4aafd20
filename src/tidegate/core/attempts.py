"""What became of each of a job's runs, read off its history."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tidegate.core.failure import QUARANTINED
from tidegate.core.job import Job, Refund, Status
from tidegate.core.lifecycle import MAX_UPSTREAM_FAULTS
from tidegate.core.query import Event, HistoryEntry

_ENDS: Final = frozenset({Event.SUCCEEDED, Event.RETRIED, Event.DEFERRED, Event.FAILED, Event.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run, from its claim to its end.

    `outcome` and `ended_at` are None while it is under way. `note` is its end's: a failure's code, a refund's cause or
    a cancel's note. `counted` says whether it is held against `max_attempts`, None where that is not known (yet).
    `reclaimed`: its lease was taken over from the worker that had it.
    """

    run: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Event | None = None
    note: str = ""
    counted: bool | None = None
    reclaimed: bool = False


def attempts(history: Iterable[HistoryEntry], job: Job) -> tuple[Attempt, ...]:
    """The runs of `job`, oldest first, from its history from the beginning on; its end may be missing.

    Endings of a job that waited (a cancel, an expiry) are no run's.
    """
    runs: list[Attempt] = []
    for entry in history:
        if entry.event is Event.CLAIMED:
            runs.append(Attempt(run=entry.run, started_at=entry.at))
        elif runs and runs[-1].outcome is None:
            runs[-1] = _after(runs[-1], entry, runs)
    return (*runs[:-1], _exactly(runs, job)) if runs else ()


def _after(run: Attempt, entry: HistoryEntry, runs: Sequence[Attempt]) -> Attempt:
    if entry.event is Event.RECLAIMED:
        return replace(run, reclaimed=True)
    if entry.event not in _ENDS:
        return run
    return replace(run, ended_at=entry.at, outcome=entry.event, note=entry.note, counted=_counted(entry, runs))


def _counted(entry: HistoryEntry, runs: Sequence[Attempt]) -> bool | None:
    """Whether an ending leaves its run counted. Of a failure for good history keeps the code, and not the refund."""
    if entry.event is not Event.FAILED:
        return entry.event is not Event.DEFERRED
    if entry.note == QUARANTINED:
        return False
    faults = sum(run.note == Refund.UPSTREAM_FAULT for run in runs)
    return True if faults < MAX_UPSTREAM_FAULTS - 1 else None  # else its upstream may have been what buried it


def _exactly(runs: Sequence[Attempt], job: Job) -> Attempt:
    """The newest run; where it failed for good, the job's own counters say whether it was counted."""
    newest, counters = runs[-1], job.counters
    since = [run for run in runs if run.run > counters.base]
    whole = len(since) == counters.runs - counters.base
    if newest.outcome is not Event.FAILED or job.status is not Status.FAILED or not since or not whole:
        return newest
    return replace(newest, counted=counters.attempts > sum(run.counted is True for run in since[:-1]))
