"""Requests as providers take them, answers as they give them."""

import json
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.llm.calls import ANSWER, ASK, MODEL, PROMPT, USAGE, Verdict, completion, piece
from tidegate.core.budget import MOST_A_CALL
from tidegate.core.fault import Fault
from tidegate.errors import ConfigError, InvalidInput
from tidegate.llm import Form, Prices, Provider, Usage
from tidegate.llm.assembly import Assembly
from tidegate.llm.schema import Wanted, WantedModel, WantedSchema, strict
from tidegate.llm.values import cost_of
from tidegate.llm.wire import Ask, body, read, usage_of

URL = "http://127.0.0.1:1/v1"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "title": "A number!"}


def told(form: Form, wanted: Wanted[object] | None, *, stream: bool = False) -> dict[str, object]:
    provider = Provider(name="x", model=MODEL, base_url=URL, form=form, extra={"seed": 7})
    return body(provider, Ask(messages=ASK, wanted=wanted, max_tokens=9, temperature=0.5), stream=stream)


def test_a_prompt_that_is_no_list_of_messages_is_refused_in_words() -> None:
    ask: Callable[..., Ask] = Ask
    with pytest.raises(InvalidInput, match=r"^messages: give a list, as in messages=\[…\], and no lone str$"):
        ask(messages=PROMPT)


def test_a_request_holds_what_was_asked_and_the_providers_own_extras() -> None:
    assert told(Form.SCHEMA, None) == {
        "model": MODEL,
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 7,
    }


def test_a_stream_asks_for_its_usage() -> None:
    assert told(Form.SCHEMA, None, stream=True)["stream_options"] == {"include_usage": True}


def test_the_schema_goes_where_the_provider_takes_it() -> None:
    wanted = WantedModel(Verdict)
    shape = msgspec.convert(told(Form.SCHEMA, wanted)["response_format"], dict[str, object])
    assert shape["type"] == "json_schema"
    assert told(Form.OBJECT, wanted)["response_format"] == {"type": "json_object"}
    assert "response_format" not in told(Form.PROMPT, wanted)
    for form in (Form.OBJECT, Form.PROMPT):
        messages = msgspec.convert(told(form, wanted)["messages"], list[dict[str, str]])
        assert messages[0]["role"] == "system"
        assert '"grade"' in messages[0]["content"]


def test_strict_schemas_close_every_object_and_keep_what_is_no_schema() -> None:
    class Inner(BaseModel):
        default: int = 3

    class Outer(BaseModel):
        properties: list[Inner]
        kind: str = "x"

    found = msgspec.convert(strict(Outer.model_json_schema()), dict[str, object])
    assert found["required"] == ["properties", "kind"]
    assert found["additionalProperties"] is False
    inner = msgspec.convert(found["$defs"], dict[str, dict[str, object]])["Inner"]
    assert inner["required"] == ["default"]
    assert inner["properties"] == {"default": {"title": "Default", "type": "integer"}}
    assert strict({"enum": [{"default": 1}]}) == {"enum": [{"default": 1}]}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('{"grade": 1, "reason": "x"}', True),
        ('```json\n{"grade": 1, "reason": "x"}\n```', True),
        ('  ```\n{"grade": 1, "reason": "x"}```  ', True),
        ('{"grade": "one", "reason": "x"}', False),
        ('{"grade": 1', False),
        ("", False),
        ("null", False),
        ("[" * 10_000, False),
    ],
)
def test_an_answer_is_read_by_its_model_or_not_at_all(text: str, good: bool) -> None:
    assert (WantedModel(Verdict).read(text) is not None) is good
    assert (WantedSchema(Verdict.model_json_schema()).read(text) is not None) is good


def test_a_json_schema_has_a_name_that_providers_take() -> None:
    wanted = WantedSchema(SCHEMA)
    assert wanted.name == "A_number_"
    assert wanted.read('{"n": 1}') == {"n": 1}
    assert wanted.read('{"n": 1.5}') is None


