"""Which wait a policy gives, and which policies are refused."""

import json
import math
from collections.abc import Callable
from datetime import timedelta
from typing import cast

import pytest

from tidegate.core import retry
from tidegate.core.failure import Failure
from tidegate.core.retry import Exponential, RetryPolicy, Rule, Steps, delay, next_delay
from tidegate.errors import ConfigError

SECOND = timedelta(seconds=1)
MIDDLE = 0.5
"""The dice that jitter leaves in its middle."""

DOUBLING = Exponential(initial=2 * SECOND, cap=300 * SECOND)


def seconds(*numbers: float) -> tuple[timedelta, ...]:
    return tuple(number * SECOND for number in numbers)


def test_the_default_waits_1_5_and_30_seconds_and_tries_3_times() -> None:
    assert [delay(retry.DEFAULT.backoff, n, dice=0.9) for n in (1, 2, 3)] == list(seconds(1, 5, 30))
    waits = [next_delay(retry.DEFAULT, attempts, ("boom",), dice=0.9) for attempts in (1, 2, 3)]
    assert waits == [SECOND, 5 * SECOND, None]


def test_the_last_step_repeats() -> None:
    assert delay(Steps(delays=seconds(1, 5)), 7, dice=0) == 5 * SECOND


def test_exponential_waits_grow_by_the_factor_up_to_the_cap() -> None:
    waits = [delay(DOUBLING, n, dice=MIDDLE) for n in range(1, 10)]
    assert waits == list(seconds(2, 4, 8, 16, 32, 64, 128, 256, 300))


@pytest.mark.parametrize(("dice", "share"), [(0.0, 0.9), (0.25, 0.95), (0.5, 1.0), (0.75, 1.05)])
def test_jitter_spreads_a_wait_evenly_around_itself_and_after_the_cap(dice: float, share: float) -> None:
    assert delay(DOUBLING, 1, dice=dice) == 2 * SECOND * share
    assert delay(DOUBLING, 50, dice=dice) == 300 * SECOND * share
    assert delay(Steps(delays=seconds(5), jitter=0.1), 1, dice=dice) == 5 * SECOND * share


@pytest.mark.parametrize("attempt", [2_000, 10**9, 10**400])
def test_no_attempt_overflows(attempt: int) -> None:
    assert delay(DOUBLING, attempt, dice=MIDDLE) == DOUBLING.cap
    assert delay(Exponential(initial=SECOND, factor=10**6, cap=2 * SECOND), attempt, dice=MIDDLE) == 2 * SECOND
    assert delay(Exponential(initial=SECOND, factor=1, cap=2 * SECOND), attempt, dice=MIDDLE) == SECOND
    assert delay(Steps(delays=seconds(3)), attempt, dice=MIDDLE) == 3 * SECOND


@pytest.mark.parametrize("attempt", [0, -1, -(10**9)])
def test_an_attempt_below_1_counts_as_the_first(attempt: int) -> None:
    assert delay(DOUBLING, attempt, dice=MIDDLE) == 2 * SECOND
    assert delay(Steps(delays=seconds(1, 5)), attempt, dice=MIDDLE) == SECOND


def test_a_wait_is_rounded_half_to_even_to_the_microsecond() -> None:
    tiny = Exponential(initial=timedelta(microseconds=1), factor=1.5, cap=SECOND, jitter=0)
    assert [delay(tiny, n, dice=0).microseconds for n in (1, 2, 3, 4)] == [1, 2, 2, 3]


def test_retry_after_lengthens_a_wait_beyond_its_cap_and_never_shortens_it() -> None:
    assert delay(DOUBLING, 1, dice=0, retry_after=600 * SECOND) == 600 * SECOND
    assert delay(DOUBLING, 8, dice=MIDDLE, retry_after=SECOND) == 256 * SECOND


@pytest.mark.parametrize("past", [-SECOND, timedelta.min])
def test_a_retry_after_in_the_past_changes_nothing(past: timedelta) -> None:
    assert delay(DOUBLING, 1, dice=0.9, retry_after=past) == delay(DOUBLING, 1, dice=0.9)


def test_jitter_only_adds_to_retry_after() -> None:
    assert delay(DOUBLING, 1, dice=MIDDLE, retry_after=60 * SECOND) == 63 * SECOND


def test_retry_after_counts_for_a_day_at_most() -> None:
    assert delay(DOUBLING, 1, dice=0, retry_after=timedelta.max) == timedelta(hours=24)


def test_a_rule_may_forbid_a_retry() -> None:
    policy = RetryPolicy(backoff=DOUBLING, rules=(Rule(error="BadInput", retry=False),))
    assert next_delay(policy, 1, ("processing_error", "BadInput"), dice=MIDDLE) is None
    assert next_delay(policy, 1, ("processing_error", "Other"), dice=MIDDLE) == 2 * SECOND


def test_a_rule_may_grant_one_retry() -> None:
    policy = RetryPolicy(backoff=DOUBLING, max_attempts=5, rules=(Rule(error="http:401", max_attempts=2),))
    assert next_delay(policy, 1, ("http:401",), dice=MIDDLE) == 2 * SECOND
    assert next_delay(policy, 2, ("http:401",), dice=MIDDLE) is None
    assert next_delay(policy, 2, ("http:500",), dice=MIDDLE) == 4 * SECOND


def test_a_rule_never_widens_the_policy() -> None:
    policy = RetryPolicy(backoff=DOUBLING, max_attempts=2, rules=(Rule(error="slow", max_attempts=9),))
    assert next_delay(policy, 2, ("slow",), dice=MIDDLE) is None


