"""The client: one model at one provider, asked in one piece or as a stream."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Final, TypeVar

import httpx2

from tidegate.clock import Clock, SystemClock
from tidegate.core.fault import Fault
from tidegate.errors import LLMError
from tidegate.llm import wire
from tidegate.llm.assembly import Assembly
from tidegate.llm.chat import Chat
from tidegate.llm.classify import Verdict
from tidegate.llm.guard import Guard
from tidegate.llm.ledger import Ledger
from tidegate.llm.line import TOO_LONG, Line
from tidegate.llm.stream import Done, Stream
from tidegate.llm.trying import Course, Running, Watch
from tidegate.llm.values import Message, Policy, Provider, Reply, Usage

Parsed = TypeVar("Parsed")

_LONGEST_FORM: Final = 1024 * 1024
"""Bytes of text that are read in a form: a list of nothing but faults takes 200 times its size while it is judged."""


class LLM(Chat):
    """One model at one provider. `http` may be shared, and stays yours; without it there is one to `aclose`.

    Calls raise LLMError, and whatever entering the guard raises. Nothing is logged but what the ledger logs.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        http: httpx2.AsyncClient | None = None,
        policy: Policy | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.provider = provider
        self.ledger = ledger or Ledger()
        self._policy = policy or Policy()
        self._clock = clock or SystemClock()
        self._owned = http is None
        self._http = http or httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None))
        self._watch = Watch(provider, self.ledger, self._clock)
        self._line = Line(provider, self._http, self._watch, self._clock)

    async def __aenter__(self) -> "LLM":
        """Closed when the block is left."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `aclose`."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, unless they are those of a client that was given."""
        if self._owned:
            await self._http.aclose()

    async def answer(self, ask: wire.Ask, guard: Guard | None = None) -> Reply[object]:
        """See `Chat.answer`."""
        body = wire.body(self.provider, ask, stream=False)
        course = Course(self._policy)
        while True:
            try:
                async with self._watch.trying(course, guard) as one:
                    return self._read(await self._line.whole(body, one, course), ask, one)
            except LLMError as error:
                await course.go_on(error)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        guard: Guard | None = None,
    ) -> Stream:
        """The model's answer as it is made."""
        ask = wire.Ask(messages=messages, max_tokens=max_tokens, temperature=temperature)
        body = wire.body(self.provider, ask, stream=True)
        return Stream(lambda done: self._pieces(body, guard, done))

    async def _pieces(self, body: Mapping[str, object], guard: Guard | None, done: Done) -> AsyncGenerator[str, None]:
        course = Course(self._policy)
        while True:
            sofar = Assembly()
            try:
                async with self._watch.trying(course, guard) as one:
                    async with aclosing(self._line.events(body, one, course)) as events:
                        async for event in events:
                            if piece := self._added(event, sofar, one):
                                yield piece
                    self._check(sofar.fault(streamed=True))
                    done(self._reply(sofar, None, one))
                    return
            except LLMError as error:
                if sofar.size:
                    raise
                await course.go_on(error)

    def _added(self, event: wire.Answer, sofar: Assembly, one: Running) -> str:
        piece = sofar.add(event)
        self._check(Fault.INVALID_OUTPUT if sofar.too_long else None, TOO_LONG)
        if piece or event.thinks:
            self._watch.touched(one)
        return piece

    def _read(self, answer: wire.Answer, ask: wire.Ask, one: Running) -> Reply[object]:
        whole = Assembly()
        whole.add(answer)
        self._check(Fault.SERVER_ERROR if answer.choice is None else whole.fault(streamed=False))
        if ask.wanted is None:
            return self._reply(whole, None, one)
        parsed = ask.wanted.read(whole.text) if whole.size <= _LONGEST_FORM else None
        self._check(Fault.INVALID_OUTPUT if parsed is None else None)
        return self._reply(whole, parsed, one)

    def _check(self, fault: Fault | None, detail: str = "") -> None:
        if fault is not None:
            raise self._watch.error(Verdict(fault=fault), detail)

    def _reply(self, whole: Assembly, parsed: Parsed, one: Running) -> Reply[Parsed]:
        return Reply(
            text=whole.text,
            parsed=parsed,
            model=whole.model or self.provider.model,
            usage=one.usage or Usage(),
            finish_reason=whole.finish_reason or "",
            served_by=self.provider.upstream,
        )
