"""What is made for a JSON schema is what the schema allows."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.provider.asked import Mistaken
from tidegate.provider.sample import Sampler


def _sample(schema: dict[str, object]) -> object:
    return Sampler(schema, "hello").sample()


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "hello"),
        ({"type": "string"}, "hello"),
        ({"type": "string", "maxLength": 2}, "he"),
        ({"type": "string", "minLength": 8}, "hellohello"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5, "multipleOf": 4}, 8),
        ({"type": "number", "maximum": 0.5}, 0.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 1),
        ({"const": {"x": [1]}}, {"x": [1]}),
        ({"enum": ["red", "blue"]}, "red"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"oneOf": [{"type": "null"}]}, None),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 3}, [None, None, None]),
        ({"type": "array", "maxItems": 0}, []),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1}),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}], "type": "object"},
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "integer"}}}, 1),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, None),
    ],
)
def test_the_plainest_value_is_made(schema: dict[str, object], value: object) -> None:
    assert _sample(schema) == value


def test_a_tree_ends() -> None:
    node: dict[str, object] = {
        "type": "object",
        "required": ["left", "right"],
        "properties": {
            "left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "right": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
    }
    assert "'left': None" in str(_sample(node))


def test_a_list_of_itself_ends_in_an_empty_one() -> None:
    children: dict[str, object] = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
    }
    assert str(_sample(children)).count("children") < 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**400) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
WORDS = st.sampled_from(["string", "object", "array", "integer", "number", "boolean", "null"])
SCHEMAS: st.SearchStrategy[dict[str, object]] = st.recursive(
    st.fixed_dictionaries({}, optional={"type": WORDS | JSON, "minimum": JSON, "multipleOf": JSON, "minLength": JSON}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": WORDS,
            "properties": st.dictionaries(st.sampled_from("ab"), inner | JSON) | JSON,
            "items": inner | JSON,
            "anyOf": st.lists(inner | JSON, max_size=3) | JSON,
            "allOf": st.lists(inner | JSON, max_size=3) | JSON,
            "$ref": st.sampled_from(["#", "#/items", "#/properties/a", "#/allOf"]),
            "minItems": JSON,
            "required": st.just(["a"]) | JSON,
            "const": JSON,
        },
    ),
    max_leaves=6,
)


@given(SCHEMAS)
def test_any_schema_is_answered_with_json_or_refused(schema: dict[str, object]) -> None:
    try:
        made = _sample(schema)
    except Mistaken:
        return
    msgspec.json.encode(made)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema"},
        {"$ref": 3},
        {"type": "strange"},
        {"type": "object", "properties": []},
        {"type": "array", "items": 3},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "object", "required": ["x"], "properties": {"x": {"$ref": "#"}}},
        {
            "type": "object",
            "required": [f"p{n}" for n in range(50)],
            "properties": {f"p{n}": {"$ref": "#"} for n in range(50)},
        },
    ],
)
def test_what_is_no_schema_or_has_no_end_is_the_caller_s_mistake(schema: dict[str, object]) -> None:
    with pytest.raises(Mistaken):
        _sample(schema)
