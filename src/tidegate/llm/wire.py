"""Chat completions as OpenAI made them and everybody speaks them: the request's body, and what answers hold. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from typing import Final

import msgspec

from tidegate.llm.schema import Wanted, instruction, strict
from tidegate.llm.values import Form, Message, Prices, Provider, Usage, cost_of

LONGEST_ANSWER: Final = 8 * 1024 * 1024
"""Bytes, of a whole answer or of a stream's text. More is no answer of a model: no try fills a worker's memory."""

_MOST_TOKENS: Final = 2**53
_MOST_DOLLARS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked for, of whichever provider."""

    messages: Sequence[Message] = field(repr=False)
    wanted: Wanted[object] | None = None
    max_tokens: int | None = None
    temperature: float | None = None


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


class Details(msgspec.Struct):
    """What tokens were made of."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Used(msgspec.Struct):
    """Tokens, and dollars where the provider says them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    prompt_cache_hit_tokens: int | None = None
    cost: float | None = None


class Answer(msgspec.Struct):
    """A whole answer, or one event of a stream."""

    choices: list[Choice] | None = None
    usage: Used | None = None
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


_decoder: Final = msgspec.json.Decoder(Answer)


def read(data: bytes | bytearray | str) -> Answer | None:
    """An answer, or None for what is none."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def usage_of(used: Used | None, prices: Prices | None) -> Usage | None:
    """What a try used; None where the provider does not say."""
    if used is None:
        return None
    prompt, completion = used.prompt_tokens_details or Details(), used.completion_tokens_details or Details()
    usage = Usage(
        input_tokens=_count(used.prompt_tokens),
        output_tokens=_count(used.completion_tokens),
        cached_tokens=_count(prompt.cached_tokens or used.prompt_cache_hit_tokens),
        reasoning_tokens=_count(completion.reasoning_tokens),
    )
    cost = _micros(used.cost)
    if cost is None and prices is not None:
        cost = cost_of(usage, prices)
    return usage if cost is None else replace(usage, cost=cost)


def _count(value: int | None) -> int:
    return min(max(value or 0, 0), _MOST_TOKENS)


def _micros(dollars: float | None) -> int | None:
    if dollars is None or not math.isfinite(dollars) or not 0 <= dollars <= _MOST_DOLLARS:
        return None
    return int((Decimal(str(dollars)) * 1_000_000).to_integral_value(ROUND_CEILING))
