"""What a client asks of a job: JSON as it was sent, made a `JobRequest`."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from tidegate.core.idempotency import JSON
from tidegate.core.retry_json import policy_from_json
from tidegate.core.text import plainly
from tidegate.errors import InvalidInput
from tidegate.http.face import single
from tidegate.http.problems import invalid
from tidegate.http.schemas.jobs import KEY_PATTERN, JobCreate
from tidegate.requests import JobRequest
from tidegate.system_jobs import SYSTEM_QUEUE

Model = TypeVar("Model", bound=BaseModel)

_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
"""A string of Structured Fields (RFC 9651), which the draft of Idempotency-Key wants a key to be."""

_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)

KEY_HEADER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key gives the same job: 201 the first time, 200 after. Kept at least 24 h.",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}


class _Raw(msgspec.Struct):
    """The payload as it was sent, to the byte."""

    payload: msgspec.Raw = msgspec.Raw(b"{}")


_raw: Final = msgspec.json.Decoder(_Raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asks, and the call that asks."""

    user_id: str
    request_id: str
    traceparent: str


def origin_of(request: Request, user_id: str) -> Origin:
    """The origin of jobs that this request asks for."""
    return Origin(user_id=user_id, request_id=request.scope["state"]["request_id"], traceparent=_traceparent(request))


def job_request(value: JSON, sent: bytes, origin: Origin, key: str | None = None) -> JobRequest:
    """The job that a JSON value asks for. `sent` is its text, `key` the header's.

    Raises Refusal that names every field of the wrong kind, and InvalidInput.
    """
    asked = validated(JobCreate, value)
    check_queue(asked.queue)
    return JobRequest(
        type=asked.type,
        payload=bytes(_raw.decode(sent).payload),
        user_id=origin.user_id,
        idempotency_key=one_key(asked.idempotency_key, key),
        queue=asked.queue,
        priority=asked.priority,
        run_at=asked.run_at,
        delay=_seconds(asked.delay),
        max_attempts=asked.max_attempts,
        retry=None if asked.retry is None else policy_from_json(asked.retry, "retry"),
        timeout=_seconds(asked.timeout),
        expires_at=asked.expires_at,
        tags=tuple(asked.tags or ()),
        request_id=origin.request_id,
        traceparent=origin.traceparent,
        asked=value,
    )


def validated(model: type[Model], value: JSON) -> Model:
    """A JSON object as a model; raises Refusal that names every wrong field, and InvalidInput for no object."""
    if not isinstance(value, dict):
        raise InvalidInput("", "it must be a JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        faults = exc.errors(include_url=False, include_context=False, include_input=False)
        said = [(".".join(str(part) for part in fault["loc"]), plainly(fault["msg"])) for fault in faults]
        raise invalid(said) from exc


def check_queue(queue: str | None) -> None:
    """Refuse Tidegate's own queue, which every worker serves whatever else it serves; raises InvalidInput."""
    if queue == SYSTEM_QUEUE:
        raise InvalidInput("queue", f"{SYSTEM_QUEUE!r} is Tidegate's own: choose another")


def header_key(request: Request) -> str | None:
    """The header Idempotency-Key: `"x"` and `x` are the same; raises InvalidInput where it is there twice."""
    given = single(request, "Idempotency-Key")
    quoted = None if given is None else _QUOTED.fullmatch(given)
    return given if quoted is None else re.sub(r"\\(.)", r"\1", quoted[1])


def one_key(in_body: str | None, in_header: str | None) -> str | None:
    """The idempotency key, wherever it was sent; raises InvalidInput where there are two."""
    if in_body is not None and in_header is not None and in_body != in_header:
        raise InvalidInput("idempotency_key", "differs from the header Idempotency-Key: send one of them")
    return in_header if in_body is None else in_body


def _seconds(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(seconds=number)


def _traceparent(request: Request) -> str:
    """The caller's W3C trace context; as the recommendation says, one that is not valid counts as none.

    One of a version to come is kept as what this one knows of it.
    """
    if "traceparent" not in request.headers:
        return ""
    found = [_TRACEPARENT.fullmatch(given) for given in request.headers.getlist("traceparent")]
    if len(found) != 1 or found[0] is None:
        return ""
    version, ids, flags, more = found[0].groups()
    if version == "00":
        return "" if more else found[0][0]
    return f"00-{ids}-0{int(flags, 16) & 1}"
