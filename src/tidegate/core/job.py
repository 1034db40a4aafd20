"""What a job is: values that every layer shares and nobody changes in place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType, TypeAlias

from tidegate.core import retry
from tidegate.core.failure import Failure
from tidegate.core.retry import UPSTREAM_BACKOFF, Exponential, RetryPolicy

JobId = NewType("JobId", str)
"""A UUIDv7 in canonical lower-case form, made by whoever submits."""

Token = NewType("Token", str)
"""The secret of one lease: 128 random bits (the claim's nonce) and the lease's place in that claim."""

Owner = NewType("Owner", str)
"""Who holds a lease: `worker.identity` writes it and reads it back."""

LOWEST_PRIORITY: Final = 0
HIGHEST_PRIORITY: Final = 9

MOST_PARENTS: Final = 2
"""Of one upstream: the account there, and its provider."""

PAYLOAD_LIMIT: Final = 1_048_576
"""Bytes of a payload (REQUIREMENTS A13)."""

INLINE_RESULT_LIMIT: Final = 65_536
"""Bytes of a result that is also kept in the store, beside the artifact."""


class Status(StrEnum):
    """The stored status: one of these five words."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether the job has ended."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class Phase(StrEnum):
    """What `status` means just now; derived by `lifecycle.phase`, never stored."""

    SCHEDULED = "scheduled"
    READY = "ready"
    PARKED = "parked"
    PAUSED = "paused"
    RETRYING = "retrying"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"
    FAILED = "failed"
    DEAD_LETTER = "dead_letter"
    CANCELLED = "cancelled"


class Refund(StrEnum):
    """Why a run is not held against `max_attempts`; each has its counter on the job."""

    UPSTREAM_FAULT = "upstream_fault"
    CRASH = "crash"
    INTERRUPTION = "interruption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Where jobs of one queue and one upstream wait, in one line a job type.

    `parents` are the upstream's own parents (provider, account), nearest first, at most two. Lanes that
    differ in anything are different lanes.
    """

    queue: str = "default"
    upstream: str | None = None
    parents: tuple[str, ...] = ()

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of the gates that must all admit a claim from this lane."""
        upstreams = (self.upstream, *self.parents) if self.upstream else ()
        return (f"queue:{self.queue}", *(f"upstream:{name}" for name in upstreams))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long a finished job stays, per outcome; then it is pruned with its artifacts (A9)."""

    succeeded: timedelta = timedelta(hours=24)
    failed: timedelta = timedelta(hours=24)
    cancelled: timedelta = timedelta(hours=24)

    def after(self, status: Status) -> timedelta:
        """The time that a job ended with `status` is kept."""
        match status:
            case Status.SUCCEEDED:
                return self.succeeded
            case Status.FAILED:
                return self.failed
            case _:
                return self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What the submitter asked for; nothing in the store ever changes it.

    `timeout` bounds one run. `expires_at` bounds waiting, before every run. `idempotency_key` is scoped to
    `user_id`; `fingerprint` tells whether a repeat asks for the same work. `request_id` and `traceparent`
    tie the job to the call that made it.
    """

    type: str
    user_id: str = ""
    lane: Lane = field(default_factory=Lane)
    priority: int = LOWEST_PRIORITY
    tags: tuple[str, ...] = ()
    retry: RetryPolicy = retry.DEFAULT
    timeout: timedelta = timedelta(seconds=600)
    retry_on_timeout: bool = False
    expires_at: datetime | None = None
    retention: Retention = field(default_factory=Retention)
    idempotency_key: str | None = None
    fingerprint: str = ""
    request_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to submit. It becomes due at `run_at`, or `delay` after the store accepts it."""

    id: JobId
    spec: Spec
    payload: bytes = b"{}"
    run_at: datetime | None = None
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Runs by cause, all since the job was submitted or last revived, but `runs`, which never falls.

    `runs` counts every claim without a gap; `base` is `runs` as it stood at the last revival.
    """

    runs: int = 0
    upstream_faults: int = 0
    crashes: int = 0
    interruptions: int = 0
    base: int = 0

    @property
    def attempts(self) -> int:
        """The runs that are held against `max_attempts`."""
        return self.runs - self.upstream_faults - self.crashes - self.interruptions - self.base


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run says it is: `fraction` in 0..1, or None where it can't tell."""

    fraction: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the store knows it, without its payload and result (see `Body`).

    `seq` orders jobs by acceptance. `lane` is where it waits now (a deferral may move it). `run_at` is when
    it is or was due, `expires_at` when it may wait no longer (a revival lifts that). `due_at` is when it was
    first due since it was submitted or revived; retries and deferrals leave it. `started_at` and `timeout_at`
    belong to the newest run. `error` is the newest failure, kept while a retry waits. `prune_at` is set when
    it ends.
    """

    id: JobId
    seq: int
    spec: Spec
    lane: Lane
    status: Status
    created_at: datetime
    run_at: datetime
    due_at: datetime
    expires_at: datetime | None = None
    counters: Counters = field(default_factory=Counters)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    timeout_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    dismissed_at: datetime | None = None
    prune_at: datetime | None = None
    progress: Progress | None = None
    result_path: str | None = None
    error: Failure | None = None
    degraded: bool = False
    served_by: str | None = None

    def __repr__(self) -> str:
        return f"<job {self.id}: {self.spec.type}, {self.status}>"  # all of its fields are two thousand letters

    @property
    def attempts(self) -> int:
        """The runs that are held against `max_attempts`."""
        return self.counters.attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The bytes of a job: JSON in, JSON out; opaque to every engine."""

    payload: bytes
    result: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to end one run of one job, until `expires_at` or until it is reclaimed.

    `eras` are those of the lane's gates, by name, as the job was claimed.
    """

    job: Job
    payload: bytes
    token: Token
    owner: Owner
    expires_at: datetime
    eras: Mapping[str, int] = field(default_factory=dict)


# How a run ended, as the worker saw it ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The handler returned, and its result, if any, is stored at `result_path`."""

    result: bytes | None = None
    result_path: str | None = None
    degraded: bool = False
    served_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The handler raised, or its result could not be kept."""

    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRefused:
    """The handler found the lane's upstream shut before it called: nothing was tried."""

    lane: Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFailed:
    """The call to the lane's upstream failed through no fault of the job.

    `prompt` where the upstream's budget of retries allows another try soon; else the job waits ever longer. It waits
    `at_least` that long.
    """

    lane: Lane
    failure: Failure
    prompt: bool = False
    at_least: timedelta = timedelta(0)
    backoff: Exponential = UPSTREAM_BACKOFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The handler chose to run again after `after`, in `lane` where that is given; a `failure` says why."""

    after: timedelta
    lane: Lane | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """The run reached its `timeout_at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The run ended because the job was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The worker stops, and gives the job back; `fatal` where the job type asked to fail instead."""

    fatal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The lease ran out. `owner_alive` when its worker still lives and only the store was away."""

    owner_alive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """It never ran: it still waited at its `expires_at`."""


Outcome: TypeAlias = (
    Returned
    | Raised
    | UpstreamRefused
    | UpstreamFailed
    | Deferred
    | TimedOut
    | Cancelled
    | Interrupted
    | Lost
    | Expired
)


# What shall become of the job: decided by `lifecycle.decide`, applied by an engine -----------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeed:
    """End as succeeded."""

    result: bytes | None = None
    result_path: str | None = None
    degraded: bool = False
    served_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Back to queued, due after `delay`; the run is an attempt used."""

    delay: timedelta
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Defer:
    """Back to queued, due after `delay`; the run is refunded.

    A `failure` becomes the job's error, None leaves the one it has. `lane` moves the job to another lane.
    """

    delay: timedelta
    refund: Refund
    failure: Failure | None = None
    lane: Lane | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bury:
    """End as failed: a dead letter until it is dismissed, revived or pruned."""

    failure: Failure
    refund: Refund | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """End as cancelled; `note` says in the history what the run had come to."""

    note: str = ""


Settlement: TypeAlias = Succeed | Retry | Defer | Bury | Cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One run's settlement, and the follow-up jobs that exist if and only if it is applied."""

    job_id: JobId
    token: Token
    settlement: Settlement
    then: tuple[NewJob, ...] = ()