def test_a_rule_may_have_its_own_backoff() -> None:
    own = Steps(delays=seconds(60))
    policy = RetryPolicy(backoff=DOUBLING, rules=(Rule(error="rate_limited", backoff=own),))
    assert next_delay(policy, 1, ("rate_limited",), dice=MIDDLE) == 60 * SECOND


def test_the_first_rule_that_matches_is_the_only_one() -> None:
    rules = (Rule(error="http:5xx", backoff=Steps(delays=seconds(7))), Rule(error="http:503", retry=False))
    policy = RetryPolicy(backoff=DOUBLING, rules=rules)
    assert next_delay(policy, 1, ("http:503", "http:5xx"), dice=MIDDLE) == 7 * SECOND


def test_the_rules_of_a_hardened_client_read_as_they_were_asked_for() -> None:
    rules = (
        Rule(error="http:429"),
        Rule(error="http:401", max_attempts=2),
        Rule(error="http:403", max_attempts=2),
        Rule(error="http:4xx", retry=False),
    )
    policy = RetryPolicy(backoff=DOUBLING, max_attempts=3, rules=rules)

    def retried(status: int | None, attempts: int) -> bool:
        names = Failure(code="processing_error", message="", status=status).names
        return next_delay(policy, attempts, names, dice=MIDDLE) is not None

    assert [retried(status, 1) for status in (500, 503, 429, None, 401, 403)] == [True] * 6
    assert [retried(status, 2) for status in (500, 429, None, 401, 403)] == [True, True, True, False, False]
    assert [retried(status, 1) for status in (400, 404, 422)] == [False] * 3


@pytest.mark.parametrize("names", [(), ("timeout",), ("TIMEOUT",), ("Time",), ("http:50",)])
def test_a_rule_matches_whole_names_in_their_own_case(names: tuple[str, ...]) -> None:
    rules = (Rule(error="Timeout", retry=False), Rule(error="http:503", retry=False))
    assert next_delay(RetryPolicy(backoff=DOUBLING, rules=rules), 1, names, dice=MIDDLE) == 2 * SECOND


def test_retry_after_reaches_the_next_delay() -> None:
    wait = next_delay(retry.DEFAULT, 1, (), dice=MIDDLE, retry_after=9 * SECOND)
    assert wait == 9 * SECOND


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Exponential(initial=timedelta(0), cap=SECOND), "initial"),
        (lambda: Exponential(initial=-SECOND, cap=SECOND), "initial"),
        (lambda: Exponential(initial=SECOND, cap=timedelta(days=366, microseconds=1)), "cap"),
        (lambda: Exponential(initial=2 * SECOND, cap=SECOND), "cap"),
        (lambda: Exponential(initial=SECOND, cap=SECOND, factor=0.99), "factor"),
        (lambda: Exponential(initial=SECOND, cap=SECOND, factor=1_000_000.5), "factor"),
        (lambda: Exponential(initial=SECOND, cap=SECOND, factor=math.nan), "factor"),
        (lambda: Exponential(initial=SECOND, cap=SECOND, factor=math.inf), "factor"),
        (lambda: Exponential(initial=SECOND, cap=SECOND, jitter=1), "jitter"),
        (lambda: Exponential(initial=SECOND, cap=SECOND, jitter=math.nan), "jitter"),
        (lambda: Steps(delays=()), "delays"),
        (lambda: Steps(delays=(SECOND,) * 1_001), "delays"),
        (lambda: Steps(delays=(SECOND, timedelta(0))), r"delays\[1\]"),
        (lambda: Steps(delays=(timedelta(days=367),)), r"delays\[0\]"),
        (lambda: Steps(delays=(SECOND,), jitter=-0.1), "jitter"),
        (lambda: RetryPolicy(backoff=DOUBLING, max_attempts=0), "max_attempts"),
        (lambda: RetryPolicy(backoff=DOUBLING, max_attempts=1_001), "max_attempts"),
        (lambda: RetryPolicy(backoff=DOUBLING, rules=(Rule(error="x"),) * 101), "rules"),
        (lambda: Rule(error=""), "error"),
        (lambda: Rule(error="x" * 201), "error"),
        (lambda: Rule(error="http:"), "error"),
        (lambda: Rule(error="http:6xx"), "error"),
        (lambda: Rule(error="http:5XX"), "error"),
        (lambda: Rule(error="http:5033"), "error"),
        (lambda: Rule(error="x", max_attempts=0), "max_attempts"),
        (lambda: Rule(error="x", retry=False, max_attempts=2), "forbids a retry"),
        (lambda: Rule(error="x", retry=False, backoff=DOUBLING), "forbids a retry"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make()


def test_the_limits_themselves_are_allowed() -> None:
    year = timedelta(days=366)
    tick = timedelta(microseconds=1)
    Exponential(initial=tick, cap=year, factor=1, jitter=0)
    Exponential(initial=year, cap=year, factor=1_000_000, jitter=0.999)
    RetryPolicy(backoff=Steps(delays=(year,) * 1_000), max_attempts=1_000, rules=(Rule(error="x" * 200),) * 100)
    RetryPolicy(backoff=Steps(delays=(tick,)), max_attempts=1, rules=(Rule(error="http:100", max_attempts=1),))


@pytest.mark.parametrize("error", ["http:5xx", "http:403", "https", "http", "rate_limited", "ValueError"])
def test_codes_class_names_and_statuses_make_rules(error: str) -> None:
    assert Rule(error=error).error == error


def test_a_duration_that_is_wrong_is_told_in_seconds_and_what_is_none_as_it_is() -> None:
    assert str(retry.delay_fault(-SECOND)).endswith("not -1 s")
    given: object = json.loads('"5"')
    assert str(retry.delay_fault(cast("timedelta", given))).endswith("not '5'")
