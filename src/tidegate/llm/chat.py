"""How models are asked, one or a chain of them: the same words, typed by the form of the answer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import overload

from pydantic import BaseModel

from tidegate.llm.guard import Guard
from tidegate.llm.schema import Model, Wanted, WantedModel, WantedSchema
from tidegate.llm.values import Message, Reply
from tidegate.llm.wire import Ask


class Chat(ABC):
    """What can be asked."""

    @abstractmethod
    async def answer(self, ask: Ask, guard: Guard | None = None) -> Reply[object]:
        """The answer to what is asked, `parsed` in the form wanted."""

    @overload
    async def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        guard: Guard | None = None,
    ) -> Reply[None]: ...

    @overload
    async def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: type[Model],
        max_tokens: int | None = None,
        temperature: float | None = None,
        guard: Guard | None = None,
    ) -> Reply[Model]: ...

    @overload
    async def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object],
        max_tokens: int | None = None,
        temperature: float | None = None,
        guard: Guard | None = None,
    ) -> Reply[object]: ...

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | Mapping[str, object] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        guard: Guard | None = None,
    ) -> Reply[object]:
        """The model's answer, in the form of `schema` if one is given: a Pydantic model, or a JSON Schema.

        Raises LLMError, whatever entering the guard raises, and ConfigError for what is no schema.
        """
        wanted = _wanted(schema)
        ask = Ask(messages=messages, wanted=wanted, max_tokens=max_tokens, temperature=temperature)
        return await self.answer(ask, guard)


def _wanted(schema: type[BaseModel] | Mapping[str, object] | None) -> Wanted[object] | None:
    if schema is None:
        return None
    return WantedSchema(schema) if isinstance(schema, Mapping) else WantedModel(schema)
