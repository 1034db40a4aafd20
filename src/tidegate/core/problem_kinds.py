"""Every kind of refusal on the wire: one table, by which servers tell errors and clients raise them again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tidegate import errors
from tidegate.errors import InvalidInput, ServiceError, TidegateError


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: `slug` ends its type URI and never changes, `title` says it to a person.

    `raises` is what a client makes of it; None where that is the class that `KINDS` has first for it.
    """

    slug: str
    status: int
    title: str
    raises: type[TidegateError] | None = None

    @property
    def uri(self) -> str:
        """The type, a stable relative URI."""
        return f"/problems/{self.slug}"


BAD_REQUEST: Final = Kind("bad-request", 400, "The request makes no sense", InvalidInput)
MALFORMED_JSON: Final = Kind("malformed-json", 400, "The body is no JSON that could be read", InvalidInput)
MALFORMED_UPLOAD: Final = Kind("malformed-upload", 400, "The upload broke off or is not well formed", InvalidInput)
USER_MISSING: Final = Kind("user-missing", 400, "X-User-ID is missing or no user id", InvalidInput)
HEADERS_TOO_LARGE: Final = Kind("headers-too-large", 431, "The headers, or the address, are too large", InvalidInput)
TOO_SLOW: Final = Kind("too-slow", 408, "The request came too slowly", ServiceError)
OVERLOADED: Final = Kind("overloaded", 503, "Too many requests are being answered: try again", ServiceError)
NOT_FOUND: Final = Kind("not-found", 404, "There is nothing here", InvalidInput)
NO_RESULT: Final = Kind("no-result", 404, "The job returned nothing", errors.Refused)
METHOD_NOT_ALLOWED: Final = Kind("method-not-allowed", 405, "This method is not for this place", ServiceError)
UNSUPPORTED_MEDIA_TYPE: Final = Kind("unsupported-media-type", 415, "This media type is not taken here", InvalidInput)
INVALID_INPUT: Final = Kind("invalid-input", 422, "A field is wrong")
NOT_FINISHED: Final = Kind("job-not-finished", 409, "The job has not ended yet")
NOT_READY: Final = Kind("not-ready", 503, "Not ready to take work", ServiceError)
INTERNAL: Final = Kind("internal-error", 500, "Something went wrong on our side", ServiceError)

_STORE_UNAVAILABLE: Final = Kind("store-unavailable", 503, "The store is away: try again")
_STORE_UNUSABLE: Final = Kind("store-unusable", 503, "The store can't be used: its operator must look at it")
_ARTIFACTS_UNAVAILABLE: Final = Kind(
    "artifacts-unavailable", 503, "The artifact store is away: try again", errors.ArtifactUnavailable
)

KINDS: Final[Mapping[type[TidegateError], Kind]] = {
    TidegateError: INTERNAL,
    errors.ConfigError: INTERNAL,
    errors.InvalidInput: INVALID_INPUT,
    errors.UnknownJobType: Kind("unknown-job-type", 422, "There is no such job type"),
    errors.TooLarge: Kind("too-large", 413, "The request is too large"),
    errors.UploadTooLarge: Kind("upload-too-large", 413, "The file is too large"),
    errors.NotData: Kind("not-data", 422, "The file holds no table"),
    errors.Refused: Kind("refused", 409, "This may not be done now"),
    errors.JobNotFound: Kind("job-not-found", 404, "No such job"),
    errors.IdempotencyConflict: Kind("idempotency-conflict", 422, "The idempotency key belongs to another request"),
    errors.IllegalTransition: Kind("illegal-transition", 409, "The job's status forbids it"),
    errors.Unauthenticated: Kind("unauthenticated", 401, "Show an API key"),
    errors.AccessDenied: Kind("access-denied", 403, "This key may not do that"),
    errors.RateLimited: Kind("rate-limited", 429, "Too many requests"),
    errors.UpstreamOpen: Kind("upstream-open", 429, "The upstream of this job is down"),
    errors.BudgetSpent: Kind("budget-spent", 429, "You have spent your budget for the upstream of this job"),
    errors.EngineError: _STORE_UNUSABLE,
    errors.EngineUnavailable: _STORE_UNAVAILABLE,
    errors.SchemaMismatch: _STORE_UNUSABLE,
    errors.StoreOwned: _STORE_UNUSABLE,
    errors.ArtifactError: _ARTIFACTS_UNAVAILABLE,
    errors.ArtifactNotFound: Kind("artifact-not-found", 404, "No such artifact"),
    errors.ArtifactUnavailable: _ARTIFACTS_UNAVAILABLE,
    errors.ArtifactRefused: Kind("artifacts-refused", 503, "The artifact store refuses us: its operator must look"),
    errors.LLMError: Kind("model-failed", 502, "A model's provider failed us"),
    errors.WebhookError: Kind("webhook-failed", 502, "A webhook's receiver failed us"),
    errors.ServiceError: Kind("service-error", 502, "Another server failed us"),
    errors.JobFailed: Kind("job-failed", 409, "The job failed: it has no result"),
    errors.JobCancelled: Kind("job-cancelled", 409, "The job was cancelled: it has no result"),
    errors.ResultTimeout: NOT_FINISHED,
    errors.Steer: INTERNAL,
    errors.RetryLater: INTERNAL,
    errors.GiveUp: INTERNAL,
    errors.Defer: INTERNAL,
    errors.UpstreamUnavailable: INTERNAL,
    errors.OutOfBudget: INTERNAL,
    errors.Abandoned: INTERNAL,
}
"""Every class of `tidegate.errors`; a subclass made elsewhere is its nearest ancestor's kind."""

FACE: Final = (
    *(BAD_REQUEST, MALFORMED_JSON, MALFORMED_UPLOAD, USER_MISSING, NOT_FOUND, NO_RESULT, METHOD_NOT_ALLOWED),
    *(UNSUPPORTED_MEDIA_TYPE, HEADERS_TOO_LARGE, TOO_SLOW, OVERLOADED, NOT_READY),
)
"""What the HTTP face refuses by itself: no error of the tree stands behind these at a server."""


def _raised() -> dict[str, type[TidegateError]]:
    first = {kind.slug: cls for cls, kind in reversed(list(KINDS.items()))}
    return first | {kind.slug: kind.raises for kind in (*FACE, *KINDS.values()) if kind.raises is not None}


RAISED: Final[Mapping[str, type[TidegateError]]] = _raised()
"""What a client raises for a problem, by its slug."""
