"""What a provider meant by an error: one fault, from status, headers and body. Pure.

Providers say 429 for four things, 402 for two and 403 for three, and say 200 over errors; SDKs that look at the
status alone hammer an account without credit. The provider's message is read and not kept: it may quote the prompt.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tidegate.core.failure import Failure
from tidegate.core.fault import Fault, fault_of
from tidegate.llm import headers as said

_CODES: Final[Mapping[Fault, frozenset[str]]] = {
    Fault.QUOTA: frozenset(
        {
            "insufficient_quota", "insufficient_credits", "insufficient_balance", "credit_balance_exhausted",
            "credit_limit_reached", "organization_spend_limit_exceeded", "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded", "enforced_spend_limit_reached", "billing_hard_limit_reached",
            "billing_not_active", "billing_error", "exceeded_current_quota_error", "payment_required",
        }
    ),
    Fault.CONTEXT_TOO_LONG: frozenset(
        {
            "context_length_exceeded", "context_window_exceeded", "exceed_context_size_error", "request_too_large",
            "string_above_max_length", "prompt_too_long",
        }
    ),
    Fault.CONTENT_REFUSED: frozenset(
        {
            "content_filter", "content_policy_violation", "moderation_blocked", "responsibleaipolicyviolation",
            "data_inspection_failed", "invalid_prompt", "safety",
        }
    ),
    Fault.INVALID_OUTPUT: frozenset({"json_validate_failed", "tool_use_failed"}),
    Fault.AUTH: frozenset({"invalid_api_key", "authentication_error", "permission_error", "unauthorized"}),
    Fault.OVERLOADED: frozenset({"overloaded_error", "engine_overloaded", "overloaded", "capacity_exceeded"}),
    Fault.RATE_LIMITED: frozenset({"rate_limit_exceeded", "rate_limit_error", "slow_down"}),
}  # fmt: skip
"""Words in `code` or `type`. They beat the status; the first fault that has one wins."""

_MESSAGES: Final = (
    (Fault.QUOTA, re.compile(r"credit balance is too low|insufficient (balance|credits|funds|quota)", re.IGNORECASE)),
    (
        Fault.CONTEXT_TOO_LONG,
        re.compile(
            r"context (length|window|size)|maximum (context|prompt|input)|(prompt|input) is too long"
            r"|too many (input )?tokens|reduce the length",
            re.IGNORECASE,
        ),
    ),
    (
        Fault.CONTENT_REFUSED,
        re.compile(r"content (policy|filter|management)|flagged|moderation|violat\w{1,20} .{0,40}polic", re.IGNORECASE),
    ),
)
"""How those who give no code say it: read in refusals of the request itself only."""

_FORBIDDEN: Final = (
    (Fault.QUOTA, re.compile(r"(key|spend\w{0,20}|credit|usage|monthly) limit|budget|out of credits", re.IGNORECASE)),
    _MESSAGES[2],
)
_CAPACITY: Final = re.compile(r"overloaded|at capacity|over capacity|no capacity", re.IGNORECASE)

_TOO_LARGE: Final = re.compile(r"request too large", re.IGNORECASE)
"""One request over the whole limit of a minute: no wait helps."""

_OF_THE_REQUEST: Final = frozenset({400, 413, 422})
_STATUSES: Final = range(400, 600)
_IN_FLIGHT: Final = "openrouter_in_flight_budget"
_PLAIN_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LONGEST_MESSAGE: Final = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an error means. `word` is the provider's own code for it, "" where it gave none."""

    fault: Fault
    status: int | None = None
    word: str = ""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Error:
    """An error body, whichever of the shapes in use it had."""

    status: int
    words: tuple[str, ...]
    message: str
    metadata: Mapping[str, object]


