"""The wire of schedules."""

from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from tidegate.core.cron import MOST_CATCH_UP, Misfire
from tidegate.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from tidegate.core.retry import MOST_ATTEMPTS
from tidegate.handlers import LONGEST_TIMEOUT
from tidegate.http.schemas.base import Sent, Told
from tidegate.http.schemas.retrying import RETRY_EXAMPLES, RETRY_WORDS, Retry
from tidegate.http.schemas.upstreams import NAME_PATTERN
from tidegate.requests import LONGEST_TAG, MOST_TAGS
from tidegate.schedules import Origin
from tidegate.schedules.expressions import LONGEST_EXPRESSION, LONGEST_ZONE


class ScheduleSent(Sent):
    """When a job is to be made, and which. What is left out has the job type's default."""

    expression: str = Field(
        min_length=1,
        max_length=LONGEST_EXPRESSION,
        description="Five fields, as cron has them.",
        examples=["0 3 * * *"],
    )
    timezone: str = Field("UTC", min_length=1, max_length=LONGEST_ZONE, description="An IANA name.")
    misfire: Misfire = Field(
        Misfire.LATEST, strict=False, description="What becomes of ticks that passed while no worker lived."
    )
    max_catch_up: int = Field(10, ge=1, le=MOST_CATCH_UP, description="With `all`: the newest so many run.")
    type: str = Field(max_length=128, description="A job type; `GET /job-types` lists them.", examples=["analysis"])
    payload: object = Field({}, description="What the handler is given: JSON that fits the type's schema.")
    queue: Annotated[str, StringConstraints(pattern=NAME_PATTERN)] | None = None
    priority: int = Field(0, ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY, description="Higher comes first.")
    max_attempts: int | None = Field(None, ge=1, le=MOST_ATTEMPTS)
    retry: Retry | None = Field(None, description=RETRY_WORDS, examples=RETRY_EXAMPLES)
    timeout: float | None = Field(
        None, gt=0, le=LONGEST_TIMEOUT.total_seconds(), description="Seconds that one run may take."
    )
    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TAG)]] | None = Field(
        None, max_length=MOST_TAGS
    )


class ScheduleItem(Told):
    """A schedule in a list.

    `origin` is `code` where an application declares it at each start. `next_at` is null while it is paused
    or retired. `last_job` is the job of `last_tick`. `error` says why ticks make no job, "" where they do. It is
    retired where no worker runs the code any more that declared it.
    """

    name: str
    user_id: str
    origin: Origin
    expression: str
    timezone: str
    misfire: Misfire
    max_catch_up: int
    type: str
    queue: str | None
    created_at: AwareDatetime
    paused: bool
    paused_at: AwareDatetime | None
    paused_by: str
    next_at: AwareDatetime | None
    last_tick: AwareDatetime | None
    last_job: str | None
    error: str
    retired_at: AwareDatetime | None


class ScheduleList(Told):
    """Schedules, by name."""

    items: list[ScheduleItem]


class ScheduleWhole(ScheduleItem):
    """All of a schedule, with its next five ticks."""

    next_ticks: list[AwareDatetime]
    priority: int
    max_attempts: int | None
    retry: Retry | None
    timeout: float | None
    tags: list[str]
    payload: object
