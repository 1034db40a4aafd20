"""Calls in one piece: what is retried, what is told, and how they end."""

import asyncio
from datetime import timedelta

import httpx2
import pytest

from tests.llm.calls import ANSWER, ASK, KEY, MODEL, PIECES, TOTAL, Notes, Verdict, completion, piece, provider, quick
from tests.servers.scripted import Act, Exchange, Scripted, answers, hangs, resets, scripted, streams
from tidegate.core.fault import Fault
from tidegate.errors import LLMError, UpstreamUnavailable
from tidegate.llm import LLM, Policy, Reply, Usage, user

GOOD = answers(200, completion())
LIMITED = answers(429, {"error": {"code": "rate_limit_exceeded"}}, retry_after="0.1")


def wrong(status: int, code: str = "") -> Act:
    return answers(status, {"error": {"message": "no", "code": code}})


async def failure(server: Scripted, policy: Policy | None = None, guard: Notes | None = None) -> LLMError:
    """The error that a call ends with."""
    async with LLM(provider(server.url), policy=policy or quick()) as llm:
        with pytest.raises(LLMError) as raised:
            await llm.chat(ASK, guard=guard)
    return raised.value


async def test_a_reply_says_what_who_and_how_much() -> None:
    async with scripted(GOOD) as server, LLM(provider(server.url), policy=quick()) as llm:
        reply = await llm.chat(ASK, max_tokens=50, temperature=0.0)
    assert (reply.text, reply.parsed, reply.model, reply.finish_reason) == (ANSWER, None, MODEL, "stop")
    assert (reply.usage, reply.cost) == (Usage(input_tokens=10, output_tokens=5, cost=60), 60)
    assert (reply.served_by, reply.degraded) == ("test", False)
    (request,) = server.requests
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert request.json()["max_tokens"] == 50


async def test_an_answer_in_a_form_is_parsed() -> None:
    act = answers(200, completion('{"grade": 2, "reason": "fine"}'))
    async with scripted(act) as server, LLM(provider(server.url)) as llm:
        reply = await llm.chat(ASK, schema=Verdict)
        by_schema = await llm.chat(ASK, schema=Verdict.model_json_schema())
    assert reply.parsed == Verdict(grade=2, reason="fine")
    assert by_schema.parsed == {"grade": 2, "reason": "fine"}


@pytest.mark.parametrize(
    ("act", "fault", "tries"),
    [
        (LIMITED, Fault.RATE_LIMITED, 3),
        (wrong(503), Fault.OVERLOADED, 3),
        (wrong(500), Fault.SERVER_ERROR, 3),
        (wrong(504), Fault.SLOW, 3),
        (answers(200, {"error": {"code": 502, "message": "x"}}), Fault.SERVER_ERROR, 3),
        (answers(200, completion(error={"code": 429})), Fault.RATE_LIMITED, 3),
        (answers(200, {"choices": [{"error": {"code": 503}, "message": None}]}), Fault.OVERLOADED, 3),
        (answers(200, {"choices": []}), Fault.SERVER_ERROR, 3),
        (answers(200, "<html>"), Fault.SERVER_ERROR, 3),
        (answers(200, "7"), Fault.SERVER_ERROR, 3),
        (resets(), Fault.DOWN, 3),
        (resets("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{"), Fault.TRUNCATED, 3),
        (answers(200, '{"choices": [', content_encoding="gzip"), Fault.SERVER_ERROR, 3),
        (wrong(401), Fault.AUTH, 2),
        (wrong(403), Fault.AUTH, 2),
        (answers(200, completion("")), Fault.INVALID_OUTPUT, 2),
        (wrong(400), Fault.BAD_REQUEST, 1),
        (wrong(404), Fault.BAD_REQUEST, 1),
        (wrong(422), Fault.BAD_REQUEST, 1),
        (answers(307, "", location="/elsewhere"), Fault.BAD_REQUEST, 1),
        (wrong(400, "context_length_exceeded"), Fault.CONTEXT_TOO_LONG, 1),
        (wrong(400, "content_filter"), Fault.CONTENT_REFUSED, 1),
        (answers(200, completion(finish="content_filter")), Fault.CONTENT_REFUSED, 1),
        (wrong(429, "insufficient_quota"), Fault.QUOTA, 1),
        (wrong(402), Fault.QUOTA, 1),
    ],
)
async def test_each_fault_is_named_and_tried_as_often_as_it_may_help(act: Act, fault: Fault, tries: int) -> None:
    guard = Notes()
    async with scripted(act) as server:
        error = await failure(server, quick(3), guard)
    assert error.code == fault
    assert len(server.requests) == tries
    assert guard.faults == [fault] * tries


