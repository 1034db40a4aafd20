"""The life of a job, decided here and nowhere else.

`decide` turns how a run ended into what shall become of the job; engines apply the answer and workers carry
it. `LEGAL` is every step a stored status may take: the property tests, the schema's CHECKs and the diagram
in the docs are made from it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, assert_never

from tidegate.core import failure as codes
from tidegate.core.failure import Failure
from tidegate.core.job import (
    Bury,
    Cancel,
    Cancelled,
    Defer,
    Deferred,
    Expired,
    Interrupted,
    Job,
    Lost,
    Outcome,
    Phase,
    Raised,
    Refund,
    Retry,
    Returned,
    Settlement,
    Status,
    Succeed,
    TimedOut,
    UpstreamFailed,
    UpstreamRefused,
)
from tidegate.core.retry import UPSTREAM_BACKOFF, Exponential, delay, next_delay
from tidegate.core.text import SYSTEM_PREFIX

LEGAL: Final[Mapping[Status, frozenset[Status]]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED}),  # claim, cancel; expiry goes through running
    Status.RUNNING: frozenset({Status.QUEUED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),  # revive
    Status.CANCELLED: frozenset({Status.QUEUED}),  # revive
}

MAX_CRASHES: Final = 3
"""Crashes after which a job is quarantined: it kills workers (reliability.md C11)."""

MAX_SYSTEM_CRASHES: Final = 100
"""The same of Tidegate's own jobs: they kill nobody, and outlive the restarts of whoever runs them."""

CRASH_BACKOFF: Final = Exponential(initial=timedelta(seconds=5), factor=6.0, cap=timedelta(minutes=3), jitter=0.1)
"""Waits from the second crash on; the first is most often the machine's fault, so it waits for nothing."""

MAX_UPSTREAM_FAULTS: Final = 50
MAX_UPSTREAM_AGE: Final = timedelta(hours=24)
"""A job is buried for its upstream only beyond both: many faults, and a day since it was due."""

EXPIRED: Final = Failure(code=codes.EXPIRED, message="it still waited at its expires_at", transient=False)

TIMEOUT_GRACE: Final = timedelta(seconds=2)
"""How far past `timeout_at` anybody else may settle a run: its own worker, if it lives, comes first."""


def decide(job: Job, outcome: Outcome, *, now: datetime, dice: float) -> Settlement:
    """What shall become of `job`, whose newest run ended with `outcome`.

    `dice` in [0, 1) spreads delays. A committed cancel beats every outcome. Total: every job and outcome
    has an answer, and the same arguments have the same one.
    """
    if job.cancel_requested_at is not None:
        return Cancel(note=f"{_word(outcome)} after cancel")
    match outcome:
        case Returned():
            return Succeed(
                result=outcome.result,
                result_path=outcome.result_path,
                degraded=outcome.degraded,
                served_by=outcome.served_by,
            )
        case Raised():
            return _retry_or_bury(job, outcome.failure, dice)
        case TimedOut():
            return _timed_out(job, dice)
        case UpstreamRefused():
            wait = delay(UPSTREAM_BACKOFF, 1, dice=dice)  # the gate does the waiting: this only stops a loop
            return Defer(delay=wait, refund=Refund.INTERRUPTION, lane=outcome.lane)
        case UpstreamFailed():
            return _upstream_failed(job, outcome, now, dice)
        case Deferred():
            return Defer(delay=outcome.after, refund=Refund.INTERRUPTION, failure=outcome.failure, lane=outcome.lane)
        case Cancelled():
            return Cancel(note="cancelled while running")
        case Interrupted():
            return _interrupted(outcome)
        case Lost():
            return _lost(job, outcome, now, dice)
        case Expired():
            return Bury(failure=EXPIRED)
        case _:
            assert_never(outcome)


