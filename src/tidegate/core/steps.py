"""What each step does to a job, as pure functions: the meaning of the engine's verbs.

The memory engine runs these; the other engines say the same in SQL and Lua, and the conformance suite holds
them to it. Every function takes the store's `now`.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from tidegate.core.job import (
    Bury,
    Cancel,
    Counters,
    Defer,
    Job,
    NewJob,
    Refund,
    Retry,
    Settlement,
    Status,
    Succeed,
)
from tidegate.core.query import Event

SHORTEST_KEPT = timedelta(minutes=10)
"""A finished job stays at least this long, so that a repeated submit of its id can't run it again."""


def accepted(new: NewJob, seq: int, now: datetime) -> Job:
    """A submitted job, queued."""
    due_at = now + new.delay if new.run_at is None else new.run_at
    return Job(
        id=new.id,
        seq=seq,
        spec=new.spec,
        lane=new.spec.lane,
        status=Status.QUEUED,
        created_at=now,
        run_at=due_at,
        due_at=due_at,
        expires_at=new.spec.expires_at,
    )


def claimed(job: Job, now: datetime) -> Job:
    """A queued job, leased for its next run."""
    return replace(
        job,
        status=Status.RUNNING,
        counters=replace(job.counters, runs=job.counters.runs + 1),
        started_at=now,
        timeout_at=now + job.spec.timeout,
        progress=None,
    )


def settled(job: Job, settlement: Settlement, now: datetime) -> Job:
    """A running job, after its run ended with `settlement`."""
    match settlement:
        case Succeed():
            return replace(
                ended(job, Status.SUCCEEDED, now),
                error=None,
                result_path=settlement.result_path,
                degraded=settlement.degraded,
                served_by=settlement.served_by,
            )
        case Retry():
            return replace(
                job,
                status=Status.QUEUED,
                run_at=now + settlement.delay,
                error=settlement.failure,
                timeout_at=None,
            )
        case Defer():
            return replace(
                job,
                status=Status.QUEUED,
                run_at=now + settlement.delay,
                error=settlement.failure or job.error,
                timeout_at=None,
                counters=refunded(job.counters, settlement.refund),
                lane=settlement.lane or job.lane,
            )
        case Bury():
            buried = replace(ended(job, Status.FAILED, now), error=settlement.failure)
            return replace(buried, counters=refunded(job.counters, settlement.refund))
        case Cancel():
            return ended(job, Status.CANCELLED, now)
        case _:
            assert_never(settlement)


def ended(job: Job, status: Status, now: datetime) -> Job:
    """A job that has finished as `status`, and when it will be pruned."""
    kept = max(job.spec.retention.after(status), SHORTEST_KEPT)
    return replace(job, status=status, finished_at=now, prune_at=now + kept)


def waited_out(job: Job) -> Job:
    """A queued job that a reaper took because it waited too long: no run was counted."""
    return replace(job, status=Status.RUNNING)


def revived(job: Job, now: datetime) -> Job:
    """A failed or cancelled job, queued as if new."""
    return Job(
        id=job.id,
        seq=job.seq,
        spec=job.spec,
        lane=job.spec.lane,
        status=Status.QUEUED,
        created_at=job.created_at,
        run_at=now,
        due_at=now,
        counters=Counters(runs=job.counters.runs, base=job.counters.runs),
    )


def refunded(counters: Counters, cause: Refund | None) -> Counters:
    """The counters with the newest run taken off the attempts."""
    match cause:
        case None:
            return counters
        case Refund.UPSTREAM_FAULT:
            return replace(counters, upstream_faults=counters.upstream_faults + 1)
        case Refund.CRASH:
            return replace(counters, crashes=counters.crashes + 1)
        case Refund.INTERRUPTION:
            return replace(counters, interruptions=counters.interruptions + 1)
        case _:
            assert_never(cause)


def recorded(settlement: Settlement) -> tuple[Event, str]:
    """The history entry of a settlement: its event and its note."""
    match settlement:
        case Succeed():
            return Event.SUCCEEDED, "degraded" if settlement.degraded else ""
        case Retry():
            return Event.RETRIED, settlement.failure.code
        case Defer():
            return Event.DEFERRED, settlement.refund.value
        case Bury():
            return Event.FAILED, settlement.failure.code
        case Cancel():
            return Event.CANCELLED, settlement.note
        case _:
            assert_never(settlement)
