"""Why a job waits, in words that say until when."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tidegate.core.failure import BUDGET_SPENT
from tidegate.core.fault import Fault
from tidegate.core.job import Job, Lane, Status
from tidegate.core.query import WorkerInfo
from tidegate.core.rules import Rules
from tidegate.core.upstream import FOREVER, State, Upstream, gate, shut_until, state, word_at

FREE: Final = "it waits for a worker that serves its queue, has its job type and a free slot"

SOON: Final = timedelta(seconds=10)
"""How long a job may be due before it is asked whether anybody will ever run it: a worker that begins is heard of."""

Look = Callable[[str], tuple[Upstream, Rules]]
"""What is known of a gate, and the rules that hold for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReason:
    """`until` is when it may be over at the earliest, None where nobody knows; `gate` is what holds the job."""

    code: str
    message: str
    until: datetime | None = None
    gate: str | None = None


def lingers(job: Job, now: datetime) -> bool:
    """Whether a job has been due for so long that it matters who is at work."""
    return job.status is Status.QUEUED and now - job.run_at >= SOON


def wait_reason(
    job: Job, now: datetime, look: Look, workers: Collection[WorkerInfo] | None = None
) -> WaitReason | None:
    """Why a queued job is not running; None for any other job. `workers` are those at work, None where nobody knows.

    Codes: scheduled, retrying, budget (its user's is spent), paused (its queue), parked (its upstream), limited (as
    many run as may), unserved (no worker takes it), ready.
    """
    if job.status is not Status.QUEUED:
        return None
    held = shut_by(job.lane, now, look)
    if job.run_at > now and (held is None or held.until is None or held.until < job.run_at):
        return _later(job)
    return held or _unserved(job, now, workers) or _limited(job, now, look) or WaitReason(code="ready", message=FREE)


def _later(job: Job) -> WaitReason:
    if job.counters.runs == job.counters.base:
        return WaitReason(code="scheduled", message=f"it is due at {_clock(job.run_at)}", until=job.run_at)
    if job.error is not None and job.error.code == BUDGET_SPENT:
        return WaitReason(
            code="budget", message=f"{job.error.message}: it runs again at {_clock(job.run_at)}", until=job.run_at
        )
    why = job.error.code if job.error else "it gave way"
    return WaitReason(code="retrying", message=f"it runs again at {_clock(job.run_at)} ({why})", until=job.run_at)


def shut_by(lane: Lane, now: datetime, look: Look) -> WaitReason | None:
    """The gate of a lane that is shut longest, or whose probe decides; None where all are open."""
    reasons = [reason for name in lane.gates if (reason := _shut(name, *look(name), now)) is not None]
    return max(reasons, key=lambda reason: reason.until or FOREVER, default=None)


def _shut(name: str, upstream: Upstream, rules: Rules, now: datetime) -> WaitReason | None:
    kind, _, key = name.partition(":")
    subject, code = (f"queue {key}", "paused") if kind == "queue" else (key, "parked")
    until, given = shut_until(upstream, now), upstream.override
    if until is None:
        if state(upstream, now) is not State.HALF_OPEN:
            return None
        return WaitReason(code=code, message=f"{subject} is half-open: a probe decides", until=now, gate=name)
    end = None if until >= FOREVER else until
    when = "until it is cleared" if end is None else f"until {_clock(end)}"
    if until == upstream.spending.until:
        text = f"{subject} has spent its budget{f' of {rules.budget}' if rules.budget else ''} {when}"
    elif given is not None and word_at(upstream, now) is not None and state(upstream, now) is State.OPEN:
        text = f"{subject} was {'paused' if kind == 'queue' else 'opened'} by {given.author or 'an operator'} {when}"
    elif upstream.state is State.CLOSED:
        text = f"{subject} asked to wait {when}"
    else:
        text = f"{subject} is {_word(kind, upstream)} {when}: {upstream.why}"
    return WaitReason(code=code, message=text, until=end, gate=name)


def _word(kind: str, upstream: Upstream) -> str:
    match upstream.block:
        case Fault.QUOTA:
            return "blocked, its quota used up,"
        case Fault.AUTH:
            return "blocked, its credential refused,"
    return "paused" if kind == "queue" else "open"


def _unserved(job: Job, now: datetime, workers: Collection[WorkerInfo] | None) -> WaitReason | None:
    """What a worker does not tell, as those of earlier releases don't, it is believed to take."""
    if workers is None or not lingers(job, now):
        return None
    there = [worker for worker in workers if not worker.queues or job.lane.queue in worker.queues]
    if not there:
        return WaitReason(code="unserved", message=f"no worker serves queue {job.lane.queue}")
    if not any(not worker.types or job.spec.type in worker.types for worker in there):
        text = f"no worker that serves queue {job.lane.queue} has job type {job.spec.type}"
        return WaitReason(code="unserved", message=text)
    return None


def _limited(job: Job, now: datetime, look: Look) -> WaitReason | None:
    for name in job.lane.gates:
        upstream, rules = look(name)
        admits, subject = gate(upstream, rules, name, now), name.partition(":")[2]
        if admits.limit is not None:
            text = f"{subject} is given {admits.limit} jobs at a time for now"
            return WaitReason(code="limited", message=text, gate=name)
        if admits.pace is not None:
            text = f"{subject} is given a job every {admits.pace.period.total_seconds():g} s for now"
            return WaitReason(code="limited", message=text, gate=name)
    return None


def _clock(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
