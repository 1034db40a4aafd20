"""Refusals as the exceptions they were: `core.problem_kinds` read backwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tidegate import errors
from tidegate.core.problem_kinds import RAISED
from tidegate.errors import ServiceError, TidegateError
from tidegate.sdk.exchange import Answer, Request

LONGEST_TEXT: Final = 2_000
"""Characters of a server's text that an exception repeats."""

_URI: Final = "/problems/"
_VERBS: Final = {"cancel": "cancelled", "retry": "retried", "dismiss": "dismissed"}


class Fault(msgspec.Struct):
    """What is wrong with one field."""

    field: str = ""
    message: str = ""


class Problem(msgspec.Struct):
    """An RFC 9457 problem, and the members that ours may have."""

    type: str = ""
    detail: str = ""
    request_id: str = ""
    errors: list[Fault] = []
    limit: int = 0
    retry_after: float = 0
    job_id: str = ""
    job_status: str = ""
    error: str = ""
    upstream: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A problem, its status, and what was asked."""

    said: Problem
    status: int
    request: Request

    @property
    def job_id(self) -> str:
        return self.said.job_id or self.request.job_id

    @property
    def fault(self) -> Fault:
        return self.said.errors[0] if self.said.errors else Fault(message=self.said.detail)

    @property
    def retry_after(self) -> timedelta:
        return timedelta(seconds=min(max(self.said.retry_after, 0), 86_400))


def error_of(answer: Answer, request: Request, where: str) -> TidegateError:
    """What an answer that is a refusal stands for.

    One that is no problem of Tidegate's is a ServiceError with its status; nothing of its body is repeated, for
    nobody knows what a stranger's page holds.
    """
    said = problem_of(answer)
    slug = said.type.removeprefix(_URI) if said is not None and said.type.startswith(_URI) else ""
    cls = RAISED.get(slug)
    if said is None or cls is None:
        told = "a problem that this client does not know" if slug else "something that is no problem of Tidegate's"
        return ServiceError(f"{where} answered {answer.status} with {told}", status=answer.status)
    make = _MAKERS.get(cls)
    error = cls(said.detail) if make is None else make(Refused(said, answer.status, request))
    if said.request_id:
        error.add_note(f"request {said.request_id[:100]}")
    return error


def problem_of(answer: Answer) -> Problem | None:
    """The problem that an answer holds, if it does."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        said = msgspec.json.decode(answer.body, type=Problem)
    except (msgspec.MsgspecError, ValueError):
        return None
    said.detail = said.detail[:LONGEST_TEXT]
    return said


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long an answer asks to wait, where it says so in seconds."""
    text = headers.get("retry-after", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdecimal() and len(text) < 9 else None


def _transition(refused: Refused) -> TidegateError:
    verb = refused.request.path.rpartition("/")[2]
    return errors.IllegalTransition(refused.job_id, refused.said.job_status, _VERBS.get(verb, "changed"))


def _failed(refused: Refused) -> TidegateError:
    # The detail is the text of the JobFailed at the server, which is made anew.
    code = refused.said.error
    return errors.JobFailed(refused.job_id, code, refused.said.detail.partition(f"({code}): ")[2])


_MAKERS: Final[Mapping[type[TidegateError], Callable[[Refused], TidegateError]]] = {
    errors.InvalidInput: lambda r: errors.InvalidInput(r.fault.field, r.fault.message),
    errors.UnknownJobType: lambda r: errors.UnknownJobType(r.fault.field, r.fault.message),
    errors.TooLarge: lambda r: errors.TooLarge(r.fault.field, r.fault.message, limit=r.said.limit),
    errors.UploadTooLarge: lambda r: errors.UploadTooLarge(r.fault.field, r.fault.message, limit=r.said.limit),
    errors.NotData: lambda r: errors.NotData(r.fault.message),
    errors.JobNotFound: lambda r: errors.JobNotFound(r.job_id),
    errors.IdempotencyConflict: lambda r: errors.IdempotencyConflict(r.request.key, r.said.job_id),
    errors.IllegalTransition: _transition,
    errors.RateLimited: lambda r: errors.RateLimited(r.said.detail, retry_after=r.retry_after, limit=r.said.limit),
    errors.UpstreamOpen: lambda r: errors.UpstreamOpen(r.said.upstream, retry_after=r.retry_after),
    errors.BudgetSpent: lambda r: errors.BudgetSpent(r.said.upstream, retry_after=r.retry_after, until=r.said.until),
    errors.WebhookError: lambda r: errors.WebhookError(r.said.detail, code=r.said.error or "webhook_failed"),
    errors.ServiceError: lambda r: errors.ServiceError(r.said.detail, status=r.status),
    errors.JobFailed: _failed,
    errors.JobCancelled: lambda r: errors.JobCancelled(r.job_id),
    errors.ResultTimeout: lambda r: errors.ResultTimeout(r.job_id, r.said.job_status),
}
"""How those are made that say more than a text."""