def phase(job: Job, now: datetime, shut: Collection[str] = ()) -> Phase:
    """What `job.status` means at `now`; `shut` are the gates that have a `not_before` ahead."""
    match job.status:
        case Status.QUEUED if job.run_at <= now:
            queue, *upstreams = (gate in shut for gate in job.lane.gates)
            return Phase.PAUSED if queue else Phase.PARKED if any(upstreams) else Phase.READY
        case Status.QUEUED:
            return Phase.RETRYING if job.counters.runs > job.counters.base else Phase.SCHEDULED
        case Status.RUNNING:
            return Phase.RUNNING
        case Status.SUCCEEDED:
            return Phase.DEGRADED if job.degraded else Phase.SUCCEEDED
        case Status.FAILED:
            return Phase.FAILED if job.dismissed_at else Phase.DEAD_LETTER
        case Status.CANCELLED:
            return Phase.CANCELLED
        case _:
            assert_never(job.status)


def overdue(job: Job, now: datetime) -> bool:
    """Whether anybody may settle the newest run as timed out."""
    return job.status is Status.RUNNING and job.timeout_at is not None and now >= job.timeout_at + TIMEOUT_GRACE


def _retry_or_bury(job: Job, failure: Failure, dice: float) -> Settlement:
    if not failure.transient:
        return Bury(failure=failure)
    wait = next_delay(job.spec.retry, job.attempts, failure.names, dice=dice, retry_after=failure.retry_after)
    return Bury(failure=failure) if wait is None else Retry(delay=wait, failure=failure)


def _timed_out(job: Job, dice: float) -> Settlement:
    failure = Failure(
        code=codes.TIMEOUT,
        message=f"the run took longer than its timeout of {job.spec.timeout.total_seconds():g} s",
        transient=job.spec.retry_on_timeout,
    )
    return _retry_or_bury(job, failure, dice)


def _upstream_failed(job: Job, outcome: UpstreamFailed, now: datetime, dice: float) -> Settlement:
    faults = job.counters.upstream_faults + 1
    if faults >= MAX_UPSTREAM_FAULTS and now - job.due_at >= MAX_UPSTREAM_AGE:
        return Bury(failure=outcome.failure, refund=Refund.UPSTREAM_FAULT)
    wait = delay(outcome.backoff, 1 if outcome.prompt else faults, dice=dice, retry_after=outcome.failure.retry_after)
    wait = max(wait, outcome.at_least)
    return Defer(delay=wait, refund=Refund.UPSTREAM_FAULT, failure=outcome.failure, lane=outcome.lane)


def _interrupted(outcome: Interrupted) -> Settlement:
    if outcome.fatal:
        return Bury(failure=Failure(code=codes.WORKER_SHUTDOWN, message="its worker was shut down", transient=False))
    return Defer(delay=timedelta(0), refund=Refund.INTERRUPTION)


def _lost(job: Job, outcome: Lost, now: datetime, dice: float) -> Settlement:
    if overdue(job, now):
        return _timed_out(job, dice)
    if outcome.owner_alive:
        return Defer(delay=timedelta(0), refund=Refund.INTERRUPTION)
    crashes = job.counters.crashes + 1
    if crashes >= (MAX_SYSTEM_CRASHES if job.spec.type.startswith(SYSTEM_PREFIX) else MAX_CRASHES):
        text = f"its worker vanished {crashes} times while it ran: it may be what kills them"
        return Bury(failure=Failure(code=codes.QUARANTINED, message=text, transient=False), refund=Refund.CRASH)
    wait = timedelta(0) if crashes == 1 else delay(CRASH_BACKOFF, crashes - 1, dice=dice)
    crashed = Failure(code=codes.CRASHED, message="its worker vanished while it ran; it runs again")
    return Defer(delay=wait, refund=Refund.CRASH, failure=crashed)


def _word(outcome: Outcome) -> str:
    match outcome:
        case Returned():
            return "finished"
        case Cancelled():
            return "stopped"
        case _:
            return type(outcome).__name__.lower()
