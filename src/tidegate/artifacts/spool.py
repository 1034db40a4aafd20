"""Bytes that can be read again from their start, whatever they came as."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

SPOOL_LIMIT: Final = 1_048_576
"""Bytes of a stream that are kept in memory; a longer one goes to an unnamed temporary file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What shall be stored: its bytes, how many, and their SHA-256 in hex."""

    body: bytes | IO[bytes]
    size: int
    sha256: str

    def rewound(self) -> bytes | IO[bytes]:
        """The bytes from their start, for one more try."""
        if not isinstance(self.body, bytes):
            self.body.seek(0)
        return self.body


@asynccontextmanager
async def rewindable(data: bytes | AsyncIterator[bytes] | Path) -> AsyncIterator[Source]:
    """Read `data` once, and keep it so that it can be read again until the block ends.

    A file must not change meanwhile. Raises what reading `data` raises; then nothing is left behind.
    """
    async with AsyncExitStack() as held:
        match data:
            case bytes():
                body: bytes | IO[bytes] = data
            case Path():
                body = held.enter_context(await asyncio.to_thread(data.open, "rb"))
            case _:
                body = await _spool(data, held)
        size, digest = await asyncio.to_thread(_measure, body)
        yield Source(body=body, size=size, sha256=digest)


async def _spool(chunks: AsyncIterator[bytes], held: AsyncExitStack) -> bytes | IO[bytes]:
    pending = bytearray()
    file: IO[bytes] | None = None
    async for chunk in chunks:
        pending += chunk
        if len(pending) > SPOOL_LIMIT:
            if file is None:
                file = held.enter_context(await asyncio.to_thread(tempfile.TemporaryFile))
            await asyncio.to_thread(file.write, bytes(pending))
            pending.clear()
    if file is None:
        return bytes(pending)
    await asyncio.to_thread(file.write, bytes(pending))
    return file


def _measure(body: bytes | IO[bytes]) -> tuple[int, str]:
    if isinstance(body, bytes):
        return len(body), hashlib.sha256(body).hexdigest()
    body.seek(0)
    digest = hashlib.sha256()
    while block := body.read(SPOOL_LIMIT):
        digest.update(block)
    return body.tell(), digest.hexdigest()
