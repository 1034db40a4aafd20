"""What every model of the wire is made of, and the refusal."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from tidegate.core.job import Status
from tidegate.core.problem_kinds import FACE, KINDS

_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def instant(value: object) -> object:
    """Read an RFC 3339 date-time, and nothing that only resembles one, as UTC."""
    if not isinstance(value, str):
        return value
    if _RFC3339.fullmatch(value) is None:
        raise ValueError("write it like 2026-01-31T12:00:00Z (RFC 3339, with a zone)")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("it is out of range") from exc


Instant = Annotated[AwareDatetime, BeforeValidator(instant)]


PROBLEM_TYPES: Final[JsonDict] = {"enum": [*sorted({kind.uri for kind in (*FACE, *KINDS.values())})]}
"""What the `type` of a problem may be."""


class Sent(BaseModel):
    """What a client sends: `"3"` is not 3, false is not 0, and no field is ignored."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Told(BaseModel):
    """What a client is told."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class FieldFault(Told):
    """What is wrong with one field; `field` is its dotted path, "" for the whole body."""

    field: str
    message: str


class Problem(BaseModel):
    """A refusal (RFC 9457). `type` is stable; which of the members from `errors` on it has, and others, depends on it.

    `errors` says which fields are wrong, `retry_after` in how many seconds to come back, `until` at which instant,
    `limit` what the most is. `job_id` is the job it is about, with its `job_status` and, where that failed, the code of
    the `error`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(examples=["/problems/invalid-input"], json_schema_extra=PROBLEM_TYPES)
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldFault] | None = None
    retry_after: int | None = None
    until: AwareDatetime | None = None
    limit: int | None = None
    upstream: str | None = None
    job_id: str | None = None
    job_status: Status | None = None
    error: str | None = None
