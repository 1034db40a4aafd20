"""What a store must be able to do, and the one for buckets and memory; `disk` has the other.

A backend tries once and raises what its driver raises: `ArtifactStore` checks, repeats and translates.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Final, Protocol, TypedDict

import obstore
from obstore.store import LocalStore, MemoryStore, S3Store

from tidegate.core.artifact import ArtifactInfo

CHUNK: Final = 1_048_576
"""Bytes of a piece that is read at a time, at least, but for the last."""

AT_ONCE: Final = 2
"""Pieces of one write under way at a time; obstore's own 12 would hold 60 MB of each upload in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An artifact about to be read. `version` changes when its bytes do, as far as the store can tell."""

    info: ArtifactInfo
    version: str | None
    chunks: AsyncIterator[bytes]


class ObjectMeta(TypedDict):
    """What obstore tells of an object; its own name for this can't be imported at run time."""

    path: str
    last_modified: datetime
    size: int
    e_tag: str | None


class Backend(Protocol):
    """One try at each verb. Paths have been checked."""

    async def write(self, path: str, body: bytes | IO[bytes], content_type: str) -> None:
        """Store the bytes whole or not at all; once it returns they survive a crash of this process."""
        ...

    async def open(self, path: str) -> Opened:
        """Begin to read; FileNotFoundError when there is nothing."""
        ...

    async def head(self, path: str) -> ArtifactInfo:
        """Size and age without the bytes; FileNotFoundError when there is nothing."""
        ...

    def pages(self, prefix: str) -> AsyncIterator[Sequence[ArtifactInfo]]:
        """All that is below the folder `prefix`, some at a time; never an empty page."""
        ...

    async def remove(self, paths: Sequence[str]) -> None:
        """Delete; what is not there is no error."""
        ...

    async def clear(self, prefix: str) -> None:
        """Delete what `pages` does not show below `prefix`: what unfinished writes left."""
        ...

    async def tidy(self, prefix: str, before: datetime) -> None:
        """Delete of that what has not been changed since `before`: nobody writes it any more."""
        ...

    async def sign(self, path: str, expires: timedelta) -> str | None:
        """A URL that reads the bytes without credentials, where the store has such."""
        ...


class ObjectBackend:
    """An S3 bucket, or memory."""

    def __init__(self, store: S3Store | MemoryStore) -> None:
        self._store = store

    async def write(self, path: str, body: bytes | IO[bytes], content_type: str) -> None:
        """One PUT, or a multipart upload above 5 MiB, which a failure aborts."""
        await self._store.put_async(path, body, attributes={"Content-Type": content_type}, max_concurrency=AT_ONCE)

    async def open(self, path: str) -> Opened:
        """Begin to read."""
        return await opened(self._store, path)

    async def head(self, path: str) -> ArtifactInfo:
        """Size, age and content type."""
        found = await self._store.get_async(path, options={"head": True})
        return info(found.meta, found.attributes.get("Content-Type"))

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[ArtifactInfo]]:
        """Pages as the store sends them."""
        async for page in self._store.list(prefix):
            yield [info(meta) for meta in page]

    async def remove(self, paths: Sequence[str]) -> None:
        """Bulk deletes of up to 1,000."""
        await self._store.delete_async(paths)

    async def clear(self, prefix: str) -> None:
        """Nothing: a failed multipart upload is aborted, and a lifecycle rule finds the rest."""

    async def tidy(self, prefix: str, before: datetime) -> None:
        """Nothing, as above."""

    async def sign(self, path: str, expires: timedelta) -> str | None:
        """A presigned GET; None for memory."""
        if isinstance(self._store, MemoryStore):
            return None
        return await obstore.sign_async(self._store, "GET", path, expires)


async def opened(store: LocalStore | MemoryStore | S3Store, path: str) -> Opened:
    """Begin to read with obstore."""
    found = await store.get_async(path)
    return Opened(
        info=info(found.meta, found.attributes.get("Content-Type")),
        version=found.meta["e_tag"],
        chunks=found.stream(min_chunk_size=CHUNK),
    )


def info(meta: ObjectMeta, content_type: str | None = None) -> ArtifactInfo:
    """obstore's description as ours."""
    return ArtifactInfo(
        path=meta["path"],
        size=meta["size"],
        modified_at=meta["last_modified"],
        content_type=content_type,
    )
