"""A file out of a multipart body, while it streams in: the field `file`, and nothing of it kept in memory."""

from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from tidegate.errors import InvalidInput
from tidegate.http.problems import MALFORMED_UPLOAD, Refusal

FIELD: Final = "file"


class MultipartFile:
    """The field `file` of a multipart body. `open` it first: then its name is known and `chunks` has its bytes.

    Raises Refusal where the content type names no boundary.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._parser = self._parsing(content_type)
        self._header = (b"", b"")
        self._headers: dict[bytes, bytes] = {}
        self._inside = False
        self._pieces: list[bytes] = []
        self._found = False
        self.name = ""
        self.content_type = ""

    async def open(self) -> None:
        """Read up to the file's first byte. Raises InvalidInput where there is no such field, and Refusal."""
        while not self._found and await self._more():
            pass
        if not self._found:
            raise InvalidInput(FIELD, "is missing: send the file as the multipart field `file`, with a filename")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file's bytes. Reads the body to its end, so that a file that was cut off raises Refusal."""
        more = True
        while more or self._pieces:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            more = await self._more()

    async def _more(self) -> bool:
        chunk = await anext(self._body, None)
        if chunk is None:
            if self._parser.state is not MultipartState.END:
                raise Refusal(MALFORMED_UPLOAD, "the multipart body ends before its closing boundary")
            return False
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise Refusal(MALFORMED_UPLOAD, f"the multipart body can't be read: {exc}"[:300]) from exc
        return True

    def _parsing(self, content_type: str) -> MultipartParser:
        _, options = parse_options_header(content_type)
        try:
            return MultipartParser(
                options.get(b"boundary", b""),
                {
                    "on_part_begin": self._headers_begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._part_begins,
                    "on_part_data": self._data,
                    "on_part_end": self._part_ends,
                },
            )
        except FormParserError as exc:
            raise Refusal(MALFORMED_UPLOAD, f"the Content-Type can't be read: {exc}"[:300]) from exc

    def _headers_begin(self) -> None:
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], b"")

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _header_ends(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = (b"", b"")

    def _part_begins(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if options.get(b"name", b"").decode("utf-8", "replace") != FIELD or b"filename" not in options:
            return
        if self._found:
            raise InvalidInput(FIELD, "is there more than once: send one file a request")
        self._found = self._inside = True
        self.name = options[b"filename"].decode("utf-8", "replace")
        self.content_type = self._headers.get(b"content-type", b"").decode("latin-1")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._pieces.append(data[start:end])

    def _part_ends(self) -> None:
        self._inside = False
