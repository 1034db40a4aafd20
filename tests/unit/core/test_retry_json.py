"""The JSON form of a retry policy: read strictly, written so that it reads back."""

import json
import math
from datetime import timedelta

import pytest

from tidegate.core.retry import DEFAULT, Exponential, RetryPolicy, Rule, Steps, delay
from tidegate.core.retry_json import policy_from_json, policy_to_json
from tidegate.errors import InvalidInput

SECOND = timedelta(seconds=1)
STEPS: dict[str, object] = {"policy": "steps", "delays": [1]}
DOUBLING: dict[str, object] = {"policy": "exponential", "initial": 2}


def test_the_default_policy_is_written_in_seconds() -> None:
    form = policy_to_json(DEFAULT)
    assert form == {"policy": "steps", "delays": [1, 5, 30], "jitter": 0, "max_attempts": 3}
    assert json.dumps(form["delays"]) == "[1, 5, 30]"


def test_an_exponential_policy_is_written_with_all_its_fields() -> None:
    backoff = Exponential(initial=SECOND / 2, cap=10 * SECOND)
    assert policy_to_json(RetryPolicy(backoff=backoff, max_attempts=2)) == {
        "policy": "exponential",
        "initial": 0.5,
        "factor": 2,
        "max": 10,
        "jitter": 0.1,
        "max_attempts": 2,
    }


def test_rules_are_written_and_read_back() -> None:
    rules = (
        Rule(error="http:403", max_attempts=2, backoff=Steps(delays=(SECOND,), jitter=0.2)),
        Rule(error="http:4xx", retry=False),
    )
    policy = RetryPolicy(backoff=Exponential(initial=SECOND, cap=SECOND), max_attempts=7, rules=rules)
    form = policy_to_json(policy)
    assert form["rules"] == [
        {
            "error": "http:403",
            "retry": True,
            "max_attempts": 2,
            "backoff": {"policy": "steps", "delays": [1], "jitter": 0.2},
        },
        {"error": "http:4xx", "retry": False},
    ]
    assert policy_from_json(json.loads(json.dumps(form))) == policy


def test_the_shortest_steps_have_the_defaults() -> None:
    assert policy_from_json(STEPS) == RetryPolicy(backoff=Steps(delays=(SECOND,)), max_attempts=3)


def test_two_to_the_number_of_attempts_is_the_shortest_exponential() -> None:
    policy = policy_from_json({"policy": "exponential", "initial": 2, "factor": 2})
    assert policy == RetryPolicy(backoff=Exponential(initial=2 * SECOND, cap=timedelta(hours=24)))
    assert [delay(policy.backoff, n, dice=0.5) / SECOND for n in (1, 2, 3, 10)] == [2, 4, 8, 1024]


def test_an_initial_wait_of_more_than_a_day_raises_the_default_max() -> None:
    two_days = timedelta(days=2)
    policy = policy_from_json(DOUBLING | {"initial": 172_800})
    assert policy.backoff == Exponential(initial=two_days, cap=two_days)


