"""The artifact store that everything else sees: checked paths, three tries, our own errors."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, Final, TypeAlias

from tidegate.artifacts.backend import Backend, Opened
from tidegate.artifacts.faults import STORE_FAULTS, Errand
from tidegate.artifacts.spool import rewindable
from tidegate.artifacts.tries import Tries
from tidegate.core.artifact import ArtifactInfo, Stored
from tidegate.core.paths import UPLOADS, check_path, check_prefix
from tidegate.errors import ArtifactNotFound, ArtifactUnavailable, InvalidInput, TooLarge

LONGEST_SIGNATURE: Final = timedelta(days=7)
"""What AWS Signature Version 4 allows a presigned URL."""

PROBES: Final = "probes"
"""The folder of what `check` writes."""

Pages: TypeAlias = AsyncIterator[Sequence[ArtifactInfo]]

_CONTENT_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w.-]+=[\w.+-]+)*", re.ASCII)
_CONTENT_TYPE_LIMIT: Final = 255
_PROBE: Final = b"tidegate"


class ArtifactStore:
    """Named bytes; implements `ports.Artifacts`.

    Every verb checks its path (InvalidInput) and raises ArtifactRefused when the store says no,
    ArtifactUnavailable when it failed in every try. A repeated try starts from the first byte.
    """

    def __init__(self, backend: Backend, tries: Tries, *, once: Tries, token: Callable[[], str]) -> None:
        self._backend = backend
        self._tries = tries
        self._once = once
        self._token = token

    async def put(self, path: str, data: bytes | AsyncIterator[bytes] | Path, *, content_type: str) -> Stored:
        """Write an artifact whole or not at all, replacing what was there.

        A stream is read to its end first, above 1 MiB into a temporary file; what it raises passes through,
        and nothing is stored. A file must not change meanwhile.
        """
        errand = Errand("write", check_path(path))
        if len(content_type) > _CONTENT_TYPE_LIMIT or _CONTENT_TYPE.fullmatch(content_type) is None:
            raise InvalidInput("content_type", f"{content_type[:80]!r} is no media type such as text/csv")
        async with rewindable(data) as source:

            async def write() -> None:
                await self._backend.write(path, source.rewound(), content_type)

            await self._tries.run(errand, write)
        return Stored(path=path, size=source.size, sha256=source.sha256)

    async def get(self, path: str, *, max_bytes: int) -> bytes:
        """Read a small artifact; ArtifactNotFound, or TooLarge beyond `max_bytes`."""
        return await self._tries.run(Errand("read", check_path(path)), partial(self._get, path, max_bytes))

    async def stream(self, path: str) -> AsyncGenerator[bytes, None]:
        """Read an artifact in pieces of about 1 MiB; ArtifactNotFound before the first.

        When the connection breaks, it is read again from the start and what was given out is passed over;
        ArtifactUnavailable if the artifact was replaced in between.
        """
        errand = Errand("read", check_path(path))
        given, version = 0, None
        for attempt in count(1):
            try:
                source = await self._backend.open(path)
                version = _same(path, version, source)
                async for chunk in _from(source.chunks, given):
                    given += len(chunk)
                    yield chunk
                return
            except STORE_FAULTS as fault:
                await self._tries.pause(attempt, errand, fault)

    async def download(self, path: str, to: Path) -> None:
        """Copy an artifact into a local file, which appears whole or not at all; OSError where it can't."""
        part = to.with_name(f"{to.name}.part")
        try:
            with await asyncio.to_thread(_create, part) as file:
                async with aclosing(self.stream(path)) as chunks:
                    async for chunk in chunks:
                        await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(os.replace, part, to)
        finally:
            part.unlink(missing_ok=True)

    async def head(self, path: str) -> ArtifactInfo | None:
        """What is known of an artifact; None when there is none."""
        errand = Errand("read", check_path(path))
        with suppress(ArtifactNotFound):
            return await self._tries.run(errand, partial(self._backend.head, path))
        return None

    async def list(self, prefix: str) -> AsyncGenerator[ArtifactInfo, None]:
        """Every artifact below the folder `prefix`, in no promised order.

        Only the first page is tried again: a later failure ends the listing with ArtifactUnavailable, and
        whoever sweeps comes back anyway.
        """
        async for page in self._pages(check_prefix(prefix)):
            for found in page:
                yield found

    async def delete_prefix(self, prefix: str) -> int:
        """Remove every artifact below the folder `prefix`; how many there were.

        Listed as by `list`; when it fails midway, what was removed stays removed: call it again.
        """
        folder = check_prefix(prefix)
        errand, removed = Errand("remove", folder), 0
        async for page in self._pages(folder):
            await self._tries.run(errand, partial(self._backend.remove, [found.path for found in page]))
            removed += len(page)
        await self._tries.run(errand, partial(self._backend.clear, folder))
        return removed

    async def tidy(self, before: datetime) -> None:
        """Remove what processes that were killed before then left and nobody sees: probes, and halves of uploads."""
        errand = Errand("remove", PROBES)
        probes = [found.path async for found in self.list(PROBES) if found.modified_at < before]
        if probes:
            await self._tries.run(errand, partial(self._backend.remove, probes))
        for folder in (PROBES, UPLOADS):
            await self._tries.run(Errand("remove", folder), partial(self._backend.tidy, folder, before))

    async def sign(self, path: str, expires: timedelta) -> str | None:
        """A URL that anyone may read the artifact with until `expires` from now, 7 days at most.

        None where the store can't make one: local disk and memory. Whether the artifact exists is not asked.
        """
        if not timedelta(seconds=1) <= expires <= LONGEST_SIGNATURE:
            raise InvalidInput("expires", f"{expires} is not within 1 second and 7 days")
        errand = Errand("sign", check_path(path))
        return await self._tries.run(errand, partial(self._backend.sign, path, expires))

    async def check(self) -> None:
        """Write, read and remove a probe, each tried once; raises ArtifactError."""
        path = f"{PROBES}/{self._token()}"
        await self._once.run(Errand("check", path), partial(self._probe, path))

    async def _get(self, path: str, max_bytes: int) -> bytes:
        source = await self._backend.open(path)
        if source.info.size > max_bytes:
            told = f"{path} has {source.info.size} bytes, more than the {max_bytes} wanted: stream it instead"
            raise TooLarge("path", told, limit=max_bytes)
        return b"".join([bytes(chunk) async for chunk in source.chunks])

    async def _pages(self, folder: str) -> AsyncGenerator[Sequence[ArtifactInfo], None]:
        errand = Errand("list", folder)
        pages, page = await self._tries.run(errand, partial(self._first_page, folder))
        while page:
            yield page
            page = await self._once.run(errand, partial(_next, pages))

    async def _first_page(self, folder: str) -> tuple[Pages, Sequence[ArtifactInfo]]:
        pages = self._backend.pages(folder)
        return pages, await _next(pages)

    async def _probe(self, path: str) -> None:
        await self._backend.write(path, _PROBE, "text/plain")
        try:
            found = await self._get(path, len(_PROBE))
        finally:
            await self._backend.remove([path])
        if found != _PROBE:
            raise ArtifactUnavailable(f"the artifact store gave back {found!r} for {_PROBE!r}")


def _same(path: str, version: str | None, source: Opened) -> str | None:
    if version not in (None, source.version):
        raise ArtifactUnavailable(f"{path} was replaced while it was read: read it again")
    return source.version


async def _from(chunks: AsyncIterator[bytes], start: int) -> AsyncIterator[bytes]:
    passed = 0
    async for chunk in chunks:
        fresh = bytes(chunk)[max(start - passed, 0) :]
        passed += len(chunk)
        if fresh:
            yield fresh


async def _next(pages: Pages) -> Sequence[ArtifactInfo]:
    """The next page; empty at the end, for there are no empty pages."""
    async for page in pages:
        return page
    return ()


def _create(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb")
