"""Chains: who serves when the first can't."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from tests.llm.calls import ANSWER, ASK, Notes, Verdict, completion, provider, quick
from tests.servers.scripted import Act, Scripted, answers, resets, scripted
from tidegate.core.fault import Fault
from tidegate.errors import ConfigError, LLMError, UpstreamUnavailable
from tidegate.llm import LLM, Chain, Hop, Message

GOOD = answers(200, completion())
DOWN = answers(503, {})
PROVIDER_FAULTS = {
    "rate limit": answers(429, {}),
    "overloaded": DOWN,
    "server error": answers(500, {}),
    "timeout": answers(504, {}),
    "reset": resets(),
    "quota": answers(402, {}),
    "auth": answers(401, {}),
    "inside a 200": answers(200, {"error": {"code": 502}}),
}
OWN_FAULTS = {
    "bad request": answers(400, {}),
    "refused": answers(400, {"error": {"code": "content_filter"}}),
    "wrong form": answers(200, completion("")),
    "too long": answers(413, {}),
}


@asynccontextmanager
async def hops(*acts: Act) -> AsyncIterator[list[tuple[LLM, Scripted]]]:
    """Models named a, b, c, ... each on a server of its own."""
    async with AsyncExitStack() as stack:
        found = []
        for name, act in zip("abc", acts, strict=False):
            server = await stack.enter_async_context(scripted(act))
            known = replace(provider(server.url), upstream=name)
            found.append((await stack.enter_async_context(LLM(known, policy=quick())), server))
        yield found


async def test_the_first_serves_while_it_can() -> None:
    async with hops(GOOD, GOOD) as (a, b):
        reply = await Chain([a[0], b[0]]).chat(ASK)
    assert (reply.text, reply.served_by, reply.degraded) == (ANSWER, "a", False)
    assert b[1].requests == []


@pytest.mark.parametrize("name", PROVIDER_FAULTS)
async def test_the_next_serves_for_a_fault_of_the_upstream(name: str) -> None:
    guard = Notes()
    async with hops(PROVIDER_FAULTS[name], GOOD) as (a, b):
        reply = await Chain([a[0], b[0]]).chat(ASK, guard=guard)
    assert (reply.served_by, reply.degraded) == ("b", True)
    assert guard.calls[-1].upstream == "b"


@pytest.mark.parametrize("name", OWN_FAULTS)
async def test_nobody_else_is_asked_for_a_fault_of_the_job(name: str) -> None:
    async with hops(OWN_FAULTS[name], GOOD) as (a, b):
        chain = Chain([a[0], b[0]], deterministic=lambda _: "made")
        with pytest.raises(LLMError):
            await chain.chat(ASK)
    assert b[1].requests == []


async def test_a_shut_upstream_is_skipped_at_no_cost() -> None:
    async with hops(GOOD, GOOD) as (a, b):
        reply = await Chain([a[0], b[0]]).chat(ASK, guard=Notes(shut={"a"}))
    assert (reply.served_by, reply.degraded) == ("b", True)
    assert a[1].requests == []


async def test_a_prompt_too_long_goes_only_to_a_longer_context() -> None:
    async with hops(answers(413, {}), GOOD, GOOD) as (a, b, c):
        reply = await Chain([a[0], b[0], Hop(llm=c[0], longer_context=True)]).chat(ASK)
    assert (reply.served_by, b[1].requests) == ("c", [])


async def test_where_all_fail_the_first_error_is_raised() -> None:
    async with hops(DOWN, answers(400, {})) as (a, b):
        with pytest.raises(LLMError) as raised:
            await Chain([a[0], b[0]]).chat(ASK)
        assert raised.value.code == Fault.OVERLOADED
        with pytest.raises(UpstreamUnavailable) as shut:
            await Chain([a[0], b[0]]).chat(ASK, guard=Notes(shut={"a"}))
    assert shut.value.upstream == "a"


async def test_a_program_answers_where_no_model_does() -> None:
    def made(messages: Sequence[Message]) -> Verdict:
        return Verdict(grade=len(messages), reason="counted")

    async with hops(DOWN, resets()) as (a, b):
        chain = Chain([a[0], b[0]], deterministic=made)
        reply = await chain.chat(ASK, schema=Verdict)
        text = await chain.chat(ASK, guard=Notes(shut={"a", "b"}))
    assert reply.parsed == Verdict(grade=1, reason="counted")
    assert (reply.served_by, reply.degraded, reply.cost) == ("deterministic", True, 0)
    assert text.text == '{"grade":1,"reason":"counted"}'


async def test_a_program_keeps_to_the_form_too() -> None:
    async with hops(DOWN) as (a,):
        with pytest.raises(ConfigError):
            await Chain([a[0]], deterministic=lambda _: "no form").chat(ASK, schema=Verdict)


def test_a_chain_has_a_first() -> None:
    with pytest.raises(ConfigError):
        Chain([])
