"""Everything Tidegate raises.

TidegateError
├─ ConfigError                 a setting is missing, unknown or out of range
├─ InvalidInput                a value from outside is wrong (.field names it)
│  ├─ UnknownJobType           no job type of that name is registered
│  ├─ TooLarge                 a payload or body is over its limit (.limit, bytes)
│  │  └─ UploadTooLarge        the same, found while a file was streaming in
│  └─ NotData                  a file given to `analysis` holds no table
├─ Refused                     a valid request that may not be carried out now
│  ├─ JobNotFound              unknown, pruned, or another user's
│  ├─ IdempotencyConflict      the key already belongs to different work (.job_id)
│  ├─ IllegalTransition        the job's status forbids it (.status)
│  ├─ Unauthenticated          no API key was shown, or one that opens nothing
│  ├─ AccessDenied             the key that was shown may not do that
│  ├─ RateLimited              over a limit (.retry_after)
│  ├─ UpstreamOpen             the job's upstream is down, and its type takes no new jobs then (.retry_after)
│  └─ BudgetSpent              the user has spent what calls to an upstream may cost (.retry_after, .until)
├─ EngineError
│  ├─ EngineUnavailable        the store can't be reached, or the call's outcome is unknown: try again
│  ├─ SchemaMismatch           the store's schema is newer or damaged: `tidegate db migrate`
│  └─ StoreOwned               another process owns this embedded store (.pid)
├─ ArtifactError
│  ├─ ArtifactNotFound         no artifact at that path, or not yours
│  ├─ ArtifactUnavailable      the object store failed after all tries
│  └─ ArtifactRefused          the object store said no: permission, bucket, credentials
├─ LLMError                    a model's provider did not give what was asked for (.code, .retry_after)
├─ WebhookError                a receiver did not take an event (.code, .retry_after)
├─ ServiceError                a server can't be reached, fails, or answers what makes no sense (.status)
├─ JobFailed                   awaiting a result: the job failed (.code, .job_id)
├─ JobCancelled                awaiting a result: the job was cancelled (.job_id)
├─ ResultTimeout               awaiting a result: it did not end in time (.job_id)
└─ Steer                       raised by a handler to choose its own ending
   ├─ RetryLater               try again after .after, one attempt used
   ├─ GiveUp                   fail for good, with .code
   ├─ Defer                    run again after .after, or once .upstream is well; no attempt used
   ├─ UpstreamUnavailable      the upstream may not be called: let it through, and the job waits (.upstream, .until)
   │  └─ OutOfBudget           for it is the job's user who has spent the budget there
   └─ Abandoned                the run was cancelled or lost its lease; let it through
"""

from datetime import datetime, timedelta

SHORTEST_DEFERRAL = timedelta(milliseconds=100)
"""A job that gives way at once and again keeps a worker busy with nothing."""

LONGEST_DEFERRAL = timedelta(days=366)


class TidegateError(Exception):
    """The root: `except TidegateError` catches whatever this package raises on purpose."""


class ConfigError(TidegateError):
    """A setting is missing, unknown or out of range."""


class InvalidInput(TidegateError):
    """A value from outside is wrong; `field` is its dotted path, "" for the whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


class UnknownJobType(InvalidInput):
    """No job type of that name is registered."""


class TooLarge(InvalidInput):
    """A payload or body is over its limit."""

    def __init__(self, field: str, message: str, *, limit: int) -> None:
        super().__init__(field, message)
        self.limit = limit


class UploadTooLarge(TooLarge):
    """An uploaded file is over its limit; nothing of it is kept."""


class NotData(InvalidInput):
    """A file given for analysis holds no table of data."""

    code = "not_data"
    transient = False

    def __init__(self, message: str, *, code: str = "not_data") -> None:
        super().__init__("file", message)
        self.code = code


class Refused(TidegateError):
    """A valid request that may not be carried out now."""


class JobNotFound(Refused):
    """The job is unknown, pruned, or another user's: the three are not told apart."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id!r} is known here")
        self.job_id = job_id


class IdempotencyConflict(Refused):
    """The idempotency key already belongs to different work."""

    def __init__(self, key: str, job_id: str = "") -> None:
        used = f"used for job {job_id} with another request" if job_id else "used for another request"
        super().__init__(f"this idempotency key was {used}; send the same request again, or choose a new key")
        self.key = key
        self.job_id = job_id


class Unauthenticated(Refused):
    """No API key was shown, or one that opens nothing."""


class AccessDenied(Refused):
    """The API key that was shown may not do that."""


class IllegalTransition(Refused):
    """The job's status forbids what was asked."""

    def __init__(self, job_id: str, status: str, verb: str) -> None:
        super().__init__(f"job {job_id} is {status}: it can't be {verb}")
        self.job_id = job_id
        self.status = status


