"""What a server tells, as values. What a newer server says beyond these is ignored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tidegate.core.access import Role
from tidegate.core.job import Phase, Status
from tidegate.core.query import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run says it is: `fraction` in 0..1, or None where it can't tell."""

    fraction: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Where a job stands; docs/reference/jobs.md has the fields."""

    job_id: str
    status: Status
    phase: Phase
    attempts: int
    progress: Progress | None
    wait_reason: str | None
    wait_until: datetime | None
    retry_at: datetime | None
    result_path: str | None
    result_url: str | None
    error: str | None
    error_type: str | None
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    timeout_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobItem(JobStatus):
    """A job in a list."""

    user_id: str
    type: str
    queue: str
    upstream: str | None
    priority: int
    tags: list[str]
    max_attempts: int
    run_at: datetime
    degraded: bool
    served_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails(JobItem):
    """All that is known of a job. `retry` is its policy, `timeout` the seconds of one run."""

    idempotency_key: str | None
    request_id: str
    traceparent: str | None
    retry: dict[str, object]
    timeout: float
    expires_at: datetime | None
    runs: int
    upstream_faults: int
    crashes: int
    interruptions: int
    cancel_requested_at: datetime | None
    dismissed_at: datetime | None
    prune_at: datetime | None
    payload: object
    result: object


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStep:
    """A step of a job, its `seq`th; `run` is the run it belongs to, 0 before any."""

    seq: int
    at: datetime
    event: Event
    run: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """A step of a job, its `seq`th, or its progress (`event` is then "progress", and `seq` None).

    `status`, `attempts` and `progress` are the job's as it stood when this was sent: on the last event, its outcome.
    """

    seq: int | None
    at: datetime
    event: str
    run: int
    note: str
    status: Status
    attempts: int
    progress: Progress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent(JobStep):
    """A step of one of the jobs that one may see. Whoever comes back with its `id` goes on behind it."""

    id: str
    job_id: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReset:
    """Steps may have been missed before this one: read lists anew."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One call to a model: `cost` in millionths of a US dollar, None where the price is not known."""

    run: int
    upstream: str
    input_tokens: int
    output_tokens: int
    cost: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a job, its `run`th; `counted` is whether it is held against `max_attempts`, None where not known yet.

    `note` is a failure's code, a refund's cause or a cancel's note. `reclaimed`: its lease was taken over from its
    worker. `usage` is None while the artifact store is away.
    """

    run: int
    started_at: datetime
    ended_at: datetime | None
    outcome: Literal["running", "succeeded", "retried", "deferred", "failed", "cancelled"]
    note: str
    counted: bool | None
    reclaimed: bool
    usage: list[Usage] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a job made; `path` is what `download` takes."""

    path: str
    size: int
    modified_at: datetime
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An uploaded file; `file` is what a job's payload names it by."""

    file: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTypeInfo:
    """A job type; `payload_schema` is the JSON schema of its payload."""

    name: str
    description: str
    mode: str
    queue: str
    upstream: str | None
    max_attempts: int
    timeout: float
    payload_schema: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker: `running` of its `slots` are taken. `state` is live, silent, stopped or lost.

    A silent one, which is `stale`, holds leases and is not heard of.
    """

    id: str
    state: str
    stale: bool
    last_seen_at: datetime | None
    host: str | None
    pid: int | None
    started_at: datetime | None
    version: str | None
    slots: int | None
    running: int | None
    queues: list[str]
    types: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs stand where, in the whole store; docs/reference/http.md says what each counts."""

    total_jobs: int
    active_jobs: int
    completed_jobs: int
    failed_jobs: int
    dead_letter_jobs: int
    cancelled_jobs: int
    queue_length: int
    retry_queue_length: int
    dlq_length: int
    workers: int
    oldest_ready_age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What a server works on. `warnings` say what a person should look at, such as a queue that no worker serves."""

    status: str
    engine: str
    engine_version: str
    schema_version: str
    durability: str
    artifacts: str
    oldest_ready_age: float
    workers: int
    warnings: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What a server is, and where its documents are."""

    name: str
    version: str
    docs: str
    openapi: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as the server sees it. `name` is "" and `user_id` None while no key is asked for."""

    role: Role
    name: str
    user_id: str | None