@pytest.mark.parametrize("schema", [{"type": "no such type"}, {"$ref": "http://127.0.0.1:1/schema.json"}])
def test_what_is_no_schema_or_lies_elsewhere_is_refused_before_any_call(schema: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        WantedSchema(schema)


def test_costs_are_rounded_up_and_cached_tokens_have_a_price_of_their_own() -> None:
    usage = Usage(input_tokens=1_001, output_tokens=10, cached_tokens=1_000)
    assert cost_of(usage, Prices(input=Decimal("0.15"), output=Decimal("0.60"))) == 157  # 156.15
    assert cost_of(usage, Prices(input=Decimal("1"), output=Decimal("1"), cached=Decimal("0.1"))) == 111


def used(said: object, prices: Prices | None = None) -> Usage | None:
    answer = read(msgspec.json.encode({"choices": [], "usage": said}))
    assert answer is not None
    return usage_of(answer.usage, prices)


def test_what_the_provider_says_of_cost_beats_the_price_table() -> None:
    prices = Prices(input=Decimal("1"), output=Decimal("1"))
    by_table = used({"prompt_tokens": 10, "completion_tokens": 5}, prices)
    said = used({"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.00014}, prices)
    assert (by_table and by_table.cost, said and said.cost) == (15, 140)
    assert used({"prompt_tokens": 1}) == Usage(input_tokens=1)


@pytest.mark.parametrize("said", [None, {}, [], "", 7, {"prompt_tokens": None}, {"prompt_tokens_details": {}}])
def test_whoever_tells_neither_tokens_nor_a_cost_has_said_nothing(said: object) -> None:
    assert used(said, Prices(input=Decimal("1"), output=Decimal("1"))) is None


def test_an_answer_without_any_usage_is_one() -> None:
    answer = read(msgspec.json.encode({"choices": []}))
    assert answer is not None
    assert usage_of(answer.usage, None) is None


@pytest.mark.parametrize(
    ("odd", "usage"),
    [
        ({"prompt_tokens": 10.0}, Usage(input_tokens=10, output_tokens=5)),
        ({"prompt_tokens": "10"}, Usage(input_tokens=10, output_tokens=5)),
        ({"prompt_tokens": 10.5}, Usage(output_tokens=5)),
        ({"prompt_tokens": True}, Usage(output_tokens=5)),
        ({"prompt_tokens": -3}, Usage(output_tokens=5)),
        ({"prompt_tokens": 1e23}, Usage(output_tokens=5)),
        ({"prompt_tokens": "9" * 5_000}, Usage(output_tokens=5)),
        ({"prompt_tokens": {"n": 1}}, Usage(output_tokens=5)),
        ({"prompt_tokens_details": []}, Usage(output_tokens=5)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4.0}, Usage(input_tokens=9, output_tokens=5, cached_tokens=4)),
        ({"completion_tokens_details": {"reasoning_tokens": "2"}}, Usage(output_tokens=5, reasoning_tokens=2)),
        ({"cost": "0.00006"}, Usage(output_tokens=5, cost=60)),
        ({"cost": 0.00000001}, Usage(output_tokens=5, cost=1)),
        ({"cost": 1_000_000}, Usage(output_tokens=5)),
        ({"cost": "NaN"}, Usage(output_tokens=5)),
        ({"cost": "1e999999999"}, Usage(output_tokens=5)),
    ],
)
def test_one_odd_number_is_read_or_left_out_and_takes_no_other_along(odd: dict[str, object], usage: Usage) -> None:
    assert used({"completion_tokens": 5, **odd}) == usage


def test_numbers_that_no_float_can_hold_spoil_no_answer() -> None:
    answer = read(b'{"choices":[],"usage":{"prompt_tokens":1e999,"completion_tokens":5,"cost":"\\u00e9"}}')
    assert answer is not None
    assert usage_of(answer.usage, None) == Usage(output_tokens=5)


@given(st.integers() | st.none(), st.integers() | st.none(), st.floats() | st.none())
def test_no_usage_is_negative_or_endless(prompt: int | None, output: int | None, cost: float | None) -> None:
    written = json.dumps({"usage": {"prompt_tokens": prompt, "completion_tokens": output, "cost": cost}})
    answer = read(written.replace("Infinity", "1e999").replace("NaN", "null"))
    assert answer is not None
    found = usage_of(answer.usage, None) or Usage()
    assert 0 <= found.total_tokens <= 2**54
    assert found.cost is None or 0 <= found.cost <= MOST_A_CALL


def test_texts_in_parts_and_unknown_fields_are_read() -> None:
    answer = read(b'{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"text":"b"}],"x":1}}],"y":2}')
    assert answer is not None
    assert answer.choice is not None
    assert answer.choice.said.text == "ab"


@given(st.binary(max_size=300))
def test_bytes_that_are_no_answer_are_none(data: bytes) -> None:
    read(data)


@pytest.mark.parametrize(
    ("fields", "streamed", "fault"),
    [
        (completion(), False, None),
        (completion(finish=None), False, None),
        (completion(finish=None), True, Fault.TRUNCATED),
        (completion(finish="content_filter"), False, Fault.CONTENT_REFUSED),
        (completion(finish="error"), False, Fault.SERVER_ERROR),
        (completion(""), False, Fault.INVALID_OUTPUT),
        (completion("", finish="length"), False, None),
        (piece(finish="stop", refusal="I can't"), True, Fault.CONTENT_REFUSED),
    ],
)
def test_a_whole_is_judged_by_its_end(fields: dict[str, object], streamed: bool, fault: Fault | None) -> None:
    answer = read(msgspec.json.encode(fields))
    assert answer is not None
    whole = Assembly()
    whole.add(answer)
    assert whole.fault(streamed=streamed) is fault


def test_pieces_add_up() -> None:
    whole = Assembly()
    for part in (
        piece("canary answer: "),
        {"choices": [], "usage": USAGE},
        piece("you are well"),
        piece(finish="stop"),
    ):
        answer = read(msgspec.json.encode(part))
        assert answer is not None
        whole.add(answer)
    assert (whole.text, whole.finish_reason) == (ANSWER, "stop")
