"""When two requests are the same one, and which keys are accepted."""

import hashlib
import json
import math
from datetime import timedelta

import pytest

from tidegate.core.idempotency import JSON, TTL_AFTER_END, canonical, check_key, fingerprint
from tidegate.errors import InvalidInput


def nested(depth: int) -> JSON:
    value: JSON = 0
    for _ in range(depth):
        value = [value]
    return value


def test_a_key_outlives_its_job_by_a_day() -> None:
    assert timedelta(hours=24) == TTL_AFTER_END


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (-7, "-7"),
        (2**64 + 1, "18446744073709551617"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (333333333.33333329, "333333333.3333333"),
        ("", '""'),
        ("é\n\x7f\u2028😀", '"é\\n\x7f\u2028😀"'),
        ([], "[]"),
        ({}, "{}"),
        ({"b": [1, {"d": 1, "c": 2}], "a": "x y"}, '{"a":"x y","b":[1,{"c":2,"d":1}]}'),
        ({"\r": 1, "1": 2, "é": 3, "€": 4, "": 5}, '{"":5,"\\r":1,"1":2,"é":3,"€":4}'),
    ],
)
def test_a_value_has_one_way_to_be_written(value: JSON, text: str) -> None:
    assert canonical(value) == text.encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (1, True),
        (0, False),
        (0, None),
        ("1", 1),
        ([], {}),
        (2**53, 2**53 + 1),
        ("é", "e\u0301"),
    ],
)
def test_values_that_were_sent_differently_stay_different(one: JSON, other: JSON) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(("one", "other"), [("1e2", "100.0"), ("0.10", "0.1"), (r'"\u0041"', '"A"'), ("-0", "0")])
def test_spellings_of_one_value_are_the_same(one: str, other: str) -> None:
    assert canonical(json.loads(one)) == canonical(json.loads(other))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**5000], ids=["nan", "inf", "-inf", "5001 digits"])
def test_a_number_that_json_can_not_hold_is_refused(number: float) -> None:
    with pytest.raises(InvalidInput, match="can't be written as JSON"):
        canonical({"deep": [number]})


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}], ids=["text", "name"])
def test_a_lone_surrogate_is_refused(value: JSON) -> None:
    with pytest.raises(InvalidInput):
        canonical(value)


def test_a_value_nested_too_deep_is_refused_and_not_a_crash() -> None:
    assert canonical(nested(100)) == b"[" * 100 + b"0" + b"]" * 100
    with pytest.raises(InvalidInput):
        canonical(nested(100_000))


def test_the_fingerprint_is_the_sha256_of_the_canonical_request() -> None:
    expected = hashlib.sha256(b'{"payload":{"a":1},"type":"email"}').hexdigest()
    assert fingerprint({"type": "email", "payload": {"a": 1}}) == expected


def test_the_fingerprint_leaves_the_key_out_but_only_at_the_top() -> None:
    bare: dict[str, JSON] = {"type": "email", "payload": {}}
    keyed: dict[str, JSON] = {"idempotency_key": "k1", **bare}
    other: dict[str, JSON] = {"type": "email", "payload": {"idempotency_key": "k1"}}
    assert fingerprint(bare) == fingerprint(keyed)
    assert fingerprint(bare) != fingerprint(other)
    assert keyed["idempotency_key"] == "k1"


def test_an_absent_field_and_a_null_one_are_different_requests() -> None:
    assert fingerprint({"type": "email"}) != fingerprint({"type": "email", "queue": None})


@pytest.mark.parametrize("key", ["k", "order 17/e", "~!", " ", "x" * 255])
def test_printable_ascii_up_to_255_characters_is_a_key(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * 256, "sécret", "sec\nret", "secret\x7f", "secret\x00", "sec\u00a0ret"])
def test_any_other_key_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_key(key)
    assert refused.value.field == "idempotency_key"
    assert "sec" not in str(refused.value)
