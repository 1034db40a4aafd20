"""What a server tells, as values. What a newer server says beyond these is ignored."""

from dataclasses import dataclass
from datetime import datetime

from tidegate.core.job import Phase, Status
from tidegate.core.query import Event
from tidegate.core.states import Override, State


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

    user_id: str
    idempotency_key: str | None
    request_id: str
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
class Usage:
    """One call to a model: `cost` in millionths of a US dollar, None where the price is not known."""

    run: int
    upstream: str
    input_tokens: int
    output_tokens: int
    cost: int | None


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
class Overridden:
    """An operator's word that holds for the whole fleet."""

    state: Override
    author: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamInfo:
    """The health of an upstream; `limit` is how many jobs may run at once, None for any number."""

    name: str
    state: State
    until: datetime | None
    why: str
    rules: str
    parents: list[str]
    limit: int | None
    faults: int
    opens: int
    waiting: int
    running: int
    override: Overridden | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A change of a breaker, or an operator's word; `author` is "" where nobody but the breaker decided."""

    at: datetime
    to: str
    why: str
    until: datetime | None
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueInfo:
    """A queue: its jobs by where they stand, and whether it is paused."""

    name: str
    paused: bool
    paused_at: datetime | None
    resumes_at: datetime | None
    why: str
    consecutive_errors: int
    last_error_at: datetime | None
    waiting: int
    ready: int
    running: int
    dead_letters: int
    depth: int
    oldest_ready_age: float | None
    throughput: float | None
