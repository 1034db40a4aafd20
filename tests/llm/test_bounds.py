"""Answers made to harm: none takes more than its share of the memory or of the processor."""

import asyncio
import time
import tracemalloc
import zlib
from datetime import UTC, datetime

import msgspec
import pytest
from pydantic import BaseModel

from tests.llm.calls import ASK, PIECES, Notes, Verdict, completion, piece, provider, quick
from tests.servers.scripted import END, STREAM_HEAD, Exchange, answers, chunk, event, scripted
from tidegate.core.fault import Fault
from tidegate.errors import LLMError
from tidegate.llm import LLM, Stream
from tidegate.llm.assembly import Assembly
from tidegate.llm.classify import classify
from tidegate.llm.schema import WantedModel, WantedSchema, unfenced
from tidegate.llm.wire import LONGEST_ANSWER, Answer, Choice, Said, read

MEGABYTE = 1_000_000
NOW = datetime(2030, 1, 1, tzinfo=UTC)

HARMFUL = {
    "newlines": "\n" * MEGABYTE,
    "an open fence and newlines": "```json" + "\n" * MEGABYTE,
    "newlines in a fence": "```json\n" + "\n" * MEGABYTE + "```",
    "newlines in a fence and a word": "```\n" + "\n" * MEGABYTE + "```x",
    "fences": "```" * (MEGABYTE // 3),
    "fences and newlines": "```\n" * (MEGABYTE // 4),
    "braces": "{" * MEGABYTE,
    "brackets": "[" * MEGABYTE,
    "quotes": '"' * MEGABYTE,
    "backslashes": '"' + "\\" * MEGABYTE,
    "digits": "1" * MEGABYTE,
}


class Strict(BaseModel):
    """A form in which every item of a list may be a fault."""

    verdicts: list[Verdict]


@pytest.mark.parametrize("name", HARMFUL)
def test_a_megabyte_of_anything_is_read_in_half_a_second_of_processor_time(name: str) -> None:
    by_model, by_schema = WantedModel(Strict), WantedSchema(Strict.model_json_schema())
    began = time.process_time()
    assert by_model.read(HARMFUL[name]) is None
    assert by_schema.read(HARMFUL[name]) is None
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("```json\n1\n```", "1\n"),
        (" \n```JSON \r\n1```\n", "1"),
        ("```\n```", ""),
        ("```\n```json\n1```\n```", "```json\n1```\n"),
        ("```", "```"),
        ("````", "````"),
        ("```json 1```", "```json 1```"),
        ("```yaml\n1\n```", "```yaml\n1\n```"),
        ("so: ```json\n1\n```", "so: ```json\n1\n```"),
    ],
)
def test_a_fence_is_taken_off_only_where_it_holds_all_and_may_be_json(text: str, inner: str) -> None:
    assert unfenced(text) == inner


@pytest.mark.parametrize("word", ["violat", "spend", "wait ", "retry\t", "prompt is ", "1s"])
@pytest.mark.parametrize("status", [400, 403, 429])
def test_no_message_of_an_error_takes_long_to_judge(word: str, status: int) -> None:
    body = msgspec.json.encode({"error": {"message": word * 200_000, "code": word * 200_000}})
    began = time.process_time()
    classify(status, {}, body, now=NOW)
    assert time.process_time() - began < 0.1


def test_headers_and_texts_that_are_lists_are_no_headers_and_no_texts() -> None:
    body = b'{"error":{"metadata":{"headers":{"retry-after":[["9"]],"Retry-After-Ms":7000}}}}'
    wait = classify(429, {}, body, now=NOW).retry_after
    assert wait is not None
    assert wait.total_seconds() == 7
    answer = read(b'{"choices":[{"message":{"content":[{"text":null},{"text":[[]]},{"text":"a"}]}}]}')
    assert answer is not None
    assert Assembly().add(answer) == "a"


def test_a_stream_of_small_pieces_is_kept_in_little_more_than_its_text() -> None:
    whole, part = Assembly(), Answer(choices=[Choice(delta=Said(content="ab"))])
    tracemalloc.start()
    for _ in range(100_000):
        whole.add(part)
    assert whole.text == "ab" * 100_000
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 * whole.size


async def taken(stream: Stream, sizes: list[int]) -> None:
    """Take all pieces, and keep their lengths."""
    async for part in stream:
        sizes.append(len(part))


async def test_a_stream_without_end_is_kept_up_to_the_limit_of_an_answer() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        while True:
            await exchange.send(event(piece("y" * 500_000)))

    sizes: list[int] = []
    guard = Notes()
    async with scripted(endless) as server, LLM(provider(server.url), policy=quick()) as llm:
        stream = llm.stream(ASK, guard=guard)
        with pytest.raises(LLMError, match="too long") as raised:
            await taken(stream, sizes)
    assert LONGEST_ANSWER - 500_000 < sum(sizes) <= LONGEST_ANSWER
    assert (raised.value.code, guard.faults) == ("invalid_output", [Fault.INVALID_OUTPUT])


async def test_a_line_without_end_is_an_answer_of_the_wrong_form() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, chunk("data: "))
        while True:
            await exchange.send(chunk("x" * 100_000))

    async with scripted(endless) as server, LLM(provider(server.url), policy=quick(1)) as llm:
        with pytest.raises(LLMError) as raised:
            assert [part async for part in llm.stream(ASK)]
    assert raised.value.code == "invalid_output"


async def test_a_form_is_not_read_in_an_answer_that_is_too_long_for_one() -> None:
    act = answers(200, completion('{"grade": 1, "reason": "' + "x" * 1024 * 1024 + '"}'))
    async with scripted(act) as server, LLM(provider(server.url), policy=quick(1)) as llm:
        assert (await llm.chat(ASK)).text
        with pytest.raises(LLMError) as raised:
            await llm.chat(ASK, schema=Verdict)
    assert raised.value.code == "invalid_output"


def bomb(head: str) -> bytes:
    """64 MB of spaces in 64 KB."""
    packed = zlib.compress(b" " * 64 * MEGABYTE, 9, 31)
    return f"HTTP/1.1 200 OK\r\n{head}\r\ncontent-length: {len(packed)}\r\n\r\n".encode() + packed


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("content-type: application/json\r\ncontent-encoding: gzip", "server_error"),
        ("content-type: text/event-stream\r\ncontent-encoding: gzip", "truncated"),
    ],
)
async def test_a_packed_answer_is_not_inflated(head: str, code: str) -> None:
    sent = bomb(head)

    async def act(exchange: Exchange) -> None:
        exchange.writer.write(sent)
        await exchange.writer.drain()

    async with scripted(act) as server, LLM(provider(server.url), policy=quick(1)) as llm:
        tracemalloc.start()
        with pytest.raises(LLMError) as raised:
            assert [part async for part in llm.stream(ASK)]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert raised.value.code == code
    assert peak < 4 * MEGABYTE


@pytest.mark.parametrize("charset", ["punycode", "zlib", "hex", "utf-16", "utf-7", "no-such"])
async def test_events_are_utf_8_whatever_their_charset(charset: str) -> None:
    head = STREAM_HEAD.replace("event-stream", f"event-stream; charset={charset}")

    async def act(exchange: Exchange) -> None:
        await exchange.send(head, *map(event, PIECES), END)
        await asyncio.sleep(0)

    async with scripted(act) as server, LLM(provider(server.url), policy=quick(1)) as llm:
        assert [part async for part in llm.stream(ASK)] == ["canary answer: ", "you are well"]
