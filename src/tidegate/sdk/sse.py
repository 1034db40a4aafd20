"""Server-sent events, read from bytes as they come."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_BYTES: Final = 1024 * 1024
"""Of one event. More is no event of ours: nobody's memory shall fill with it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event, as it was sent; `id` is that of the newest event that had one."""

    name: str
    data: str
    id: str


class TooLong(ValueError):
    """An event is longer than any."""


class Reader:
    """Reads one stream. What it ends in the middle of is no event; `last_id` is that of the newest whole one."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._id = last_id
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """The events that these bytes complete; raises TooLong."""
        text = self._rest + self._decode(data)
        # A CR at the end may be half of a CRLF: it waits for what follows.
        held = "\r" if text.endswith("\r") else ""
        *lines, rest = text[: len(text) - len(held)].replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = rest + held
        if len(self._rest) > MOST_BYTES:
            raise TooLong
        for line in lines:
            yield from self._line(line)

    def _line(self, line: str) -> Iterator[Message]:
        if not line:
            self.last_id = self._id
            if self._data:
                yield Message(self._name or "message", "\n".join(self._data), self.last_id)
            self._name, self._data, self._size = "", [], 0
            return
        self._size += len(line)
        if self._size > MOST_BYTES:
            raise TooLong
        name, _, value = line.partition(":")
        self._field(name, value.removeprefix(" "))

    def _field(self, name: str, value: str) -> None:
        match name:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case _:
                pass
