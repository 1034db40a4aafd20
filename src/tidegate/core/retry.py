"""When a failed job is tried again: policies, and the wait they give.

The wait after attempt n is `min(cap, initial * factor ** (n - 1)) * U(1 - jitter, 1 + jitter)`, or the n-th
step spread alike. It is a whole number of microseconds, rounded half to even; no n overflows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias, assert_never

from tidegate.core.failure import LONGEST_RETRY_AFTER
from tidegate.errors import ConfigError

LONGEST_DELAY: Final = timedelta(days=366)
"""A longer wait is a slip of the unit; up to it, a float counts microseconds exactly (2^53 are 285 years)."""

MOST_ATTEMPTS: Final = 1_000
"""More is a loop that somebody forgot."""

MOST_RULES: Final = 100
"""A policy travels with each of its jobs, so it stays small."""

LARGEST_FACTOR: Final = 1_000_000
"""A larger one takes a second to any cap in two attempts: it is no growth but a slip."""

LONGEST_ERROR_NAME: Final = 200
"""Characters of a rule's `error`: longer than any class name a person wrote."""

_LARGEST_EXPONENT: Final = 2**53
_HTTP: Final = re.compile(r"http:[1-5](xx|[0-9]{2})")


# What is wrong with a value, or None: said once, for the constructors and for the JSON form --------------


def delay_fault(value: timedelta) -> str | None:
    """A delay is a timedelta above 0 and at most `LONGEST_DELAY`."""
    if isinstance(value, timedelta) and timedelta(0) < value <= LONGEST_DELAY:
        return None
    given = f"{value.total_seconds():g} s" if isinstance(value, timedelta) else f"{value!r}"
    return f"must be a duration above 0 and at most {LONGEST_DELAY.days} days, not {given}"


def factor_fault(value: float) -> str | None:
    """A factor is 1 to `LARGEST_FACTOR`: waits never shrink."""
    return None if 1 <= value <= LARGEST_FACTOR else f"must be 1 to {LARGEST_FACTOR}, not {value}"


def jitter_fault(value: float) -> str | None:
    """A jitter is at least 0 and below 1: no wait shrinks to nothing."""
    return None if 0 <= value < 1 else f"must be at least 0 and below 1, not {value}"


def attempts_fault(value: int) -> str | None:
    """A number of attempts is 1 to `MOST_ATTEMPTS`."""
    return None if 1 <= value <= MOST_ATTEMPTS else f"must be 1 to {MOST_ATTEMPTS}, not {value}"


def error_fault(value: str) -> str | None:
    """A rule's error is 1 to `LONGEST_ERROR_NAME` characters; behind "http:" only a status or its class."""
    if not 1 <= len(value) <= LONGEST_ERROR_NAME:
        return f"must be 1 to {LONGEST_ERROR_NAME} characters, not {len(value)}"
    if value.startswith("http:") and not _HTTP.fullmatch(value):
        return f'must be like "http:503" or "http:5xx", not {value!r}'
    return None


def _refuse(name: str, fault: str | None) -> None:
    if fault:
        raise ConfigError(f"{name} {fault}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Waits that grow by `factor` from `initial` up to `cap`, each spread by ± `jitter` of itself.

    Jitter comes after the cap, so the longest wait is `cap * (1 + jitter)`. Raises ConfigError unless
    0 < initial <= cap <= 366 days, 1 <= factor <= 1,000,000 and 0 <= jitter < 1.
    """

    initial: timedelta
    factor: float = 2.0
    cap: timedelta
    jitter: float = 0.1

    def __post_init__(self) -> None:
        _refuse("initial", delay_fault(self.initial))
        _refuse("cap", delay_fault(self.cap))
        _refuse("factor", factor_fault(self.factor))
        _refuse("jitter", jitter_fault(self.jitter))
        if self.cap < self.initial:
            cap, initial = self.cap.total_seconds(), self.initial.total_seconds()
            raise ConfigError(f"the longest wait (cap), {cap:g} s, is less than the initial {initial:g} s: raise it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The waits after attempt 1, 2, ...; the last repeats. Each is spread by ± `jitter` of itself.

    Raises ConfigError unless there are 1 to 1,000 delays, each above 0 and at most 366 days, and
    0 <= jitter < 1.
    """

    delays: tuple[timedelta, ...]
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.delays) <= MOST_ATTEMPTS:  # no attempt could ever wait for a later step
            raise ConfigError(f"there are {len(self.delays)} delays: name 1 to {MOST_ATTEMPTS}")
        for number, step in enumerate(self.delays):
            _refuse(f"delays[{number}]", delay_fault(step))
        _refuse("jitter", jitter_fault(self.jitter))


