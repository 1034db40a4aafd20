"""How long to wait and how fast to go on, as providers' headers say it. Pure, and no header can make it raise.

What makes no sense (negative, not a number, in the past) counts as not said, so that it hides nothing better. No
wait is longer than `LONGEST_RETRY_AFTER`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from tidegate.core.failure import LONGEST_RETRY_AFTER
from tidegate.core.verbs import Pace

_UNITS: Final[Mapping[str, float]] = {
    "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9,
}  # fmt: skip
_PART: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?)(ms|us|µs|ns|d|h|m|s)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{0,18})?(?:e[0-9]{1,2})?", re.IGNORECASE)
_LONGEST_TEXT: Final = 64

_EPOCH_S: Final = 1e9
"""From here on a number is an instant in seconds, ..."""
_EPOCH_MS: Final = 1e10
"""... and beyond this one in milliseconds."""

_LIMIT: Final = re.compile(
    r"x-(?P<of>rate|token)limit-(?P<what>limit|remaining|reset)(?:-(?P<name>[a-z-]+))?"
    r"|anthropic-ratelimit-(?P<name_a>[a-z-]+?)-(?P<what_a>limit|remaining|reset)"
    r"|ratelimit-(?P<what_i>limit|remaining|reset)"
)
_HINT: Final = re.compile(
    r"(?:try again|retry|wait)\D{0,20}?\s(?P<wait>(?:[0-9]{1,9}(?:\.[0-9]{1,9})?\s?"
    r"(?:milliseconds?|seconds?|minutes?|hours?|ms|[dhms])(?![a-z]))+)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"(millisecond|second|minute|hour)s?")

LOW: Final = 0.05
"""With less than this share of a limit left, the rest is spread over the time until it is full again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One dimension that a provider limits, as far as its headers tell."""

    name: str
    limit: float | None = None
    remaining: float | None = None
    reset: timedelta | None = None

    @property
    def exhausted(self) -> bool:
        """Nothing is left."""
        return self.remaining is not None and self.remaining <= 0


def duration(text: str) -> timedelta | None:
    """`1d2h3m4.5s`, `12ms`, or plain seconds; None for what is none, and for nothing."""
    text = text.strip()
    if len(text) > _LONGEST_TEXT:
        return None
    if _NUMBER.fullmatch(text):
        return bounded(float(text))
    if _DURATION.fullmatch(text):
        return bounded(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    return None


def bounded(seconds: float) -> timedelta | None:
    """A wait of so many seconds, at most `LONGEST_RETRY_AFTER`; None where it is none."""
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return timedelta(seconds=min(seconds, LONGEST_RETRY_AFTER.total_seconds())) or None


def until(text: str, now: datetime) -> timedelta | None:
    """The time until a reset, said as a duration, as seconds, as an instant or as a Unix time in s or ms."""
    text = text.strip()
    if len(text) <= _LONGEST_TEXT and _NUMBER.fullmatch(text) and (number := float(text)) >= _EPOCH_S:
        seconds = number / 1_000 if number > _EPOCH_MS else number
        return bounded(seconds - now.timestamp())
    found = _instant(text)
    return duration(text) if found is None else bounded((found - now).total_seconds())


def _instant(text: str) -> datetime | None:
    """RFC 3339 or an HTTP date."""
    if len(text) > _LONGEST_TEXT or not text[:1].isalnum() or ("-" not in text and " " not in text):
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def answered_at(headers: Mapping[str, str], now: datetime) -> datetime:
    """When the provider answered by its own clock, which is what its instants are of; else `now`."""
    return _instant(headers.get("date", "").strip()) or now


def limits(headers: Mapping[str, str], now: datetime) -> tuple[Limit, ...]:
    """Every limited dimension. Header names are in lower case."""
    said: dict[str, dict[str, str]] = {}
    for header, value in headers.items():
        if found := _LIMIT.fullmatch(header):
            of = "tokens" if found["of"] == "token" else "requests"
            name = found["name"] or found["name_a"] or of
            said.setdefault(name, {})[found["what"] or found["what_a"] or found["what_i"]] = value
    at = answered_at(headers, now)
    return tuple(
        Limit(
            name=name,
            limit=_number(parts.get("limit", "")),
            remaining=_number(parts.get("remaining", "")),
            reset=until(parts.get("reset", ""), at),
        )
        for name, parts in said.items()
    )


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if len(text) <= _LONGEST_TEXT and _NUMBER.fullmatch(text) else None


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long the headers of a refusal ask to wait.

    `retry-after-ms`, else `Retry-After` (seconds, or a date less the response's own `Date`), else the reset of a
    dimension of which nothing remains: the longest one. A reset of any other dimension says nothing.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    said = None if milliseconds is None else bounded(milliseconds / 1_000)
    if said is None:
        said = _retry_after(headers.get("retry-after", "").strip(), answered_at(headers, now))
    if said is not None:
        return said
    return max((one.reset for one in limits(headers, now) if one.exhausted and one.reset), default=None)


def _retry_after(text: str, at: datetime) -> timedelta | None:
    found = _instant(text)
    return duration(text) if found is None else bounded((found - at).total_seconds())


def hinted(text: str) -> timedelta | None:
    """The wait that an error's message asks for: "Please try again in 1.2s"."""
    found = _HINT.search(text[:2_000])
    if found is None:
        return None
    wait = "".join(found["wait"].lower().split())
    return duration(_WORD.sub(lambda word: "ms" if word[1] == "millisecond" else word[1][0], wait))


def pace(headers: Mapping[str, str], now: datetime, tokens: int = 0) -> Pace | None:
    """How fast to go on where little is left: so that what remains lasts until the reset.

    `tokens` are those of the call just made: they turn tokens left into calls left.
    """
    periods = [period for one in limits(headers, now) if (period := _period(one, tokens))]
    return Pace(period=max(periods)) if periods else None


def _period(one: Limit, tokens: int) -> timedelta | None:
    if one.reset is None or one.remaining is None or not one.limit or one.remaining >= LOW * one.limit:
        return None
    if "token" not in one.name:
        return one.reset / max(one.remaining, 1)
    if tokens <= 0 and not one.exhausted:
        return None
    return one.reset / max(one.remaining / max(tokens, 1), 1)