class RateLimited(Refused):
    """Over a limit; the same request is welcome after `retry_after`, and `left` of what it asked for would be now."""

    left = 0

    def __init__(
        self, message: str, *, retry_after: timedelta, limit: int, name: str = "", window: timedelta = timedelta(0)
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.limit = limit
        self.name = name
        self.window = window


class UpstreamOpen(Refused):
    """The upstream of this job's type is down; the same request is welcome after `retry_after`."""

    def __init__(self, upstream: str, *, retry_after: timedelta) -> None:
        super().__init__(f"{upstream} is temporarily unavailable")
        self.upstream = upstream
        self.retry_after = retry_after


class BudgetSpent(Refused):
    """The user has spent what calls to an upstream may cost; the same request is welcome at `until`."""

    def __init__(self, upstream: str, *, retry_after: timedelta, until: datetime | None = None) -> None:
        end = f" until {until:%Y-%m-%dT%H:%M:%SZ}" if until else ""
        super().__init__(f"you have spent your budget for {upstream}: it takes none of your jobs{end}")
        self.upstream = upstream
        self.retry_after = retry_after
        self.until = until


class EngineError(TidegateError):
    """The store behind the engine."""


class EngineUnavailable(EngineError):
    """The store can't be reached, or it is not known whether the call took effect: try again."""


class SchemaMismatch(EngineError):
    """The store's schema is newer than this release, or damaged."""


class StoreOwned(EngineError):
    """Another process owns this embedded store."""

    def __init__(self, path: str, pid: int | None) -> None:
        owner = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{path} is in use by {owner}: an embedded store belongs to one process. "
            "Stop that process, ask its API (TIDEGATE_URL), or name another data folder (TIDEGATE_DATA_DIR)"
        )
        self.path = path
        self.pid = pid


class ArtifactError(TidegateError):
    """The artifact store."""


class ArtifactNotFound(ArtifactError):
    """No artifact at that path, or it belongs to somebody else."""


class ArtifactUnavailable(ArtifactError):
    """The artifact store failed after all tries."""

    code = "blob_upload_failed"


class ArtifactRefused(ArtifactError):
    """The artifact store said no: permission, bucket or credentials."""


class LLMError(TidegateError):
    """A model's provider did not give what was asked for; `code` is a word of `core.fault.Fault`.

    The message names provider, model, status and the provider's own code: never a prompt, an answer or a key.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "server_error",
        transient: bool = True,
        retry_after: timedelta | None = None,
        status_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.transient = transient
        self.retry_after = retry_after
        self.status_code = status_code


class WebhookError(TidegateError):
    """A webhook's receiver did not take an event; the message names neither its address nor what it answered."""

    def __init__(
        self, message: str, *, code: str, transient: bool = True, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.transient, self.retry_after = code, transient, retry_after


class ServiceError(TidegateError):
    """A Tidegate server can't be reached, or its answer makes no sense; `status` is what it answered, if it did."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class JobFailed(TidegateError):
    """The awaited job failed."""

    def __init__(self, job_id: str, code: str, message: str) -> None:
        super().__init__(f"job {job_id} failed ({code}): {message}")
        self.job_id = job_id
        self.code = code


class JobCancelled(TidegateError):
    """The awaited job was cancelled."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} was cancelled")
        self.job_id = job_id


class ResultTimeout(TidegateError):
    """The awaited job did not end in time; it goes on."""

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(f"job {job_id} is still {status}; it goes on, ask again later")
        self.job_id = job_id


class Steer(TidegateError):
    """Raised by a handler to choose its own ending."""


class RetryLater(Steer):
    """Try again after `after`; the attempt counts, and `max_attempts` still holds."""

    def __init__(self, reason: str, *, after: timedelta) -> None:
        super().__init__(reason)
        self.retry_after = after


class GiveUp(Steer):
    """Fail for good, without another attempt; `code` is what the job's error shows."""

    transient = False

    def __init__(self, reason: str, *, code: str = "processing_error") -> None:
        super().__init__(reason)
        self.code = code


class Defer(Steer):
    """Run again after `after`, without an attempt used; with `upstream`, in that upstream's lane.

    `after` is kept between a tenth of a second and 366 days. Raises TypeError for what is no duration or name.
    """

    def __init__(self, reason: str, *, after: timedelta = timedelta(0), upstream: str | None = None) -> None:
        super().__init__(reason)
        if not isinstance(after, timedelta) or not isinstance(upstream, str | None):
            raise TypeError("Defer takes a timedelta, and the name of an upstream")
        self.after = min(max(after, SHORTEST_DEFERRAL), LONGEST_DEFERRAL)
        self.upstream = upstream


class UpstreamUnavailable(Steer):
    """An upstream's breaker is open, or its budget spent: the call was not made.

    A handler that lets it through goes back to that upstream's lane and runs again once it is well, without an
    attempt used. `until` is when that may be at the earliest, None where nobody knows. `spent`: it is a budget that has
    come to its end, and no outage.
    """

    def __init__(self, upstream: str, until: datetime | None = None, *, spent: bool = False) -> None:
        if not isinstance(upstream, str):
            raise TypeError("UpstreamUnavailable takes the name of an upstream")
        super().__init__(f"{upstream} is unavailable")
        self.upstream = upstream
        self.until = until
        self.spent = spent


class OutOfBudget(UpstreamUnavailable):
    """The job's user has spent what calls to the upstream may cost: the call was not made.

    A handler that lets it through runs again when the window of the budget is over, without an attempt used.
    """

    def __init__(self, upstream: str, until: datetime, budget: str) -> None:
        super().__init__(upstream, until, spent=True)
        self.args = (f"its user has spent the budget of {budget} for {upstream}",)


class Abandoned(Steer):
    """The run was cancelled, timed out or lost its lease: clean up and let this through."""
