"""Jobs, their history, artifacts and uploads, as clients send them and are told of them."""

from typing import Annotated, Final

from pydantic import AwareDatetime, Field, StringConstraints

from tidegate.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Phase, Status
from tidegate.core.query import Event
from tidegate.core.retry import MOST_ATTEMPTS
from tidegate.handlers import LONGEST_TIMEOUT
from tidegate.http.schemas.base import Instant, Sent, Told
from tidegate.http.schemas.retrying import RETRY_EXAMPLES, RETRY_WORDS, Retry
from tidegate.requests import LONGEST_DELAY, LONGEST_TAG, MOST_TAGS

KEY_PATTERN: Final = r"^[ -~]{1,255}$"


class JobCreate(Sent):
    """A job to run. Everything but `type` has the job type's default."""

    type: str = Field(max_length=128, description="A job type; `GET /job-types` lists them.", examples=["analysis"])
    payload: object = Field({}, description="What the handler is given: JSON that fits the type's schema.")
    idempotency_key: Annotated[str, StringConstraints(pattern=KEY_PATTERN)] | None = Field(
        None, description="The same key gives the same job. May be sent as the header Idempotency-Key instead."
    )
    queue: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,127}$")] | None = None
    priority: int = Field(0, ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY, description="Higher comes first.")
    run_at: Instant | None = Field(None, description="Not before this instant. Not together with `delay`.")
    delay: float | None = Field(None, ge=0, le=LONGEST_DELAY.total_seconds(), description="Seconds until it is due.")
    max_attempts: int | None = Field(None, ge=1, le=MOST_ATTEMPTS)
    retry: Retry | None = Field(None, description=RETRY_WORDS, examples=RETRY_EXAMPLES)
    timeout: float | None = Field(
        None, gt=0, le=LONGEST_TIMEOUT.total_seconds(), description="Seconds that one run may take."
    )
    expires_at: Instant | None = Field(None, description="If it still waits then, it fails with code `expired`.")
    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TAG)]] | None = Field(
        None, max_length=MOST_TAGS
    )


class JobAccepted(Told):
    """A job was accepted, now or by an earlier request under the same idempotency key.

    `status` is null where that job has been pruned since.
    """

    job_id: str
    status: Status | None
    status_url: str


class JobProgress(Told):
    """How far a run says it is: `fraction` in 0..1, null where it can't tell."""

    fraction: float | None
    message: str


class JobStatus(Told):
    """Where a job stands.

    `phase` says more than `status`. `wait_reason` says why a queued job does not run, and `wait_until` until when at
    least, null where nobody knows. `error` is a stable code, `error_type` the exception's
    class, `error_message` its text: the newest failure's, also while a retry waits.
    """

    job_id: str
    status: Status
    phase: Phase
    attempts: int
    progress: JobProgress | None
    wait_reason: str | None
    wait_until: AwareDatetime | None
    retry_at: AwareDatetime | None
    result_path: str | None
    result_url: str | None
    error: str | None
    error_type: str | None
    error_message: str | None
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    timeout_at: AwareDatetime | None


class JobItem(JobStatus):
    """A job in a list."""

    user_id: str
    type: str
    queue: str
    upstream: str | None
    priority: int
    tags: list[str]
    max_attempts: int
    run_at: AwareDatetime
    degraded: bool
    served_by: str | None


class JobWhole(JobItem):
    """All that is known of a job. `runs` counts every start, `attempts` those held against `max_attempts`.

    `traceparent` is the W3C trace context of the request that asked for it, null where it had none.
    `retry` is its policy and `timeout` the seconds of one run. `result` is null where it is too large to be
    shown here: `result_url` has it.
    """

    idempotency_key: str | None
    request_id: str
    traceparent: str | None
    retry: Retry
    timeout: float
    expires_at: AwareDatetime | None
    runs: int
    upstream_faults: int
    crashes: int
    interruptions: int
    cancel_requested_at: AwareDatetime | None
    dismissed_at: AwareDatetime | None
    prune_at: AwareDatetime | None
    payload: object
    result: object


class JobList(Told):
    """A page of jobs, newest first. `next` is the `cursor` of the page after it, null at the end.

    A page may be short and still have a `next`. `total` is exact, or null where counting would be slow.
    """

    items: list[JobItem]
    total: int | None
    limit: int
    offset: int
    next: str | None


class UsageItem(Told):
    """One call to a model: `cost` in millionths of a US dollar, null where the price is not known."""

    run: int
    upstream: str
    input_tokens: int
    output_tokens: int
    cost: int | None


class JobUsage(Told):
    """What a job spent on models, call by call, those of failed runs too; `cost` is the sum of those known."""

    items: list[UsageItem]
    cost: int


class HistoryItem(Told):
    """A step of a job, its `seq`th; `run` is the run it belongs to, 0 before any."""

    seq: int
    at: AwareDatetime
    event: Event
    run: int
    note: str


class HistoryList(Told):
    """Steps, oldest first. `next` is the `after` of the page after it, null at the end."""

    items: list[HistoryItem]
    next: int | None


class ArtifactItem(Told):
    """A file that the job made; `path` is its name below the job's artifacts."""

    path: str
    size: int
    modified_at: AwareDatetime
    url: str


class ArtifactList(Told):
    """The files that the job's successful run made; empty before it succeeded."""

    items: list[ArtifactItem]


class UploadReceived(Told):
    """An uploaded file; `file` is what a job's payload names it by."""

    file: str = Field(examples=["upload:01890a5d-ac96-774b-bcce-b302099a8057"])
    name: str
    size: int
    sha256: str
