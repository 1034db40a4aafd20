"""The wire of work on many jobs at once."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tidegate.core.job import Status
from tidegate.http.face import EVERYBODY
from tidegate.http.requests.parameters import StatusWord, Word
from tidegate.http.schemas.base import PROBLEM_TYPES, FieldFault, Instant, Sent, Told
from tidegate.http.schemas.jobs import KEY_PATTERN, JobCreate
from tidegate.system_jobs.scope import Action

MOST_JOBS: Final = 500
"""Jobs of one batch."""

FASTEST: Final = 10_000.0

Mode = Literal["all", "each"]


class Batch(Sent):
    """A batch before its jobs are looked at."""

    jobs: list[object] = Field(min_length=1, max_length=MOST_JOBS)
    mode: Mode = "all"


class BulkCreate(Sent):
    """Jobs to run, each under a key of its own, if it has one."""

    jobs: list[JobCreate] = Field(min_length=1, max_length=MOST_JOBS)
    mode: Mode = Field("all", description="`all`: one wrong job, and none is accepted. `each`: those that can be are.")


class ItemProblem(BaseModel):
    """Why one job of a batch was refused: a problem without `instance` and `request_id`, which are the batch's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(examples=["/problems/invalid-input"], json_schema_extra=PROBLEM_TYPES)
    title: str
    status: int
    detail: str
    errors: list[FieldFault] | None = None


class ItemAccepted(Told):
    """A job of a batch was accepted, `created` by this batch or before it under the same idempotency key."""

    index: int
    job_id: str
    status: Status | None
    created: bool


class ItemRefused(Told):
    """A job of a batch was refused."""

    index: int
    problem: ItemProblem


class BulkReport(Told):
    """What became of each job of a batch, in its order."""

    items: list[ItemAccepted | ItemRefused]
    accepted: int
    refused: int


class BulkFilter(Sent):
    """Which jobs: those that every field given fits, as in `GET /jobs`."""

    status: StatusWord | None = Field(None, description="A stored status, or a view such as dead_letter.")
    type: Word | None = None
    queue: Word | None = None
    upstream: Word | None = None
    tag: Word | None = None
    user: Word | None = Field(None, description="Of this user only, or `*` for everybody's; for operators.")
    error: Word | None = Field(None, description="Text in the error's code or message, ignoring ASCII case.")
    created_from: Instant | None = Field(None, description="Inclusive.")
    created_before: Instant | None = Field(None, description="Exclusive; the instant of the request at the latest.")

    @property
    def empty(self) -> bool:
        """Whether every job fits."""
        return self.user in (None, EVERYBODY) and not any(self.model_dump(exclude={"user"}).values())


class BulkAct(Sent):
    """What shall be done to every job that fits a filter.

    Where the filter names no status, dead letters are retried and dismissed, and what has not ended is cancelled.
    """

    action: Literal["retry", "cancel", "dismiss"]
    filter: BulkFilter = Field(default_factory=BulkFilter)
    all: bool = Field(False, description="Goes with an empty filter, which is refused without.")
    dry_run: bool = Field(False, description="Only say how many jobs that would be.")
    per_second: float | None = Field(
        None, ge=0.01, le=FASTEST, description="Jobs acted on in a second; 100 by default for retry, else no bound."
    )
    limit: int | None = Field(None, ge=1, le=2**31 - 1, description="Jobs acted on at most.")
    idempotency_key: Annotated[str, StringConstraints(pattern=KEY_PATTERN)] | None = Field(
        None, description="The same key gives the same job. May be sent as the header Idempotency-Key instead."
    )


class BulkMatches(Told):
    """What an action would be done to: `matches` jobs, or at least so many where that is not `exact`.

    `sample` has the ids of the newest of them.
    """

    action: Action
    matches: int
    exact: bool
    sample: list[str]
