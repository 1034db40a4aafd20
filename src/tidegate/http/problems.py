"""Every refusal on the wire as an answer: RFC 9457 problems. What kinds there are, `core.problem_kinds` says."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from tidegate import errors
from tidegate.core.problem_kinds import (
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    INTERNAL,
    INVALID_INPUT,
    KINDS,
    MALFORMED_JSON,
    MALFORMED_UPLOAD,
    METHOD_NOT_ALLOWED,
    NO_RESULT,
    NOT_FINISHED,
    NOT_FOUND,
    NOT_READY,
    OVERLOADED,
    TOO_SLOW,
    UNSUPPORTED_MEDIA_TYPE,
    USER_MISSING,
    Kind,
)
from tidegate.errors import TidegateError
from tidegate.http.guards.ratefields import Rate, fields

__all__ = [
    "BAD_REQUEST",
    "HEADERS_TOO_LARGE",
    "KINDS",
    "MALFORMED_JSON",
    "MALFORMED_UPLOAD",
    "METHOD_NOT_ALLOWED",
    "NOT_FINISHED",
    "NOT_FOUND",
    "NOT_READY",
    "NO_RESULT",
    "OVERLOADED",
    "TOO_SLOW",
    "UNSUPPORTED_MEDIA_TYPE",
    "USER_MISSING",
    "Kind",
]

MEDIA_TYPE: Final = "application/problem+json"

MOST_FAULTS: Final = 100
"""Wrong fields that one answer lists: it shall not be many times what was sent."""

STORE_RETRY_AFTER: Final = timedelta(seconds=2)
"""What a client is told to wait when a store is away: about as long as a failover or a restart takes."""


class Refusal(Exception):
    """A request that the HTTP face itself refuses; `members` extend the problem, `headers` its answer."""

    def __init__(self, kind: Kind, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.members = members
        self.headers: Mapping[str, str] = {}


def internal_error() -> Refusal:
    """The answer to a fault of ours: it tells nothing."""
    return Refusal(INTERNAL, "The fault is logged under this request_id.")


def invalid(faults: Sequence[tuple[str, str]]) -> Refusal:
    """Wrong fields, as (dotted path, message) pairs; there is at least one. The first ones are told."""
    field, message = faults[0]
    detail = f"{field}: {message}" if field else message
    more = f" (and {len(faults) - MOST_FAULTS} more than are listed)" if len(faults) > MOST_FAULTS else ""
    return Refusal(INVALID_INPUT, detail + more, errors=[_fault(*fault) for fault in faults[:MOST_FAULTS]])


def refusal_of(error: TidegateError) -> Refusal:
    """How an error of the tree looks from outside. Faults of ours (5xx) don't tell what went wrong."""
    kind = next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)
    detail = str(error) if kind.status < 500 else f"{kind.title}."
    refusal = Refusal(kind, detail, **_members(error))
    refusal.headers = _headers(error)
    return refusal


def respond(connection: HTTPConnection, refusal: Refusal) -> Response:
    """The problem as an answer to this request."""
    body = content(refusal, connection.scope["path"], connection.scope["state"]["request_id"])
    return Response(body, status_code=refusal.kind.status, media_type=MEDIA_TYPE, headers=refusal.headers)


def content(refusal: Refusal, instance: str, request_id: str) -> bytes:
    """The problem as JSON."""
    kind = refusal.kind
    body = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": refusal.detail[:2_000],
        "instance": instance[:500],
        "request_id": request_id,
        **refusal.members,
    }
    # As ASCII: whatever a request held, lone surrogates too, this can be written and read.
    return json.dumps(body, separators=(",", ":")).encode()


def seconds_up(duration: timedelta) -> int:
    """Whole seconds, rounded up, at least 1: what `Retry-After` and its kin can say."""
    return max(math.ceil(duration.total_seconds()), 1)


def _fault(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}


def _members(error: TidegateError) -> dict[str, object]:
    match error:
        case errors.TooLarge():
            return {"errors": [_fault(error.field, error.message)], "limit": error.limit}
        case errors.InvalidInput():
            return {"errors": [_fault(error.field, error.message)]}
        case errors.IdempotencyConflict():
            fault = _fault("idempotency_key", "was used for another request")
            return {"job_id": error.job_id, "errors": [fault]} if error.job_id else {"errors": [fault]}
        case errors.IllegalTransition():
            return {"job_id": error.job_id, "job_status": error.status}
        case errors.JobFailed():
            return {"job_id": error.job_id, "job_status": "failed", "error": error.code}
        case errors.JobCancelled():
            return {"job_id": error.job_id, "job_status": "cancelled"}
        case errors.RateLimited():
            return {"limit": error.limit, "retry_after": seconds_up(error.retry_after)}
        case errors.UpstreamOpen():
            wait = seconds_up(error.retry_after)
            return {"error": "temporarily unavailable", "upstream": error.upstream, "retry_after": wait}
        case errors.BudgetSpent():
            until = None if error.until is None else error.until.isoformat().replace("+00:00", "Z")
            wait = seconds_up(error.retry_after)
            return {"upstream": error.upstream, "until": until, "retry_after": wait}
        case _:
            return {}


def _headers(error: TidegateError) -> dict[str, str]:
    match error:
        case errors.RateLimited():
            wait, window = seconds_up(error.retry_after), int(error.window.total_seconds())
            rate = Rate(name=error.name, limit=error.limit, window=window, left=0, reset=wait)
            return {"Retry-After": str(wait), **fields([rate])}
        case errors.Unauthenticated():
            return {"WWW-Authenticate": 'Bearer realm="tidegate"'}
        case errors.UpstreamOpen() | errors.BudgetSpent():
            return {"Retry-After": str(seconds_up(error.retry_after))}
        case errors.EngineUnavailable() | errors.ArtifactUnavailable():
            return {"Retry-After": str(seconds_up(STORE_RETRY_AFTER))}
        case _:
            return {}
