"""Answers as they are made: whole or an error, in time, and closed when nobody listens."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext

import pytest

from tests.llm.calls import ANSWER, ASK, MODEL, PIECES, TOTAL, USAGE, Notes, completion, piece, provider, quick
from tests.llm.lines import Lines
from tests.servers.scripted import (
    END,
    STREAM_HEAD,
    Act,
    Exchange,
    answers,
    chunk,
    event,
    hangs,
    resets,
    scripted,
    streams,
)
from tidegate.clock import FakeClock
from tidegate.core.fault import Fault
from tidegate.errors import ConfigError, LLMError
from tidegate.llm import LLM, Ledger, Policy, Usage
from tidegate.llm.trying import Course, Watch

GOOD = streams(*PIECES, TOTAL, "[DONE]")


async def streamed(acts: Sequence[Act], policy: Policy, guard: Notes | None = None) -> tuple[list[str], str, int]:
    """The pieces, the code of the error they ended with ("" for none), and the number of tries."""
    pieces: list[str] = []
    code = ""
    async with scripted(*acts) as server, LLM(provider(server.url), policy=policy) as llm:
        try:
            async for part in llm.stream(ASK, guard=guard):
                pieces.append(part)
        except LLMError as error:
            code = error.code
    return pieces, code, len(server.requests)


async def test_pieces_come_one_by_one_and_the_reply_is_the_whole() -> None:
    async with scripted(GOOD) as server, LLM(provider(server.url), policy=quick()) as llm:
        stream = llm.stream(ASK, max_tokens=9)
        with pytest.raises(ConfigError):
            assert stream.reply
        assert [part async for part in stream] == ["canary answer: ", "you are well"]
    assert (stream.reply.text, stream.reply.model, stream.reply.finish_reason) == (ANSWER, MODEL, "stop")
    assert stream.reply.usage == Usage(input_tokens=10, output_tokens=5, cost=60)
    assert server.requests[0].json()["stream"] is True
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "act",
    [
        streams(*PIECES),  # no [DONE]
        streams(*PIECES, "[DONE]", end=False),  # broken off after it
        answers(200, completion(), content_type="application/json"),  # a server that does not stream
    ],
)
async def test_an_answer_with_a_reason_to_end_is_whole(act: Act) -> None:
    pieces, code, _ = await streamed([act], quick())
    assert ("".join(pieces), code) == (ANSWER, "")


async def test_comments_carriage_returns_and_split_characters_are_read() -> None:
    text = "data: " + '{"choices":[{"delta":{"content":"é😀"},"finish_reason":"stop"}]}' + "\r\n\r\n"

    async def act(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, chunk(": OPENROUTER PROCESSING\n\n"))
        for byte in text.encode():
            exchange.writer.write(b"1\r\n" + bytes([byte]) + b"\r\n")
            await exchange.writer.drain()
        await exchange.send(END)

    pieces, code, _ = await streamed([act], quick())
    assert (pieces, code) == (["é😀"], "")


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        (streams(), Fault.TRUNCATED),
        (streams("[DONE]"), Fault.TRUNCATED),
        (streams(piece()), Fault.TRUNCATED),
        (streams(piece(), end=False), Fault.TRUNCATED),
        (streams("{not json"), Fault.SERVER_ERROR),
        (streams({"error": {"code": 502, "message": "Provider returned error"}}), Fault.SERVER_ERROR),
        (streams({"error": {"code": 429}, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}),
         Fault.RATE_LIMITED),
        (answers(429, {}), Fault.RATE_LIMITED),
        (answers(200, {"error": {"code": 503}}), Fault.OVERLOADED),
        (resets(STREAM_HEAD), Fault.TRUNCATED),
        (hangs(), Fault.SLOW),
        (hangs(STREAM_HEAD), Fault.SLOW),
        (hangs(STREAM_HEAD, event(piece())), Fault.SLOW),
    ],
)  # fmt: skip
async def test_what_fails_before_the_first_piece_is_tried_again(act: Act, fault: Fault) -> None:
    guard = Notes()
    pieces, code, tries = await streamed([act, GOOD], quick(first_token=0.3), guard)
    assert ("".join(pieces), code, tries) == (ANSWER, "", 2)
    assert guard.faults == [fault, None]


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        (streams(piece("half")), Fault.TRUNCATED),
        (streams(piece("half"), "[DONE]"), Fault.TRUNCATED),
        (streams(piece("half"), end=False), Fault.TRUNCATED),
        (streams(piece("half"), "{not json"), Fault.TRUNCATED),
        (streams(piece("half"), {"error": {"code": 502}}), Fault.SERVER_ERROR),
        (streams(piece("half", finish="error")), Fault.SERVER_ERROR),
        (streams(piece("half", finish="content_filter")), Fault.CONTENT_REFUSED),
        (resets(STREAM_HEAD, event(piece("half"))), Fault.TRUNCATED),
        (hangs(STREAM_HEAD, event(piece("half"))), Fault.SLOW),
    ],
)
async def test_what_fails_after_a_piece_is_an_error_and_never_a_short_answer(act: Act, fault: Fault) -> None:
    guard = Notes()
    pieces, code, tries = await streamed([act, GOOD], quick(idle=0.3), guard)
    assert (pieces, code, tries) == (["half"], fault, 1)
    assert guard.faults == [fault]


async def test_comments_alone_do_not_put_off_the_first_token() -> None:
    async def act(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        while True:
            await exchange.send(chunk(": still here\n\n"))
            await asyncio.sleep(0.02)

    _, code, _ = await streamed([act], quick(1, first_token=0.3, idle=0.1))
    assert code == "upstream_timeout"


async def test_shown_thought_is_a_first_token_and_no_part_of_the_answer() -> None:
    async def act(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        for _ in range(10):
            await exchange.send(event(piece(reasoning="hm")))
            await asyncio.sleep(0.05)
        await exchange.send(event(piece("42", finish="stop")), END)

    pieces, code, tries = await streamed([act], quick(first_token=0.3))
    assert (pieces, code, tries) == (["42"], "", 1)


async def test_the_deadline_of_the_whole_call_ends_a_stream_that_drips() -> None:
    async def act(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        while True:
            await exchange.send(event(piece("x")))
            await asyncio.sleep(0.02)

    pieces, code, _ = await streamed([act], quick(overall=0.4))
    assert pieces
    assert code == "upstream_timeout"


def _watched(gone: asyncio.Event) -> Act:
    async def act(exchange: Exchange) -> None:
        await hangs(STREAM_HEAD, event(piece("first")))(exchange)
        gone.set()

    return act


async def test_leaving_the_block_closes_the_connection_and_the_guards_block() -> None:
    gone, guard = asyncio.Event(), Notes()
    async with scripted(_watched(gone)) as server, LLM(provider(server.url)) as llm:
        async with llm.stream(ASK, guard=guard) as stream:
            async for part in stream:
                assert part == "first"
                break
        assert guard.calls[0].ended
        async with asyncio.timeout(5):
            await gone.wait()
    assert llm.ledger.totals["test", MODEL].failed == 1


async def test_a_stream_that_is_left_without_a_block_is_closed_too() -> None:
    gone = asyncio.Event()
    async with scripted(_watched(gone)) as server, LLM(provider(server.url)) as llm:
        async for _ in llm.stream(ASK):
            break
        async with asyncio.timeout(5):
            await gone.wait()


async def test_what_was_used_counts_though_the_reader_leaves_early() -> None:
    guard, used = Notes(), piece("canary") | {"usage": USAGE}
    async with (
        scripted(streams(used, *PIECES)) as server,
        LLM(provider(server.url), policy=quick()) as llm,
        llm.stream(ASK, guard=guard) as stream,
    ):
        await anext(aiter(stream))
    assert [usage.cost for usage in guard.calls[0].usages] == [60]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ValueError("a bug"), TimeoutError(), None])
async def test_what_was_used_counts_once_however_the_try_ends(error: BaseException | None) -> None:
    guard, ledger = Notes(), Ledger()
    watch = Watch(provider("http://127.0.0.1:1/v1"), ledger, FakeClock())
    with nullcontext() if error is None else pytest.raises((type(error), LLMError)):
        async with watch.trying(Course(quick()), guard) as one:
            one.usage = Usage(input_tokens=10, cost=60)
            if error is not None:
                raise error
    assert [usage.cost for usage in guard.calls[0].usages] == [60]
    assert ledger.totals["test", MODEL].cost == 60


async def test_a_cancelled_reader_closes_the_connection() -> None:
    gone, begun, guard = asyncio.Event(), asyncio.Event(), Notes()

    async def reading(llm: LLM) -> None:
        async for _ in llm.stream(ASK, guard=guard):
            begun.set()

    async with scripted(_watched(gone)) as server, LLM(provider(server.url)) as llm:
        task = asyncio.create_task(reading(llm))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await gone.wait()
    assert guard.calls[0].ended


async def test_the_ledger_has_the_time_to_the_first_token() -> None:
    lines = Lines()
    async with scripted(GOOD) as server, LLM(provider(server.url), ledger=Ledger(lines)) as llm:
        assert [part async for part in llm.stream(ASK)]
    assert 0 < float(str(lines.fields[0]["first_token_ms"])) <= float(str(lines.fields[0]["took_ms"]))
