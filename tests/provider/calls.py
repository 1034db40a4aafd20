"""Calls to the fake provider, as clients make them."""

from collections.abc import Sequence

import httpx2
import msgspec

from tests.servers.provider import Fake

HELLO = {"role": "user", "content": "two words"}


class Delta(msgspec.Struct):
    content: str = ""


class Choice(msgspec.Struct):
    finish_reason: str | None
    delta: Delta = msgspec.field(default_factory=Delta)
    message: Delta = msgspec.field(default_factory=Delta)


class Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Error(msgspec.Struct):
    message: str
    type: str
    code: str | None
    param: str | None


class Body(msgspec.Struct):
    """A completion, a chunk of one, or an error."""

    id: str = ""
    object: str = ""
    model: str = ""
    choices: list[Choice] = []
    usage: Usage | None = None
    error: Error | None = None

    @property
    def text(self) -> str:
        """What was answered."""
        return self.choices[0].message.content


def ask(fake: Fake, tenant: str = "a", headers: dict[str, str] | None = None, **more: object) -> httpx2.Response:
    """One call."""
    asked = {"model": "tidegate-small", "messages": [HELLO], **more}
    return fake.http.post(f"/{tenant}/v1/chat/completions", json=asked, headers=headers or {})


def body(answer: httpx2.Response) -> Body:
    """What was answered."""
    return msgspec.json.decode(answer.content, type=Body)


def error(answer: httpx2.Response) -> Error:
    """What went wrong."""
    found = body(answer).error
    assert found is not None
    return found


def events(text: str) -> Sequence[str]:
    """The data of each event of a stream."""
    parts = text.split("\n\n")
    assert parts.pop() == "", "the last event has no end"
    assert all(part.startswith("data: ") for part in parts)
    return [part.removeprefix("data: ") for part in parts]


def chunk(data: str) -> Body:
    """One event of a stream."""
    return msgspec.json.decode(data, type=Body)


def text_of(chunks: Sequence[Body]) -> str:
    """What the chunks of a stream say together."""
    return "".join(found.choices[0].delta.content for found in chunks if found.choices)
