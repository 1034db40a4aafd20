"""Against llmock, which grades its clients: no finding, not even a warning."""

import asyncio

import pytest
from llmock.pytest_plugin import LLMock
from pydantic import BaseModel

from tests.llm.calls import ASK, quick
from tidegate.errors import LLMError
from tidegate.llm import LLM, Policy, Provider, Stream, user

pytestmark = pytest.mark.slow

SDK = {"openai": "gpt-4o", "together": "meta-llama/Llama-3.3-70B", "groq": "llama-3.3-70b-versatile"}


def model(llmock: LLMock, policy: Policy | None = None, name: str = "openai") -> LLM:
    provider = Provider(name=name, model=SDK[name], base_url=llmock.base_url(name))
    return LLM(provider, policy=policy or quick())


async def whole(stream: Stream) -> str:
    return "".join([part async for part in stream])


def graded(llmock: LLMock) -> None:
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("name", SDK)
async def test_it_answers_in_one_piece_and_as_a_stream(llmock: LLMock, name: str) -> None:
    llmock.reply("It is sunny in Paris.", times=2)
    async with model(llmock, name=name) as llm:
        reply = await llm.chat(ASK)
        assert await whole(llm.stream(ASK)) == reply.text == "It is sunny in Paris."
    assert reply.usage.output_tokens > 0
    graded(llmock)


async def test_it_answers_in_a_form(llmock: LLMock) -> None:
    class Invoice(BaseModel):
        number: str
        lines: list[str]
        paid: bool | None = None

    async with model(llmock) as llm:
        assert isinstance((await llm.chat(ASK, schema=Invoice)).parsed, Invoice)
    graded(llmock)


async def test_a_rate_limit_is_waited_out(llmock: LLMock) -> None:
    llmock.rate_limit(times=1, retry_after=0.3)
    async with model(llmock) as llm:
        await llm.chat(ASK)
    graded(llmock)


async def test_a_real_quota_of_tokens_is_waited_out(llmock: LLMock) -> None:
    llmock.limits(tpm=60_000)
    async with model(llmock) as llm:
        for tokens in (29_700, 29_700, 1_500):
            await llm.chat([user(f"up to {tokens}")], max_tokens=tokens)
    assert [record.status for record in llmock.requests] == [200, 200, 429, 200]
    graded(llmock)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
async def test_a_failing_provider_is_tried_again_with_backoff(llmock: LLMock, status: int) -> None:
    llmock.fail(status, times=2)
    async with model(llmock, quick(3)) as llm:
        await llm.chat(ASK)
    graded(llmock)


async def test_an_outage_is_given_up_after_two_tries(llmock: LLMock) -> None:
    llmock.outage()
    async with model(llmock) as llm:
        with pytest.raises(LLMError):
            await llm.chat(ASK)
    assert len(llmock.requests) == 2
    graded(llmock)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_refused_request_is_not_repeated(llmock: LLMock, status: int) -> None:
    llmock.fail(status)
    async with model(llmock) as llm:
        with pytest.raises(LLMError) as raised:
            await llm.chat(ASK)
    assert raised.value.code == "bad_request"
    graded(llmock)


async def test_a_prompt_too_long_is_told(llmock: LLMock) -> None:
    llmock.limits(context_window=10)
    async with model(llmock) as llm:
        with pytest.raises(LLMError) as raised:
            await llm.chat([user("word " * 100)])
    assert raised.value.code == "context_too_long"
    graded(llmock)


@pytest.mark.parametrize("name", SDK)
@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("fault", ["disconnect", "truncate", "corrupt"])
async def test_a_broken_stream_is_an_error_that_a_second_attempt_mends(
    llmock: LLMock, fault: str, after: int, name: str
) -> None:
    """A break before the first piece is mended by the call itself, a later one by the job's next attempt."""
    getattr(llmock, fault)(after_chunks=after)
    llmock.reply("It is sunny in Paris.", times=2).pace(30)  # slow enough for the server to see that we left
    async with model(llmock, name=name) as llm:
        if after:
            with pytest.raises(LLMError, match="broke off"):
                await whole(llm.stream(ASK))
            await asyncio.sleep(0.2)
        assert await whole(llm.stream(ASK)) == "It is sunny in Paris."
    assert len(llmock.requests) == 2
    graded(llmock)


async def test_a_stalled_stream_is_left_and_asked_again(llmock: LLMock) -> None:
    llmock.stall(after_chunks=1, seconds=20)
    async with model(llmock, quick(first_token=0.4, idle=0.4)) as llm:
        async with asyncio.timeout(10):
            try:
                await whole(llm.stream(ASK))
            except LLMError:
                await whole(llm.stream(ASK))
    graded(llmock)


async def test_a_slow_first_token_is_waited_for_as_long_as_was_said(llmock: LLMock) -> None:
    llmock.slow_first_token(0.5)
    async with model(llmock, quick(first_token=5)) as llm:
        assert await whole(llm.stream(ASK))
    llmock.slow_first_token(5)
    async with model(llmock, quick(1, first_token=0.3)) as llm:
        with pytest.raises(LLMError) as raised:
            await whole(llm.stream(ASK))
    assert raised.value.code == "upstream_timeout"
    graded(llmock)


async def test_the_verdict_would_show_a_careless_client(llmock: LLMock) -> None:
    """That the grades above mean something: 401 is tried once more on purpose (E4), and llmock says so."""
    llmock.fail(401, times=2)
    async with model(llmock) as llm:
        with pytest.raises(LLMError):
            await llm.chat(ASK)
    assert [finding.code for finding in llmock.verdict().findings] == ["retried_non_retryable"]
