"""Query parameters, as models: digits are digits, and no parameter is ignored."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from tidegate.http.schemas import Instant

StatusWord = Literal[
    "queued", "running", "succeeded", "failed", "cancelled",
    "scheduled", "ready", "parked", "paused", "retrying", "degraded", "dead_letter",
]  # fmt: skip
"""The stored statuses, then the phases that say more."""


def _digits(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) is None:
        raise ValueError("write it in digits")
    return value


Number = Annotated[int, BeforeValidator(_digits)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Asked(BaseModel):
    """Query parameters; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JobFilter(Asked):
    """Which jobs, and which page of them."""

    status: StatusWord | None = Field(None, description="A stored status, or a view such as dead_letter.")
    type: Word | None = None
    queue: Word | None = None
    upstream: Word | None = None
    tag: Word | None = None
    error: Word | None = Field(None, description="Text in the error's code or message, ignoring ASCII case.")
    created_from: Instant | None = Field(None, description="Inclusive.")
    created_before: Instant | None = Field(None, description="Exclusive.")
    limit: Number = Field(50, ge=1, le=200)
    offset: Number = Field(0, ge=0, le=10_000, description="Jobs to skip; use `cursor` for more.")
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = Field(
        None, description="The `next` of the page before."
    )


class HistoryAfter(Asked):
    """Which page of a history."""

    after: Number = Field(0, ge=0, le=2**31 - 1, description="Only steps after this one.")
