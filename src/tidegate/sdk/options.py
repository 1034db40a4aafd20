"""What calls take by name. A name that is not among them is a TypeError: misspelt, it would be a silent default."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypedDict

from tidegate.core.cron import Misfire
from tidegate.core.job import Phase, Status
from tidegate.core.retry import RetryPolicy


class JobOptions(TypedDict, total=False):
    """What may be said of any job; anything left out is the job type's default.

    `timeout` is seconds or a timedelta. See docs/reference/jobs.md.
    """

    queue: str
    priority: int
    max_attempts: int
    retry: RetryPolicy
    timeout: float | timedelta
    tags: Sequence[str]


class BatchOptions(JobOptions, total=False):
    """What `submit_many` takes for all of its jobs. `delay` is seconds or a timedelta."""

    run_at: datetime
    delay: float | timedelta
    expires_at: datetime


class SubmitOptions(BatchOptions, total=False):
    """What `submit` takes beside job type and payload."""

    idempotency_key: str


class ScheduleOptions(JobOptions, total=False):
    """What a schedule takes beside its ticks and its job; see docs/how-to/run-on-a-schedule.md."""

    timezone: str
    misfire: Misfire | str
    max_catch_up: int


class WebhookOptions(TypedDict, total=False):
    """What can be changed of a webhook."""

    url: str
    events: Sequence[str]
    types: Sequence[str]
    description: str
    disabled: bool


class Match(TypedDict, total=False):
    """Which jobs, whatever their status; `user` is for operators."""

    type: str
    queue: str
    upstream: str
    tag: str
    user: str
    error: str
    created_from: datetime
    created_before: datetime


class Filters(Match, total=False):
    """Which jobs; `status` may be a phase too."""

    status: Status | Phase | str


class Scope(Filters, total=False):
    """Which jobs a bulk action is meant for: `all` goes with no filter, which is refused without."""

    all: bool


class BulkOptions(Scope, total=False):
    """The same, how many are acted on in a second, and at most; and a key that makes a repeat the same job."""

    per_second: float
    limit: int
    idempotency_key: str


def check_names(verb: str, given: Mapping[str, object], known: type) -> None:
    """Raise TypeError for an option that is not of the TypedDict `known`."""
    for name in given:
        if name not in known.__annotations__:
            raise TypeError(f"{verb}() has no option {name!r}; it has: {', '.join(sorted(known.__annotations__))}")


def told(filters: Mapping[str, object]) -> dict[str, str]:
    """Filters as a server is told them."""
    given = {name: value for name, value in filters.items() if value is not None}
    return {name: value.isoformat() if isinstance(value, datetime) else str(value) for name, value in given.items()}
