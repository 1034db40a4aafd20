"""Query parameters, as models: digits are digits, and no parameter is ignored."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from tidegate.http.schemas.base import Instant

StatusWord = Literal[
    "queued", "running", "succeeded", "failed", "cancelled",
    "scheduled", "ready", "parked", "paused", "retrying", "degraded", "dead_letter",
]  # fmt: skip
"""The stored statuses, then the phases that say more."""


def _digits(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) is None:
        raise ValueError("write it in digits")
    return value


def _seconds(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,18})?([eE]-?[0-9]{1,3})?", value) is None:
        raise ValueError("write a number of seconds, such as 30 or 2.5")
    return value


def _truth(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("write true or false")
    return value


Number = Annotated[int, BeforeValidator(_digits)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Asked(BaseModel):
    """Query parameters; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JobMatch(Asked):
    """Which jobs, whatever their status, and which page of them."""

    type: Word | None = None
    queue: Word | None = None
    upstream: Word | None = None
    tag: Word | None = None
    user: Word | None = Field(None, description="Of this user only, or `*` for everybody's; for operators.")
    error: Word | None = Field(None, description="Text in the error's code or message, ignoring ASCII case.")
    created_from: Instant | None = Field(None, description="Inclusive.")
    created_before: Instant | None = Field(None, description="Exclusive.")
    limit: Number = Field(50, ge=1, le=200)
    offset: Number = Field(0, ge=0, le=10_000, description="Jobs to skip; use `cursor` for more.")
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = Field(
        None, description="The `next` of the page before."
    )


class JobFilter(JobMatch):
    """Which jobs, and which page of them."""

    status: StatusWord | None = Field(None, description="A stored status, or a view such as dead_letter.")


class ResultAsked(Asked):
    """In which way a file is handed out."""

    redirect: Truth = Field(False, description="Answer 307 to a URL of the artifact store's, where it can make one.")


class HistoryAfter(Asked):
    """Which page of a history."""

    after: Number = Field(0, ge=0, le=2**31 - 1, description="Only steps after this one.")


class FeedAfter(Asked):
    """Where a stream of all events goes on."""

    after: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        None, description="The id of the last event that you had. Without it, the stream starts at the present."
    )


class Waiting(Asked):
    """How long the answer may wait for the job's end."""

    wait: Annotated[float, Field(gt=0, le=60), BeforeValidator(_seconds)] | None = Field(
        None, description="Answer once the job has ended, or after so many seconds."
    )
