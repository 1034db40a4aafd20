"""A file out of a multipart body, while it streams in: the field `file`, and nothing of it kept in memory."""

from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from tidegate.errors import InvalidInput
from tidegate.http.problems import MALFORMED_UPLOAD, Refusal

FIELD: Final = "file"


class MultipartFile:
    """The field `file` of a multipart body. `open` first: then its name is known and `chunks` can be read."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._parser = _parser(content_type, self)
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._headers: dict[str, str] = {}
        self._inside = False
        self._pieces: list[bytes] = []
        self.found = False
        self.name = ""
        self.content_type = ""

    async def open(self) -> None:
        """Read up to the file's first byte. Raises InvalidInput when there is no such field, and Refusal."""
        while not self.found and await self._more():
            pass
        if not self.found:
            raise InvalidInput(FIELD, "is missing: send the file as the multipart field `file`, with a filename")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file's bytes. Reads the body to its end, so a file that was cut off is refused, not kept."""
        more = True
        while self._pieces or more:
            while self._pieces:
                yield self._pieces.pop(0)
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
