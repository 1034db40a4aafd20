"""What can go wrong with a job, as one value and a fixed set of codes.

`Failure` is what a job's `error` shows and what `lifecycle.decide` reads; no exception of a vendor goes
further in than `failure_of`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tidegate.core.text import storable

PROCESSING_ERROR: Final = "processing_error"  # the handler raised
TIMEOUT: Final = "timeout"  # the run took longer than its timeout
ARTIFACT_FAILED: Final = "blob_upload_failed"  # the result could not be stored
WORKER_SHUTDOWN: Final = "worker_shutdown"  # the type asked to fail when its worker stops
QUARANTINED: Final = "quarantined"  # killed or lost its worker too often
EXPIRED: Final = "expired"  # still waiting at its expires_at
INVALID_PAYLOAD: Final = "invalid_payload"  # the payload no longer fits the job type
UPSTREAM_FAILED: Final = "upstream_failed"  # the upstream was down for too long
BUDGET_SPENT: Final = "budget_spent"  # its user has spent what calls may cost: it waits, and runs again
CRASHED: Final = "worker_crashed"  # the worker vanished while it ran the job

MESSAGE_LIMIT: Final = 8_192
"""Characters kept of an error's message: enough to understand, too few to store a payload."""

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,127}")
"""A code is a word that programs compare and logs show; `SystemExit("any text")` has a `code` too."""

LONGEST_RETRY_AFTER: Final = timedelta(hours=24)
"""A longer Retry-After is a mistake of the sender; a day is the longest that providers document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run did not return.

    `code` is one of the words above or a handler's own; `error_type` is the exception's class name, or ""
    where none was raised; `message` may hold what the user sent, so it is shown to the user and never
    logged; `transient` False forbids another attempt; `status` is an HTTP status where one was involved.
    """

    code: str
    message: str
    error_type: str = ""
    transient: bool = True
    retry_after: timedelta | None = None
    status: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What a retry rule may match on: the code, the class name, "http:503" and "http:5xx"."""
        names = [self.code, *([self.error_type] if self.error_type else [])]
        if self.status is not None:
            names += [f"http:{self.status}", f"http:{self.status // 100}xx"]
        return tuple(names)


def failure_of(error: BaseException) -> Failure:
    """Read an exception as a `Failure`; never raises, whatever the exception carries.

    Attributes honoured where they make sense: `code` (str), `transient` (bool), `retry_after` (timedelta or
    seconds) and `status_code` or `status` (int), on the exception or on its `response`.
    """
    try:
        return _read(error)
    except BaseException:  # even looking at a value may raise, where its class is somebody else's
        return Failure(code=PROCESSING_ERROR, message="the handler raised an exception that can't be read")


def _read(error: BaseException) -> Failure:
    code = _attribute(error, "code")
    transient = _attribute(error, "transient")
    return Failure(
        code=code if isinstance(code, str) and _WORD.fullmatch(code) else PROCESSING_ERROR,
        message=_message(error),
        error_type=type(error).__name__,
        transient=transient if isinstance(transient, bool) else True,
        retry_after=_retry_after(_attribute(error, "retry_after")),
        status=_status(error),
    )


def failure_to_json(failure: Failure) -> dict[str, object]:
    """A failure as JSON values; `failure_from_json` is its inverse."""
    return {
        "code": failure.code,
        "message": failure.message,
        "error_type": failure.error_type,
        "transient": failure.transient,
        "retry_after": None if failure.retry_after is None else failure.retry_after.total_seconds(),
        "status": failure.status,
    }


def failure_from_json(value: Mapping[str, object]) -> Failure:
    """Read back what `failure_to_json` wrote; anything missing or odd takes the default."""
    status = value.get("status")
    return Failure(
        code=str(value.get("code") or PROCESSING_ERROR),
        message=str(value.get("message") or ""),
        error_type=str(value.get("error_type") or ""),
        transient=value.get("transient") is not False,
        retry_after=_retry_after(value.get("retry_after")),
        status=status if isinstance(status, int) else None,
    )


def _attribute(error: object, name: str) -> object:
    try:
        return getattr(error, name, None)
    except BaseException:  # a property of somebody else's exception may raise anything
        return None


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:  # the same for __str__
        text = ""
    return storable(text or type(error).__name__, MESSAGE_LIMIT)


def _retry_after(value: object) -> timedelta | None:
    longest = LONGEST_RETRY_AFTER.total_seconds()
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = min(value, longest)  # before any arithmetic: a whole number may be beyond every float
    else:
        return None
    return timedelta(seconds=min(seconds, longest)) if seconds >= 0 else None  # NaN is not, either


def _status(error: BaseException) -> int | None:
    for holder in (error, _attribute(error, "response")):
        for name in ("status_code", "status"):
            value = _attribute(holder, name)
            if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
                return value
    return None
