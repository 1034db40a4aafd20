"""What holds of every canonical form and fingerprint."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.idempotency import JSON, canonical, check_key, fingerprint
from tidegate.errors import InvalidInput

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values: st.SearchStrategy[JSON] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
requests = st.dictionaries(texts, values, max_size=5)


def same(one: JSON, other: JSON) -> bool:
    """Whether two values are the same as JSON: equal, and of one kind at every place."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other


def shuffled(value: JSON) -> JSON:
    """The same value with the members of its objects the other way round."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(value=values)
def test_the_canonical_form_is_json_of_the_same_value(value: JSON) -> None:
    read: JSON = json.loads(canonical(value))
    assert same(read, value)
    assert canonical(read) == canonical(value)


@given(value=values)
def test_the_order_of_members_does_not_matter(value: JSON) -> None:
    assert canonical(shuffled(value)) == canonical(value)


@given(one=values, other=values)
def test_two_values_share_a_form_only_when_they_are_the_same(one: JSON, other: JSON) -> None:
    assert (canonical(one) == canonical(other)) == same(one, other)


@given(request=requests, key=texts)
def test_the_key_itself_never_changes_a_fingerprint(request: dict[str, JSON], key: str) -> None:
    work = {name: value for name, value in request.items() if name != "idempotency_key"}
    assert fingerprint(work) == fingerprint(work | {"idempotency_key": key})


@given(request=requests, name=texts, value=values)
def test_any_other_change_changes_the_fingerprint(request: dict[str, JSON], name: str, value: JSON) -> None:
    changed = request | {name: value}
    unchanged = name in request and same(request[name], value)
    assert (fingerprint(changed) == fingerprint(request)) == (unchanged or name == "idempotency_key")


@given(key=st.text(max_size=300))
def test_a_key_is_accepted_iff_it_is_1_to_255_printable_ascii_characters(key: str) -> None:
    try:
        accepted = check_key(key) == key
    except InvalidInput:
        accepted = False
    assert accepted == (0 < len(key) < 256 and all(" " <= character <= "~" for character in key))
