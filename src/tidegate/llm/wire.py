"""Chat completions as OpenAI made them and everybody speaks them: the request's body, and what answers hold. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Final

import msgspec

from tidegate.core.budget import MICROS, MOST_A_CALL
from tidegate.core.text import listed
from tidegate.llm.schema import Wanted, instruction, strict
from tidegate.llm.values import Form, Message, Prices, Provider, Usage, cost_of

LONGEST_ANSWER: Final = 8 * 1024 * 1024
"""Bytes, of a whole answer or of a stream's text. More is no answer of a model: no try fills a worker's memory."""

_MOST_TOKENS: Final = 10**9
_LONGEST_NUMBER: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked for, of whichever provider; raises InvalidInput for a lone text in the place of the messages."""

    messages: Sequence[Message] = field(repr=False)
    wanted: Wanted[object] | None = None
    max_tokens: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        listed("messages", self.messages)


def body(provider: Provider, ask: Ask, *, stream: bool) -> dict[str, object]:
    """The request's body; `extra` of the provider goes in as it is."""
    told = [{"role": message.role, "content": message.content} for message in ask.messages]
    wanted = ask.wanted
    if wanted is not None and provider.form is not Form.SCHEMA:
        told.insert(0, {"role": "system", "content": instruction(wanted.schema)})
    given: dict[str, object] = {"model": provider.model, "messages": told}
    if ask.max_tokens is not None:
        given[provider.limit_field] = ask.max_tokens
    if ask.temperature is not None:
        given["temperature"] = ask.temperature
    if wanted is not None and provider.form is not Form.PROMPT:
        given["response_format"] = _response_format(wanted, provider.form)
    if stream:
        given |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**given, **provider.extra}


def encoded(body: Mapping[str, object]) -> bytes:
    """The body as JSON; half a character, which no JSON can hold, becomes a question mark."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _response_format(wanted: Wanted[object], form: Form) -> Mapping[str, object]:
    if form is Form.OBJECT:
        return {"type": "json_object"}
    shape = {"name": wanted.name, "strict": True, "schema": strict(dict(wanted.schema))}
    return {"type": "json_schema", "json_schema": shape}


class Said(msgspec.Struct):
    """A message of the model, or a piece of one."""

    content: str | list[dict[str, object]] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None

    @property
    def text(self) -> str:
        """What it says; some providers send a list of parts."""
        if isinstance(self.content, list):
            texts = (part.get("text") for part in self.content)
            return "".join(text for text in texts if isinstance(text, str))
        return self.content or ""


class Choice(msgspec.Struct):
    """One answer, or a piece of it."""

    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    error: object = None

    @property
    def said(self) -> Said:
        """The whole message, or the piece."""
        return self.message or self.delta or Said()


class Answer(msgspec.Struct):
    """A whole answer, or one event of a stream."""

    choices: list[Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    model: str | None = None
    error: object = None

    @property
    def choice(self) -> Choice | None:
        """The first, for never more than one is asked for."""
        return self.choices[0] if self.choices else None

    @property
    def thinks(self) -> bool:
        """Whether it shows thought: no part of the answer, but a sign that one is on its way."""
        said = self.choice.said if self.choice else None
        return bool(said and (said.reasoning or said.reasoning_content))

    @property
    def fault(self) -> object:
        """The error inside, None where there is none."""
        return self.error or (self.choice.error if self.choice else None) or None


_NOTHING: Final = msgspec.Raw()
_decoder: Final = msgspec.json.Decoder(Answer)
_holder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(data: bytes | bytearray | str) -> Answer | None:
    """An answer, or None for what is none."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def usage_of(said: msgspec.Raw, prices: Prices | None) -> Usage | None:
    """What a try used; None where the provider says neither tokens nor a cost.

    Each number is read by itself: one that can't be read is not said, and takes no other along.
    """
    used = _fields(said)
    told, output, cost = _tokens(used, "prompt_tokens"), _tokens(used, "completion_tokens"), _micros(used.get("cost"))
    if told is None and output is None and cost is None:
        return None
    prompt, completion = (_fields(used.get(f"{part}_tokens_details", _NOTHING)) for part in ("prompt", "completion"))
    usage = Usage(
        input_tokens=told or 0,
        output_tokens=output or 0,
        cached_tokens=_tokens(prompt, "cached_tokens") or _tokens(used, "prompt_cache_hit_tokens") or 0,
        reasoning_tokens=_tokens(completion, "reasoning_tokens") or 0,
    )
    if cost is None and prices is not None and not (told is None and output is None):
        cost = cost_of(usage, prices)
    return usage if cost is None else replace(usage, cost=cost)


def _fields(value: msgspec.Raw) -> Mapping[str, msgspec.Raw]:
    """What an object holds, each value as it was written; nothing of what is no object."""
    try:
        return _holder.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return {}


def _tokens(used: Mapping[str, msgspec.Raw], name: str) -> int | None:
    value = _number(used.get(name))
    if value is None or not 0 <= value <= _MOST_TOKENS or value != value.to_integral_value():
        return None
    return int(value)


def _micros(dollars: msgspec.Raw | None) -> int | None:
    value = _number(dollars)
    if value is None or not 0 <= value <= MOST_A_CALL // MICROS:
        return None
    return int((value * MICROS).to_integral_value(ROUND_CEILING))


def _number(value: msgspec.Raw | None) -> Decimal | None:
    """A number, or a text that is one; it may have any size."""
    if value is None or len(written := bytes(value)) > _LONGEST_NUMBER:
        return None
    try:
        number = Decimal(written.decode().strip('"'))
    except (InvalidOperation, UnicodeDecodeError):
        return None
    return number if number.is_finite() else None
