"""What holds of every retry policy."""

import json
from datetime import timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.failure import LONGEST_RETRY_AFTER
from tidegate.core.retry import (
    LARGEST_FACTOR,
    LONGEST_DELAY,
    Backoff,
    Exponential,
    RetryPolicy,
    Rule,
    Steps,
    delay,
    error_fault,
    next_delay,
)
from tidegate.core.retry_json import policy_from_json, policy_to_json
from tidegate.errors import InvalidInput

TICK = timedelta(microseconds=1)
NAMES = ["processing_error", "ValueError", "http:503", "http:5xx", "http:404"]

delays = st.timedeltas(min_value=TICK, max_value=LONGEST_DELAY)
jitters = st.floats(min_value=0, max_value=1, exclude_max=True)
dice = st.floats(min_value=0, max_value=1, exclude_max=True)
attempts = st.integers(min_value=1, max_value=1_000) | st.integers(min_value=1)
steps = st.builds(Steps, delays=st.lists(delays, min_size=1, max_size=8).map(tuple), jitter=jitters)


@st.composite
def exponentials(draw: st.DrawFn) -> Exponential:
    initial, cap = sorted((draw(delays), draw(delays)))
    factor = draw(st.floats(min_value=1, max_value=10) | st.floats(min_value=1, max_value=LARGEST_FACTOR))
    return Exponential(initial=initial, cap=cap, factor=factor, jitter=draw(jitters))


backoffs: st.SearchStrategy[Backoff] = st.one_of(exponentials(), steps)
counts = st.integers(min_value=1, max_value=1_000)
rules = st.builds(Rule, error=st.sampled_from(NAMES), retry=st.just(False)) | st.builds(
    Rule,
    error=st.sampled_from(NAMES) | st.text(min_size=1, max_size=9).filter(lambda name: error_fault(name) is None),
    max_attempts=st.none() | counts,
    backoff=st.none() | backoffs,
)
policies = st.builds(RetryPolicy, backoff=backoffs, max_attempts=counts, rules=st.lists(rules, max_size=4).map(tuple))


def ceiling(backoff: Backoff) -> timedelta:
    return backoff.cap if isinstance(backoff, Exponential) else max(backoff.delays)


def floor(backoff: Backoff) -> timedelta:
    return backoff.initial if isinstance(backoff, Exponential) else min(backoff.delays)


@given(backoff=backoffs, attempt=attempts, dice=dice)
def test_a_wait_stays_within_its_jitter(backoff: Backoff, attempt: int, dice: float) -> None:
    wait = delay(backoff, attempt, dice=dice)
    assert floor(backoff) * (1 - backoff.jitter) - TICK <= wait <= ceiling(backoff) * (1 + backoff.jitter) + TICK


@given(backoff=exponentials(), attempt=st.integers(min_value=1, max_value=1_000), dice=dice)
def test_an_exponential_wait_is_the_formula_to_a_microsecond(backoff: Exponential, attempt: int, dice: float) -> None:
    grown = Fraction(backoff.initial // TICK) * Fraction(backoff.factor) ** (attempt - 1)
    jitter = Fraction(backoff.jitter)
    exact = min(Fraction(backoff.cap // TICK), grown) * (1 - jitter + 2 * jitter * Fraction(dice))
    assert abs(Fraction(delay(backoff, attempt, dice=dice) // TICK) - exact) <= 2


@given(backoff=exponentials(), attempt=attempts, dice=dice)
def test_an_exponential_wait_never_shrinks_from_one_attempt_to_the_next(
    backoff: Exponential, attempt: int, dice: float
) -> None:
    assert delay(backoff, attempt, dice=dice) <= delay(backoff, attempt + 1, dice=dice)


@given(backoff=backoffs, attempt=attempts, dice=dice, retry_after=st.timedeltas())
def test_a_wait_is_never_shorter_than_retry_after_nor_than_it_would_be_without(
    backoff: Backoff, attempt: int, dice: float, retry_after: timedelta
) -> None:
    wait = delay(backoff, attempt, dice=dice, retry_after=retry_after)
    assert wait >= min(retry_after, LONGEST_RETRY_AFTER)
    assert wait >= delay(backoff, attempt, dice=dice)
    assert wait <= max(ceiling(backoff), LONGEST_RETRY_AFTER) * (1 + backoff.jitter) + TICK


@given(policy=policies, used=attempts, names=st.lists(st.sampled_from(NAMES)), dice=dice)
def test_no_policy_gives_more_attempts_than_it_names(
    policy: RetryPolicy, used: int, names: list[str], dice: float
) -> None:
    wait = next_delay(policy, used, names, dice=dice)
    first = next((rule for rule in policy.rules if rule.error in names), None)
    if used >= policy.max_attempts or (first is not None and not first.retry):
        assert wait is None
    elif first is None or first.max_attempts is None or used < first.max_attempts:
        assert wait == delay((first and first.backoff) or policy.backoff, used, dice=dice)
    else:
        assert wait is None


@given(policy=policies)
def test_a_policy_reads_back_from_its_json_exactly(policy: RetryPolicy) -> None:
    assert policy_from_json(json.loads(json.dumps(policy_to_json(policy)))) == policy


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
known = st.sampled_from(["delays", "initial", "factor", "max", "jitter", "max_attempts", "rules"])
forms = st.builds(
    lambda kind, fields: {"policy": kind} | fields,
    st.sampled_from(["steps", "exponential"]),
    st.dictionaries(known, json_values | st.floats(min_value=0, max_value=2) | st.just([1, 2.5])),
)


def refusal(form: dict[str, object]) -> InvalidInput | None:
    try:
        policy_from_json(form, "retry")
    except InvalidInput as refused:
        return refused
    return None


@given(form=forms)
def test_whatever_json_comes_is_read_or_refused_below_its_path(form: dict[str, object]) -> None:
    refused = refusal(form)
    if refused is None:
        policy = policy_from_json(form)
        assert policy_from_json(policy_to_json(policy)) == policy
    else:
        assert refused.field.startswith("retry.")
