"""What the provider says: bodies, headers and chunks of the OpenAI kind, and the errors of several providers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final, TypeAlias

import msgspec

from tidegate.provider.asked import Asked, Mistaken
from tidegate.provider.decision import Decision
from tidegate.provider.sample import Sampler
from tidegate.provider.timeline import Does

Headers: TypeAlias = list[tuple[bytes, bytes]]

MODELS: Final = ("tidegate-large", "tidegate-small")
DONE: Final = b"data: [DONE]\n\n"
NOT_JSON: Final = b"<html><head><title>502 Bad Gateway</title></head><body>upstream said nothing</body></html>"
MOST_CHUNKS: Final = 16

encode: Final = msgspec.json.Encoder().encode

_ERRORS: Final = {
    Does.RATE_LIMIT: ("requests", "rate_limit_exceeded", "Rate limit reached for requests. Please slow down."),
    Does.QUOTA: ("insufficient_quota", "insufficient_quota", "You exceeded your current quota, check your billing."),
    Does.AUTH: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    Does.SERVER_ERROR: ("server_error", None, "The server had an error while processing your request."),
    Does.OVERLOADED: ("overloaded_error", "overloaded", "The engine is currently overloaded, try again later."),
    Does.ERROR_IN_200: ("server_error", "upstream_error", "The upstream provider failed."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A correct answer: its text in pieces, and what it used."""

    id: str
    model: str
    created: int
    pieces: Sequence[str]
    prompt_tokens: int
    completion_tokens: int

    def usage(self) -> dict[str, int]:
        """A word is a token."""
        asked, answered = self.prompt_tokens, self.completion_tokens
        return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def answer(asked: Asked, call: str, created: int) -> Answer:
    """The words of the last message again and again, or the JSON that was asked for. Raises Mistaken."""
    words = asked.messages[-1].words() or ["nothing"]
    form = asked.response_format
    if form is None or form.type == "text":
        said = list(islice(cycle(words), asked.length))
        pieces = _grouped(said)
    else:
        text = " ".join(words[:8])[:200]
        schema = form.json_schema.schema if form.json_schema is not None else {}
        value = Sampler(schema, text).sample() if form.type == "json_schema" else {"answer": text}
        said = encode(value).decode().split(" ")
        pieces = _grouped(said)
    return Answer(
        id=call,
        model=asked.model[:200],
        created=created,
        pieces=pieces,
        prompt_tokens=sum(len(message.words()) for message in asked.messages),
        completion_tokens=len(said),
    )


def _grouped(words: Sequence[str]) -> list[str]:
    """The text in few pieces, blanks where they belong."""
    size = math.ceil(len(words) / MOST_CHUNKS)
    pieces = [" ".join(words[i : i + size]) for i in range(0, len(words), size)]
    return [pieces[0], *(f" {piece}" for piece in pieces[1:])]


def completion(found: Answer) -> bytes:
    """The whole answer in one body."""
    message = {"role": "assistant", "content": "".join(found.pieces), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return encode(_head(found, "chat.completion") | {"choices": [choice], "usage": found.usage()})


def chunks(found: Answer, *, usage: bool) -> Iterator[bytes]:
    """The events of a stream, but for the last one, which is DONE."""
    yield _chunk(found, {"role": "assistant", "content": ""}, None)
    for piece in found.pieces:
        yield _chunk(found, {"content": piece}, None)
    yield _chunk(found, {}, "stop")
    if usage:
        yield _event(_head(found, "chat.completion.chunk") | {"choices": [], "usage": found.usage()})


def broken_chunk(found: Answer) -> bytes:
    """How a stream says that it can't go on."""
    ended = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    return _event(_head(found, "chat.completion.chunk") | _error_of(Does.ERROR_IN_200) | {"choices": [ended]})


def _head(found: Answer, kind: str) -> dict[str, object]:
    return {"id": found.id, "object": kind, "created": found.created, "model": found.model}


def _chunk(found: Answer, delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _event(_head(found, "chat.completion.chunk") | {"choices": [choice]})


def _event(value: object) -> bytes:
    return b"data: " + encode(value) + b"\n\n"


def _error_of(does: Does) -> dict[str, object]:
    kind, code, message = _ERRORS[does]
    return error_body(message, kind, code)


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> dict[str, object]:
    """An error as OpenAI words it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error(decision: Decision) -> tuple[bytes, Headers]:
    """What a call is told that is refused or fails."""
    return encode(_error_of(decision.does)), _hints(decision)


def mistake(made: Mistaken) -> bytes:
    """What a call is told that asks for something wrong."""
    code = "invalid_api_key" if made.status == 401 else None
    return encode(error_body(str(made), "invalid_request_error", code, made.param))


def _hints(decision: Decision) -> Headers:
    """Whole seconds never say too little; the milliseconds are exact."""
    wait = decision.retry_after
    if wait is None:
        return []
    found = [(b"retry-after", b"%d" % math.ceil(wait)), (b"retry-after-ms", b"%d" % math.ceil(wait * 1000))]
    if decision.does is Does.RATE_LIMIT:
        found.append((b"x-ratelimit-remaining-requests", b"0"))
        found.append((b"x-ratelimit-reset-requests", b"%dms" % math.ceil(wait * 1000)))
    return found


def models() -> bytes:
    """The models there are to choose from; any other name is answered too."""
    data = [{"id": name, "object": "model", "created": 1767225600, "owned_by": "tidegate"} for name in MODELS]
    return encode({"object": "list", "data": data})