Backoff: TypeAlias = Exponential | Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one kind of failure changes; None leaves it as the policy says.

    `error` is a failure's code, its exception's class name, "http:503" or "http:5xx", compared exactly.
    `max_attempts` counts every attempt of the job, whatever it failed of, and never widens the policy's:
    2 says "one retry". `retry` False forbids a retry, and stands alone. Raises ConfigError.
    """

    error: str
    retry: bool = True
    max_attempts: int | None = None
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        _refuse("error", error_fault(self.error))
        if self.max_attempts is not None:
            _refuse("max_attempts", attempts_fault(self.max_attempts))
        if not self.retry and (self.max_attempts is not None or self.backoff is not None):
            raise ConfigError(f"the rule for {self.error} forbids a retry: drop its max_attempts and backoff")


_NO_RULE: Final = Rule(error="none")
"""What applies where no rule does: it changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """At most `max_attempts` attempts with `backoff` between them, less where a rule says so.

    Raises ConfigError unless 1 <= max_attempts <= 1,000 and there are at most 100 rules.
    """

    backoff: Backoff
    max_attempts: int = 3
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        _refuse("max_attempts", attempts_fault(self.max_attempts))
        if len(self.rules) > MOST_RULES:
            raise ConfigError(f"there are {len(self.rules)} rules: name at most {MOST_RULES}")


UPSTREAM_BACKOFF: Final = Exponential(initial=timedelta(seconds=1), factor=2.0, cap=timedelta(seconds=60), jitter=0.1)
"""Waits of a job after faults of its upstream; mostly the upstream's gate makes it wait longer."""

DEFAULT: Final = RetryPolicy(
    backoff=Steps(delays=(timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=30))), max_attempts=3
)
"""3 attempts, 1 s and 5 s apart; the 30 s serve whoever raises `max_attempts`."""


def delay(backoff: Backoff, attempt: int, *, dice: float, retry_after: timedelta | None = None) -> timedelta:
    """The wait after attempt number `attempt`, the first being 1 (and anything less counting as 1).

    `dice` in [0, 1) picks the place within the jitter. The wait is never shorter than `retry_after`, which
    beats the cap but counts for no more than `LONGEST_RETRY_AFTER`; jitter only adds to it, for whoever
    named a time named it to everybody at once.
    """
    own = _unspread(backoff, max(attempt, 1)) * (1 - backoff.jitter + 2 * backoff.jitter * dice)
    if retry_after is None:
        return own
    asked = min(max(retry_after, timedelta(0)), LONGEST_RETRY_AFTER)
    return max(own, asked * (1 + backoff.jitter * dice))


def next_delay(
    policy: RetryPolicy,
    attempts: int,
    error_names: Sequence[str],
    *,
    dice: float,
    retry_after: timedelta | None = None,
) -> timedelta | None:
    """The wait before the next attempt; None when there is none, by count or by rule.

    `attempts` are those used, the failed one included. `error_names` is what the failure answers to
    (`Failure.names`). The first rule that names one of them applies, and no other.
    """
    rule = next((rule for rule in policy.rules if rule.error in error_names), _NO_RULE)
    most = min(policy.max_attempts, rule.max_attempts or policy.max_attempts)
    if not rule.retry or attempts >= most:
        return None
    return delay(rule.backoff or policy.backoff, attempts, dice=dice, retry_after=retry_after)


def _unspread(backoff: Backoff, attempt: int) -> timedelta:
    match backoff:
        case Steps():
            return backoff.delays[min(attempt, len(backoff.delays)) - 1]
        case Exponential():
            try:
                # float(), because the power of an int would be computed to its last digit.
                growth = float(backoff.factor) ** min(attempt - 1, _LARGEST_EXPONENT)
                return min(backoff.cap, backoff.initial * growth)
            except OverflowError:  # beyond every float or timedelta, hence beyond the cap
                return backoff.cap
        case _:
            assert_never(backoff)