async def test_two_tries_are_the_default_and_the_second_may_succeed() -> None:
    async with scripted(wrong(503), GOOD) as server, LLM(provider(server.url)) as llm:
        assert (await llm.chat(ASK)).text == ANSWER
    async with scripted(wrong(503)) as server, LLM(provider(server.url)) as llm:
        with pytest.raises(LLMError):
            await llm.chat(ASK)
    assert len(server.requests) == 2


async def test_nobody_listening_is_down() -> None:
    async with scripted(GOOD) as server:
        url = server.url
    async with LLM(provider(url), policy=quick()) as llm:
        with pytest.raises(LLMError) as raised:
            await llm.chat(ASK)
    assert (raised.value.code, raised.value.transient, raised.value.status_code) == ("down", True, None)


async def test_a_black_hole_ends_at_the_deadline_of_the_whole_call() -> None:
    guard = Notes()
    async with scripted(hangs()) as server:
        async with asyncio.timeout(5):
            error = await failure(server, quick(overall=0.3), guard)
    assert error.code == "upstream_timeout"
    assert guard.faults == [Fault.SLOW]


async def test_a_wait_that_is_asked_for_is_kept() -> None:
    async with scripted(LIMITED, GOOD) as server, LLM(provider(server.url), policy=quick()) as llm:
        started = asyncio.get_running_loop().time()
        await llm.chat(ASK)
        assert asyncio.get_running_loop().time() - started >= 0.1


@pytest.mark.parametrize("wait", ["30", "999999"])
async def test_a_long_wait_is_told_and_not_slept(wait: str) -> None:
    guard = Notes()
    async with scripted(answers(429, {}, retry_after=wait)) as server:
        error = await failure(server, guard=guard)
    expected = timedelta(seconds=min(int(wait), 86_400))
    assert error.retry_after == expected
    assert guard.calls[0].waits == [expected]
    assert len(server.requests) == 1


async def test_no_try_begins_beyond_the_deadline() -> None:
    async with scripted(answers(429, {}, retry_after="1.5")) as server:
        error = await failure(server, quick(overall=0.5))
    assert (error.code, len(server.requests)) == ("rate_limited", 1)


async def test_the_fleets_budget_may_forbid_a_retry() -> None:
    guard = Notes(budget=False)
    async with scripted(wrong(503)) as server:
        await failure(server, guard=guard)
    assert len(server.requests) == 1


async def test_a_shut_upstream_is_not_called() -> None:
    guard = Notes(shut={"test"})
    async with scripted(GOOD) as server, LLM(provider(server.url)) as llm:
        with pytest.raises(UpstreamUnavailable):
            await llm.chat(ASK, guard=guard)
    assert server.requests == []
    assert llm.ledger.totals == {}


async def test_an_upstream_that_shuts_between_two_tries_ends_the_call() -> None:
    guard = Notes()

    async def act(exchange: Exchange) -> None:
        guard.shut.add("test")
        await wrong(503)(exchange)

    async with scripted(act) as server, LLM(provider(server.url), policy=quick()) as llm:
        with pytest.raises(UpstreamUnavailable):
            await llm.chat(ASK, guard=guard)
    assert len(server.requests) == 1


