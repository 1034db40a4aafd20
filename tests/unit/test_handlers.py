"""Job types: what may be registered, what they take from their handler, and how strictly they read payloads."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from typing import Annotated, cast

import pytest
from pydantic import AfterValidator, BaseModel, Field

from tidegate.context import Context
from tidegate.core.job import PAYLOAD_LIMIT, Lane
from tidegate.core.retry import DEFAULT
from tidegate.core.text import check_name
from tidegate.errors import ConfigError, InvalidInput, TooLarge, UnknownJobType
from tidegate.handlers import Handler, JobOptions, JobType, Mode, Registry, encode
from tidegate.telemetry.events import Emitter


class Inner(BaseModel):
    flag: bool = True


class Order(BaseModel):
    number: int
    inner: Inner = Inner()


def _registered(handler: Handler, options: JobOptions | None = None) -> JobType:
    return Registry().add("work", handler, options or {})


async def with_payload(payload: Order) -> int:
    """Count one order.

    The rest is for whoever reads the source.
    """
    return payload.number


async def with_both(order: Order, context: Context) -> int:
    return context.attempt + order.number


async def with_context(ctx: Context) -> int:
    return ctx.attempt


async def with_nothing() -> int:
    return 1


def plain(payload: Order) -> int:
    return payload.number


@pytest.mark.parametrize(
    ("handler", "wants"),
    [
        (with_payload, (True, False)),
        (with_both, (True, True)),
        (with_context, (False, True)),
        (with_nothing, (False, False)),
    ],
)
def test_a_handler_is_given_what_it_names(handler: Handler, wants: tuple[bool, bool]) -> None:
    job_type = _registered(handler)
    assert (job_type.wants_payload, job_type.wants_context) == wants


@pytest.mark.parametrize(
    ("handler", "cpu", "mode"),
    [(with_payload, False, Mode.ASYNC), (plain, False, Mode.THREAD), (plain, True, Mode.PROCESS)],
)
def test_where_a_handler_runs_follows_from_its_kind(handler: Handler, cpu: bool, mode: Mode) -> None:
    assert _registered(handler, {"cpu": cpu}).mode is mode


def test_defaults_are_those_of_the_documents() -> None:
    job_type = _registered(with_payload)
    assert (job_type.lane, job_type.retry, job_type.timeout) == (Lane(), DEFAULT, timedelta(minutes=10))
    assert (job_type.retry_on_timeout, job_type.fail_on_shutdown) == (False, False)


def test_options_are_taken_over() -> None:
    options: JobOptions = {"queue": "high", "upstream": "llm", "timeout": 2.5, "on_shutdown": "fail"}
    job_type = _registered(with_payload, options)
    assert job_type.lane == Lane(queue="high", upstream="llm")
    assert (job_type.timeout, job_type.fail_on_shutdown) == (timedelta(seconds=2.5), True)


def test_a_type_is_described_by_the_first_line_of_its_handlers_docstring() -> None:
    assert _registered(with_payload).description == "Count one order."
    assert _registered(with_both).description == ""


# what may not be registered ---------------------------------------------------------------------------------


async def two_payloads(a: Order, b: Order) -> None: ...
async def context_first(ctx: Context, payload: Order) -> None: ...
async def keyword_only(*, payload: Order) -> None: ...
async def any_keywords(**payload: Order) -> None: ...
async def any_arguments(*payload: Order) -> None: ...
async def unreadable_annotation(payload: Emitter) -> None: ...
def generator(payload: Order) -> Iterator[int]:
    yield payload.number


async def async_generator(payload: Order) -> AsyncIterator[int]:
    yield payload.number


async def misspelt(payload: object) -> None: ...


misspelt.__annotations__["payload"] = "Odrer"


@pytest.mark.parametrize(
    "handler",
    [
        two_payloads,
        context_first,
        keyword_only,
        any_keywords,
        any_arguments,
        misspelt,
        unreadable_annotation,
        generator,
        async_generator,
        partial(with_payload, Order(number=1)),
        print,
    ],
)
def test_a_handler_that_could_not_be_called_is_refused_when_it_is_registered(handler: Handler) -> None:
    with pytest.raises(ConfigError, match="job type 'work'"):
        _registered(handler)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1.0},
        {"timeout": timedelta(days=2)},
        {"queue": "No"},
        {"upstream": ""},
        {"upstream": "llm", "parents": ("Bad",)},
        {"parents": ("provider",)},
        {"upstream": "llm", "parents": ("a", "b", "c")},
    ],
)
def test_an_option_that_could_not_be_kept_is_refused_when_it_is_registered(options: JobOptions) -> None:
    with pytest.raises(ConfigError, match="job type 'work'"):
        _registered(with_payload, options)


def test_a_coroutine_cannot_have_a_process() -> None:
    with pytest.raises(ConfigError, match="plain functions"):
        _registered(with_payload, {"cpu": True})


@pytest.mark.parametrize("name", ["", "Work", "a b", "-a", "a/b", "ä", "a" * 129])
def test_a_name_is_of_few_letters(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        Registry().add(name, with_payload, {})
    with pytest.raises(InvalidInput):
        check_name("queue", name)


# the registry ---------------------------------------------------------------------------------------------


def test_a_name_belongs_to_one_handler() -> None:
    registry = Registry()
    registry.add("work", with_payload, {})
    with pytest.raises(ConfigError, match="twice"):
        registry.add("work", plain, {})
    assert registry.get("work").handler is with_payload


def test_an_unknown_type_is_told_beside_the_known_ones() -> None:
    registry = Registry()
    registry.add("b.two", with_payload, {})
    registry.add("a.one", plain, {})
    with pytest.raises(UnknownJobType, match=r"'work'.*a\.one, b\.two"):
        registry.get("work")
    assert [job_type.name for job_type in registry] == ["a.one", "b.two"]
    assert "work" not in registry


def test_the_types_of_queues_that_are_left_out_are_told_by_queue() -> None:
    registry = Registry()
    for name, queue in (("mail", "default"), ("trim", "videos"), ("cut", "videos"), ("sum", "figures")):
        registry.add(name, with_nothing, {"queue": queue})
    assert registry.outside({"default": 1}) == {"videos": ("cut", "trim"), "figures": ("sum",)}
    assert registry.outside({"default", "videos", "figures"}) == {}


# payloads -------------------------------------------------------------------------------------------------


def test_a_payload_is_read_as_its_type() -> None:
    assert _registered(with_payload).check(b'{"number": 3, "inner": {"flag": false}}') == Order(
        number=3, inner=Inner(flag=False)
    )


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b'{"number": "3"}', "payload.number"),
        (b'{"number": 3.5}', "payload.number"),
        (b'{"number": true}', "payload.number"),
        (b'{"number": 3, "inner": {"flag": 0}}', "payload.inner.flag"),
        (b'{"number": 3, "more": 1}', "payload.more"),
        (b'{"number": 3, "inner": {"more": 1}}', "payload.inner.more"),
        (b"{}", "payload.number"),
        (b"[]", "payload"),
        (b"nonsense", "payload"),
        (b"\xff", "payload"),
        (b"[" * 100_000, "payload"),
    ],
)
def test_a_payload_is_read_strictly_and_the_wrong_field_is_named(payload: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        _registered(with_payload).check(payload)
    assert caught.value.field == field


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(InvalidInput) as caught:
        _registered(with_payload).check(b'{"number": "secret"}')
    assert "secret" not in str(caught.value)


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("give an even number")
    return number


class Pairs(BaseModel):
    number: Annotated[int, AfterValidator(_even)]


async def with_own_check(payload: Pairs) -> int:
    return payload.number


def test_what_a_payloads_own_check_says_is_told_in_its_words() -> None:
    with pytest.raises(InvalidInput) as refused:
        _registered(with_own_check).check(b'{"number": 3}')
    assert str(refused.value) == "payload.number: give an even number"


async def small(number: Annotated[int, Field(ge=1, description="How many.")], ctx: Annotated[Context, "mine"]) -> int:
    return number


async def even(number: Annotated[int, AfterValidator(_even)]) -> int:
    return number


@pytest.mark.parametrize(
    ("handler", "payload", "said"),
    [
        (small, b"0", "payload: Input should be greater than or equal to 1"),
        (even, b"3", "payload: give an even number"),
    ],
)
def test_what_an_annotation_adds_to_a_payload_s_type_holds(handler: Handler, payload: bytes, said: str) -> None:
    job_type = _registered(handler)
    assert job_type.check(b"2") == 2
    with pytest.raises(InvalidInput) as refused:
        job_type.check(payload)
    assert str(refused.value) == said


def test_what_an_annotation_adds_is_shown_in_the_schema_and_hides_no_context() -> None:
    job_type = _registered(small)
    assert job_type.schema() == {"type": "integer", "minimum": 1, "description": "How many."}
    assert (job_type.wants_payload, job_type.wants_context) == (True, True)


async def unlikely(number: Annotated[int, Field(gt=cast(int, "many"))]) -> None: ...


def test_a_constraint_that_can_t_be_is_refused_when_it_is_registered() -> None:
    with pytest.raises(ConfigError, match="job type 'work': its payload annotation can't be validated"):
        _registered(unlikely)


def test_a_payload_over_its_limit_is_refused_unread() -> None:
    with pytest.raises(TooLarge) as caught:
        _registered(with_payload).check(b" " * (PAYLOAD_LIMIT + 1))
    assert caught.value.limit == PAYLOAD_LIMIT


def test_the_schema_is_as_strict_as_the_check() -> None:
    schema = _registered(with_payload).schema()
    assert schema["additionalProperties"] is False
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    assert definitions["Inner"]["additionalProperties"] is False


def test_a_handler_without_annotation_takes_any_object() -> None:
    assert _registered(lambda payload: payload).check(b'{"a": [1]}') == {"a": [1]}


# results --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Order(number=1), b'{"number":1,"inner":{"flag":true}}'),
        ({"a": float("nan"), "b": float("inf")}, b'{"a":null,"b":null}'),
        (b"text", b'"text"'),
        ({1: timedelta(seconds=90)}, b'{"1":"PT1M30S"}'),
        ((1, {2}), b"[1,[2]]"),
    ],
)
def test_a_value_is_written_as_json(value: object, text: bytes) -> None:
    assert encode(value) == text


@pytest.mark.parametrize("value", [object(), b"\xff", "\udcff", asyncio.Event()])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="can't be written as JSON"):
        encode(value)