def test_the_shortest_rule_changes_nothing() -> None:
    assert policy_from_json(STEPS | {"rules": [{"error": "x"}]}).rules == (Rule(error="x", retry=True),)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "policy"),
        ({"policy": "linear"}, "policy"),
        ({"policy": None}, "policy"),
        ({"policy": "steps"}, "delays"),
        ({"policy": "exponential"}, "initial"),
        (STEPS | {"initial": 1}, "initial"),
        (DOUBLING | {"delays": [1]}, "delays"),
        (DOUBLING | {"cap": 1}, "cap"),
        (STEPS | {"": 1}, ""),
        (STEPS | {"delays": []}, "delays"),
        (STEPS | {"delays": [1] * 1_001}, "delays"),
        (STEPS | {"delays": 1}, "delays"),
        (STEPS | {"delays": "123"}, "delays"),
        (STEPS | {"delays": [1, "3"]}, "delays.1"),
        (STEPS | {"delays": [True]}, "delays.0"),
        (STEPS | {"delays": [0]}, "delays.0"),
        (STEPS | {"delays": [-1]}, "delays.0"),
        (STEPS | {"delays": [1e-9]}, "delays.0"),
        (STEPS | {"delays": [math.nan]}, "delays.0"),
        (STEPS | {"delays": [math.inf]}, "delays.0"),
        (STEPS | {"delays": [1e300]}, "delays.0"),
        (STEPS | {"delays": [10**5000]}, "delays.0"),
        (STEPS | {"delays": [366 * 86_400 + 1]}, "delays.0"),
        (STEPS | {"jitter": 1}, "jitter"),
        (STEPS | {"jitter": None}, "jitter"),
        (STEPS | {"max_attempts": 0}, "max_attempts"),
        (STEPS | {"max_attempts": 3.0}, "max_attempts"),
        (STEPS | {"max_attempts": "3"}, "max_attempts"),
        (STEPS | {"max_attempts": True}, "max_attempts"),
        (STEPS | {"max_attempts": 10**5000}, "max_attempts"),
        (DOUBLING | {"factor": 0.5}, "factor"),
        (DOUBLING | {"factor": math.nan}, "factor"),
        (DOUBLING | {"factor": False}, "factor"),
        (DOUBLING | {"max": 1}, "max"),
        (STEPS | {"rules": {}}, "rules"),
        (STEPS | {"rules": [{"error": "x"}] * 101}, "rules"),
        (STEPS | {"rules": ["x"]}, "rules.0"),
        (STEPS | {"rules": [{}]}, "rules.0.error"),
        (STEPS | {"rules": [{"error": 5}]}, "rules.0.error"),
        (STEPS | {"rules": [{"error": "x"}, {"error": "http:x"}]}, "rules.1.error"),
        (STEPS | {"rules": [{"error": "x", "retry": 0}]}, "rules.0.retry"),
        (STEPS | {"rules": [{"error": "x", "retry": False, "max_attempts": 2}]}, "rules.0.retry"),
        (STEPS | {"rules": [{"error": "x", "max_attempts": None}]}, "rules.0.max_attempts"),
        (STEPS | {"rules": [{"error": "x", "delay": 2}]}, "rules.0.delay"),
        (STEPS | {"rules": [{"error": "x", "backoff": None}]}, "rules.0.backoff"),
        (STEPS | {"rules": [{"error": "x", "backoff": STEPS | {"rules": []}}]}, "rules.0.backoff.rules"),
        (STEPS | {"rules": [{"error": "x", "backoff": STEPS | {"jitter": 2}}]}, "rules.0.backoff.jitter"),
    ],
)
def test_what_is_wrong_is_refused_by_its_path(form: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as alone:
        policy_from_json(form)
    with pytest.raises(InvalidInput) as inside:
        policy_from_json(form, "retry")
    assert (alone.value.field, inside.value.field) == (field, f"retry.{field}")


def test_a_form_that_is_no_object_is_refused_at_its_own_path() -> None:
    listed: object = json.loads('{"rules": []}')["rules"]
    form = DOUBLING | {"rules": [listed]}
    with pytest.raises(InvalidInput, match=r"^retry\.rules\.0: must be an object, not a list$"):
        policy_from_json(form, "retry")


@pytest.mark.parametrize(
    ("given", "called"),
    [(None, "null"), (True, "true"), (1.5, "a number"), ("x", "a string"), ([], "a list"), ({}, "an object")],
)
def test_a_value_of_the_wrong_kind_is_called_as_json_calls_it(given: object, called: str) -> None:
    field, wanted = ("factor", "a number") if not isinstance(given, float) else ("policy", "a string")
    with pytest.raises(InvalidInput, match=rf"{field}: must be {wanted}, not {called}$"):
        policy_from_json(DOUBLING | {field: given})


def test_the_name_of_an_unknown_field_is_shortened() -> None:
    with pytest.raises(InvalidInput) as refused:
        policy_from_json(STEPS | {"x" * 10_000: 1})
    assert refused.value.field == "x" * 100