def classify(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Verdict:
    """What an HTTP error means. Header names are in lower case; any body will do."""
    return _judge(_read(status, _decoded(body)), headers, now)


def classify_inside(error: object, headers: Mapping[str, str], *, now: datetime) -> Verdict:
    """What the `error` in a 200 or in a stream means: its own code stands for the status, 500 where it has none."""
    return _judge(_read(500, {"error": error}), headers, now)


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _read(status: int, body: object) -> _Error:
    """OpenAI nests under `error`, vLLM does not, Ollama gives a text, FastAPI a `detail`."""
    whole = _mapping(body)
    nested = whole.get("error", whole)
    fields = _mapping(nested)
    code = fields.get("code")
    if isinstance(code, int) and status == 500 and code in _STATUSES:
        status = code
    texts = [value.lower() for value in (code, fields.get("type"), fields.get("status")) if isinstance(value, str)]
    statuses = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) == 3]
    message = nested if isinstance(nested, str) else fields.get("message") or fields.get("detail")
    return _Error(
        status=statuses[0] if statuses and status == 500 and statuses[0] in _STATUSES else status,
        words=tuple(text for text in texts if _PLAIN_WORD.fullmatch(text)),
        message=message[:_LONGEST_MESSAGE] if isinstance(message, str) else "",
        metadata=_mapping(fields.get("metadata")),
    )


def _judge(error: _Error, headers: Mapping[str, str], now: datetime) -> Verdict:
    # OpenRouter hands on the headers of the provider behind it in the error's metadata.
    theirs = _mapping(error.metadata.get("headers"))
    inner = {name.lower(): str(value) for name, value in theirs.items() if isinstance(value, str | int | float)}
    wait = said.retry_after(headers, now) or said.retry_after({**inner, **_dated(headers)}, now)
    wait = wait or _in_metadata(error.metadata) or said.hinted(error.message)
    fault = _fault(error, asks_to_wait=wait is not None)
    return Verdict(
        fault=fault,
        status=error.status,
        word=next(iter(error.words), ""),
        retry_after=wait if fault in _WAITING else None,
    )


_WAITING: Final = frozenset({Fault.RATE_LIMITED, Fault.OVERLOADED, Fault.SERVER_ERROR, Fault.SLOW, Fault.QUOTA})
"""Where a wait that is asked for means something."""


def _dated(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {"date": headers["date"]} if "date" in headers else {}


def _in_metadata(metadata: Mapping[str, object]) -> timedelta | None:
    seconds = metadata.get("retry_after_seconds")
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool) and abs(seconds) < 1e12
    return said.bounded(float(seconds)) if known and isinstance(seconds, int | float) else None


def _fault(error: _Error, *, asks_to_wait: bool) -> Fault:
    if error.status == 402:
        # The one 402 that passes by itself: the budget for calls in flight, not the account's.
        passes = asks_to_wait or error.metadata.get("limit_source") == _IN_FLIGHT
        return Fault.RATE_LIMITED if passes else Fault.QUOTA
    by_word = next((fault for fault, words in _CODES.items() if words.intersection(error.words)), None)
    if error.status == 403:
        return _forbidden(error, by_word)
    if error.status == 413 or (error.status == 429 and _TOO_LARGE.search(error.message)):
        return Fault.CONTEXT_TOO_LONG
    if by_word is Fault.RATE_LIMITED and _CAPACITY.search(error.message):
        return Fault.OVERLOADED
    return by_word or _by_message(error) or _by_status(error.status)


def _forbidden(error: _Error, by_word: Fault | None) -> Fault:
    if by_word is not None and by_word is not Fault.AUTH:
        return by_word
    if error.metadata.keys() & {"reasons", "flagged_input"}:
        return Fault.CONTENT_REFUSED
    return next((fault for fault, pattern in _FORBIDDEN if pattern.search(error.message)), Fault.AUTH)


def _by_message(error: _Error) -> Fault | None:
    if error.status == 429 and _CAPACITY.search(error.message):
        return Fault.OVERLOADED
    if error.status not in _OF_THE_REQUEST:
        return None
    return next((fault for fault, pattern in _MESSAGES if pattern.search(error.message)), None)


def _by_status(status: int) -> Fault:
    """As every other failure with that status, and what is no error is no answer either: a wrong address."""
    return fault_of(Failure(code="", message="", status=status)) or Fault.BAD_REQUEST
