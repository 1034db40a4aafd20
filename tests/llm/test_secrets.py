"""No key, prompt or answer in any error, log line or repr, whatever goes wrong."""

import io
import logging
import traceback
from collections.abc import Iterator

import pytest

from tests.llm.calls import ANSWER, ASK, KEY, MODEL, PROMPT, Notes, Verdict, completion, dump, piece, provider, quick
from tests.llm.lines import Lines
from tests.servers.scripted import STREAM_HEAD, Act, answers, event, hangs, resets, scripted, streams
from tidegate.core.failure import failure_of
from tidegate.errors import LLMError
from tidegate.llm import LLM, Ledger
from tidegate.telemetry.redaction import trace

TOLD = f"{KEY} said {PROMPT} and I said {ANSWER}"
LOUD = {"error": {"message": TOLD, "code": TOLD, "type": TOLD, "metadata": {"flagged_input": TOLD, "reasons": [TOLD]}}}

ACTS = {
    "auth": answers(401, LOUD),
    "quota": answers(402, LOUD),
    "refused": answers(403, LOUD),
    "bad request": answers(400, LOUD),
    "too long": answers(400, {"error": {"message": f"{TOLD} maximum context length"}}),
    "rate limit": answers(429, LOUD, retry_after=TOLD),
    "server error": answers(500, LOUD),
    "text": answers(503, TOLD),
    "inside a 200": answers(200, LOUD),
    "not JSON": answers(200, TOLD),
    "not an answer": answers(200, [TOLD]),
    "wrong types": answers(200, {"choices": TOLD, "usage": TOLD, "model": [TOLD]}),
    "wrong form": answers(200, completion(TOLD)),
    "filtered": answers(200, completion(TOLD, finish="content_filter")),
    "model of its own": answers(200, completion("", model=TOLD)),
    "status line": resets(f"{TOLD}\r\n\r\n"),
    "header": resets(f"HTTP/1.1 200 OK\r\n{TOLD}\r\n\r\n"),
    "length": resets(f"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{TOLD}"),
    "gzip": answers(200, TOLD, content_encoding="gzip"),
    "redirect": answers(302, TOLD, location=f"http://{KEY}@127.0.0.1/"),
    "reset": resets(),
    "hole": hangs(),
    "chunk": resets(f"{STREAM_HEAD}{TOLD}\r\n"),
    "event": streams(TOLD),
    "event with an error": streams(piece(TOLD), LOUD),
    "half": streams(piece(TOLD), end=False),
    "stalled": hangs(STREAM_HEAD, event(piece(TOLD))),
}


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All that any logger of this process says, down to debug."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield said
    root.removeHandler(handler)
    root.setLevel(level)


async def failures(act: Act, lines: Lines) -> list[LLMError]:
    """The errors of a call in one piece and of a stream."""
    found = []
    policy = quick(overall=0.5)
    async with scripted(act) as server, LLM(provider(server.url), policy=policy, ledger=Ledger(lines)) as llm:
        with pytest.raises(LLMError) as raised:
            await llm.chat(ASK, schema=Verdict, guard=Notes())
        found.append(raised.value)
        try:
            _ = [part async for part in llm.stream(ASK, guard=Notes())]
        except LLMError as error:
            found.append(error)
    return found


@pytest.mark.parametrize("name", ACTS)
async def test_no_error_path_tells_a_key_a_prompt_or_an_answer(name: str, everything_logged: io.StringIO) -> None:
    lines = Lines()
    errors = await failures(ACTS[name], lines)
    tracebacks = ["".join(traceback.format_exception(error)) for error in errors]
    shown = "\n".join(
        [
            dump(errors),
            dump(error.args for error in errors),
            dump(failure_of(error) for error in errors),
            dump(part for error in errors for part in trace(error)),
            *tracebacks,
            dump(lines.fields),
            everything_logged.getvalue(),
        ]
    )
    assert lines.fields
    for canary in (KEY, PROMPT, ANSWER):
        assert canary not in shown
    assert MODEL in str(errors[0])


async def test_a_good_call_is_silent_about_them_too(everything_logged: io.StringIO) -> None:
    lines = Lines()
    act, ledger = answers(200, completion()), Ledger(lines)
    async with scripted(act) as server, LLM(provider(server.url), ledger=ledger) as llm:
        reply = await llm.chat(ASK)
        shown = dump([reply, llm, llm.provider, ledger, ledger.totals, *ASK, *lines.fields])
    for canary in (KEY, PROMPT, ANSWER):
        assert canary not in shown + everything_logged.getvalue()
