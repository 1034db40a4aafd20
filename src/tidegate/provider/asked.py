"""What a caller asks for, read as far as an answer depends on it."""

from typing import Final, Literal

import msgspec

LONGEST: Final = 16_384


class Mistaken(Exception):
    """The caller's mistake: what is said to him, of which field, and under which status."""

    def __init__(self, message: str, param: str | None = None, *, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


class Part(msgspec.Struct):
    """A part of a message."""

    text: str = ""


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: str
    content: str | list[Part] | None = None

    def words(self) -> list[str]:
        """Its text; what is no text counts nothing."""
        match self.content:
            case None:
                return []
            case str(text):
                return text.split()
            case parts:
                return " ".join(part.text for part in parts).split()


class Named(msgspec.Struct):
    """A JSON schema, and what its asker calls it."""

    schema: dict[str, object] = {}
    name: str = ""


class Format(msgspec.Struct):
    """In what form the answer is wanted."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: Named | None = None


class StreamOptions(msgspec.Struct):
    """What a stream should tell besides the answer."""

    include_usage: bool = False


class Asked(msgspec.Struct):
    """A chat completion as it is asked for; whatever else is asked is passed over."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    response_format: Format | None = None
    user: str | None = None

    @property
    def length(self) -> int:
        """How many words to answer."""
        asked = self.max_completion_tokens or self.max_tokens or 32
        return min(asked, LONGEST)


_decoder = msgspec.json.Decoder(Asked)


def read(body: bytes) -> Asked:
    """Raises Mistaken."""
    try:
        asked = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Mistaken(f"We could not parse the body of your request: {str(exc)[:200]}") from exc
    if not asked.messages:
        raise Mistaken("messages must have at least one message", "messages")
    if any(most is not None and most < 1 for most in (asked.max_completion_tokens, asked.max_tokens)):
        raise Mistaken("max_tokens must be at least 1", "max_tokens")
    return asked
