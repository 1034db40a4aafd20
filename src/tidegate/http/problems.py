"""Every refusal on the wire: RFC 9457 problems, and the one mapping from the error tree to them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from tidegate import errors
from tidegate.errors import TidegateError

MEDIA_TYPE: Final = "application/problem+json"

STORE_RETRY_AFTER: Final = timedelta(seconds=2)
"""What a client is told to wait when a store is away: about as long as a failover or a restart takes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: `slug` ends its type URI and never changes, `title` says it to a person."""

    slug: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The type, a stable relative URI."""
        return f"/problems/{self.slug}"


BAD_REQUEST: Final = Kind("bad-request", 400, "The request makes no sense")
MALFORMED_JSON: Final = Kind("malformed-json", 400, "The body is no JSON that could be read")
MALFORMED_UPLOAD: Final = Kind("malformed-upload", 400, "The upload broke off or is not well formed")
USER_MISSING: Final = Kind("user-missing", 400, "X-User-ID is missing or no user id")
NOT_FOUND: Final = Kind("not-found", 404, "There is nothing here")
NO_RESULT: Final = Kind("no-result", 404, "The job returned nothing")
METHOD_NOT_ALLOWED: Final = Kind("method-not-allowed", 405, "This method is not for this place")
UNSUPPORTED_MEDIA_TYPE: Final = Kind("unsupported-media-type", 415, "This media type is not taken here")
INVALID_INPUT: Final = Kind("invalid-input", 422, "A field is wrong")
NOT_FINISHED: Final = Kind("job-not-finished", 409, "The job has not ended yet")
NOT_READY: Final = Kind("not-ready", 503, "Not ready to take work")

_INTERNAL: Final = Kind("internal-error", 500, "Something went wrong on our side")
_STORE_UNAVAILABLE: Final = Kind("store-unavailable", 503, "The store is away: try again")
_STORE_UNUSABLE: Final = Kind("store-unusable", 503, "The store can't be used: its operator must look at it")
_ARTIFACTS_UNAVAILABLE: Final = Kind("artifacts-unavailable", 503, "The artifact store is away: try again")

KINDS: Final[Mapping[type[TidegateError], Kind]] = {
    TidegateError: _INTERNAL,
    errors.ConfigError: _INTERNAL,
    errors.InvalidInput: INVALID_INPUT,
    errors.UnknownJobType: Kind("unknown-job-type", 422, "There is no such job type"),
    errors.TooLarge: Kind("too-large", 413, "The request is too large"),
    errors.UploadTooLarge: Kind("upload-too-large", 413, "The file is too large"),
    errors.NotData: Kind("not-data", 422, "The file holds no table"),
    errors.Refused: Kind("refused", 409, "This may not be done now"),
    errors.JobNotFound: Kind("job-not-found", 404, "No such job"),
    errors.IdempotencyConflict: Kind("idempotency-conflict", 422, "The idempotency key belongs to another request"),
    errors.IllegalTransition: Kind("illegal-transition", 409, "The job's status forbids it"),
    errors.RateLimited: Kind("rate-limited", 429, "Too many requests"),
    errors.UpstreamOpen: Kind("upstream-open", 429, "The upstream of this job is down"),
    errors.EngineError: _STORE_UNUSABLE,
    errors.EngineUnavailable: _STORE_UNAVAILABLE,
    errors.SchemaMismatch: _STORE_UNUSABLE,
    errors.StoreOwned: _STORE_UNUSABLE,
    errors.ArtifactError: _ARTIFACTS_UNAVAILABLE,
    errors.ArtifactNotFound: Kind("artifact-not-found", 404, "No such artifact"),
    errors.ArtifactUnavailable: _ARTIFACTS_UNAVAILABLE,
    errors.ArtifactRefused: Kind("artifacts-refused", 503, "The artifact store refuses us: its operator must look"),
    errors.LLMError: Kind("model-failed", 502, "A model's provider failed us"),
    errors.ServiceError: Kind("service-error", 502, "Another server failed us"),
    errors.JobFailed: Kind("job-failed", 409, "The job failed: it has no result"),
    errors.JobCancelled: Kind("job-cancelled", 409, "The job was cancelled: it has no result"),
    errors.ResultTimeout: NOT_FINISHED,
    errors.Steer: _INTERNAL,
    errors.RetryLater: _INTERNAL,
    errors.GiveUp: _INTERNAL,
    errors.Defer: _INTERNAL,
    errors.UpstreamUnavailable: _INTERNAL,
    errors.Abandoned: _INTERNAL,
}
"""Every class of `tidegate.errors`; a subclass made elsewhere is its nearest ancestor's kind."""


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
    return Refusal(_INTERNAL, "The fault is logged under this request_id.")


def invalid(faults: Sequence[tuple[str, str]]) -> Refusal:
    """Wrong fields, as (dotted path, message) pairs; there is at least one."""
    field, message = faults[0]
    detail = f"{field}: {message}" if field else message
    return Refusal(INVALID_INPUT, detail, errors=[_fault(*fault) for fault in faults])


def refusal_of(error: TidegateError) -> Refusal:
    """How an error of the tree looks from outside. Faults of ours (5xx) don't tell what went wrong."""
    kind = next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)
    detail = str(error) if kind.status < 500 else f"{kind.title}."
    refusal = Refusal(kind, detail, **_members(error))
    refusal.headers = _headers(error)
    return refusal


def respond(connection: HTTPConnection, refusal: Refusal) -> Response:
    """The problem as an answer to this request."""
    kind = refusal.kind
    body = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": refusal.detail[:2_000],
        "instance": connection.scope["path"][:500],
        "request_id": connection.state.request_id,
        **refusal.members,
    }
    # As ASCII: whatever a request held, lone surrogates too, this can be written and read.
    content = json.dumps(body, separators=(",", ":"))
    return Response(content, status_code=kind.status, media_type=MEDIA_TYPE, headers=refusal.headers)


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
            return {"job_id": error.job_id, "errors": [fault]}
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
        case _:
            return {}


def _headers(error: TidegateError) -> dict[str, str]:
    match error:
        case errors.RateLimited():
            wait = str(seconds_up(error.retry_after))
            return {
                "Retry-After": wait,
                "RateLimit-Limit": str(error.limit),
                "RateLimit-Remaining": "0",
                "RateLimit-Reset": wait,
            }
        case errors.UpstreamOpen():
            return {"Retry-After": str(seconds_up(error.retry_after))}
        case errors.EngineUnavailable() | errors.ArtifactUnavailable():
            return {"Retry-After": str(seconds_up(STORE_RETRY_AFTER))}
        case _:
            return {}