async def test_the_guard_hears_usage_of_failed_tries_too_and_the_pace_of_good_ones() -> None:
    guard = Notes()
    low = {
        "x_ratelimit_limit_requests": "100", "x_ratelimit_remaining_requests": "2",
        "x_ratelimit_reset_requests": "10s",
    }  # fmt: skip
    good = answers(200, completion('{"grade": 1, "reason": "x"}'), **low)
    bad = answers(200, completion("no JSON"))
    async with scripted(bad, good) as server, LLM(provider(server.url), policy=quick()) as llm:
        await llm.chat(ASK, schema=Verdict, guard=guard)
    assert [call.fault for call in guard.calls] == [Fault.INVALID_OUTPUT, None]
    assert [len(call.usages) for call in guard.calls] == [1, 1]
    assert [pace.period.total_seconds() for pace in guard.calls[1].paces] == [5.0]
    totals = llm.ledger.totals["test", MODEL]
    assert (totals.tries, totals.failed, totals.cost) == (2, 1, 120)


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"prompt_tokens": 10.0, "completion_tokens": 5}, 60),
        ({"prompt_tokens": "10", "completion_tokens": 5}, 60),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": []}, 60),
        ({"cost": "0.00007"}, 70),
        ({"prompt_tokens": 10.5}, None),
        ([], None),
        ({}, None),
        (None, None),
    ],
)
async def test_a_good_answer_is_one_and_is_counted_whatever_its_usage_is(said: object, cost: int | None) -> None:
    guard = Notes()
    whole, parts = answers(200, completion(usage=said)), streams(*PIECES, {**TOTAL, "usage": said}, "[DONE]")
    async with scripted(whole, parts) as server, LLM(provider(server.url), policy=quick()) as llm:
        reply = await llm.chat(ASK, guard=guard)
        assert "".join([part async for part in llm.stream(ASK, guard=guard)]) == ANSWER
    assert (reply.text, reply.cost) == (ANSWER, cost)
    assert [[usage.cost for usage in call.usages] for call in guard.calls] == [[cost], [cost]]


async def test_a_cancelled_call_closes_its_connection() -> None:
    gone = asyncio.Event()
    guard = Notes()

    async def act(exchange: Exchange) -> None:
        await hangs()(exchange)
        gone.set()

    async with scripted(act) as server, LLM(provider(server.url)) as llm:
        task = asyncio.create_task(llm.chat(ASK, guard=guard))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await gone.wait()
    assert guard.calls[0].ended
    assert llm.ledger.totals["test", MODEL].failed == 1


async def test_half_a_character_in_a_prompt_harms_nobody() -> None:
    async with scripted(GOOD) as server, LLM(provider(server.url)) as llm:
        await llm.chat([user("caf\u00e9 \udc80")])
    assert server.requests[0].json()["messages"] == [{"role": "user", "content": "caf\u00e9 ?"}]
    assert server.requests[0].headers["content-type"] == "application/json"


async def test_every_try_of_many_is_one_request_one_block_and_one_line_of_the_ledger() -> None:
    acts = [GOOD, wrong(503), LIMITED, resets(), GOOD, answers(200, completion("")), wrong(400), hangs()] * 20
    guard = Notes()
    async with scripted(*acts) as server, LLM(provider(server.url), policy=quick(overall=1)) as llm:
        calls = [llm.chat(ASK, guard=guard) for _ in range(60)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end) for end in ends} == {Reply, LLMError}
    totals = llm.ledger.totals["test", MODEL]
    assert totals.tries == len(server.requests) == len(guard.calls)
    assert totals.failed == sum(call.fault is not None for call in guard.calls)
    assert all(call.ended for call in guard.calls)


async def test_a_shared_http_client_stays_open() -> None:
    async with httpx2.AsyncClient() as http, scripted(GOOD) as server:
        for _ in range(2):
            async with LLM(provider(server.url), http=http) as llm:
                await llm.chat(ASK)
        assert not http.is_closed


async def test_a_connection_serves_again_after_answers_errors_and_streams() -> None:
    stream = streams(piece("x", finish="stop"), "[DONE]")
    async with scripted(GOOD, wrong(503), stream, stream, GOOD) as server:
        async with LLM(provider(server.url), policy=quick(1)) as llm:
            await llm.chat(ASK)
            with pytest.raises(LLMError):
                await llm.chat(ASK)
            for _ in range(2):
                assert [part async for part in llm.stream(ASK)] == ["x"]
            await llm.chat(ASK)
        assert (len(server.requests), server.connections) == (5, 1)


async def test_an_answer_without_end_is_not_taken_in() -> None:
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"

    async def endless(exchange: Exchange) -> None:
        await exchange.send(head)
        while True:
            await exchange.send(" " * 1_000_000)

    async with scripted(endless) as server:
        error = await failure(server, quick(1))
    assert error.code == "invalid_output"
