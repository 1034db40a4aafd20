"""Artifacts in a folder of this machine: private, durable, and never beyond a symbolic link."""

import asyncio
import math
import os
import re
import shutil
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final, TypeAlias

from obstore.store import LocalStore

from tidegate.artifacts.backend import AT_ONCE, CHUNK, Opened, info, opened
from tidegate.core.artifact import ArtifactInfo
from tidegate.core.paths import check_path
from tidegate.errors import ArtifactRefused, InvalidInput

Walk: TypeAlias = Iterator[tuple[str, list[str], list[str]]]

_PART: Final = re.compile(r".+#[0-9]+")
"""What obstore calls a file until it is whole and renamed."""


class DiskBackend:
    """A folder. obstore writes beside the target and renames, so no reader sees a part; we add the rest.

    Modes are 0700 and 0600 for all that is made here. A write returns after fsync of the file and of its
    folder: a result that the engine has committed outlives a power cut. A symbolic link below the root is
    refused, wherever it leads (the root itself may be one): obstore would follow it out of the root. That is
    looked at before each call and not held during it, so it stops links that handlers or restores leave
    behind, not a local attacker, who would need this process' own user to get into the root.
    """

    def __init__(self, root: Path) -> None:
        """Make `root` when it is missing; raises OSError."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve(strict=True)
        self._store = LocalStore(self._root, automatic_cleanup=True)

    async def write(self, path: str, body: bytes | IO[bytes], content_type: str) -> None:
        """Write, then fsync. The content type is not kept: files have none."""
        del content_type
        await asyncio.to_thread(self._prepare, path)
        await self._store.put_async(path, body, chunk_size=CHUNK, max_concurrency=AT_ONCE)
        await asyncio.to_thread(self._seal, path)

    async def open(self, path: str) -> Opened:
        """Begin to read."""
        await asyncio.to_thread(self._refuse_links, path)
        return await opened(self._store, path)

    async def head(self, path: str) -> ArtifactInfo:
        """Size and age."""
        await asyncio.to_thread(self._refuse_links, path)
        return info(await self._store.head_async(path))

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[ArtifactInfo]]:
        """A page a folder. Walked here, for obstore would follow links, round in circles too."""
        walk = os.walk(self._root / prefix, onerror=_raise_unless_gone)
        while (page := await asyncio.to_thread(self._next_page, prefix, walk)) is not None:
            if page:
                yield page

    async def remove(self, paths: Sequence[str]) -> None:
        """Delete files, and the folders that this leaves empty."""
        for path in paths:
            await asyncio.to_thread(self._refuse_links, path)
            with suppress(FileNotFoundError):
                await self._store.delete_async(path)

    async def clear(self, prefix: str) -> None:
        """Remove the folder with the parts of writes that a crash cut short."""
        await asyncio.to_thread(self._refuse_links, prefix)
        await asyncio.to_thread(shutil.rmtree, self._root / prefix, ignore_errors=True)

    async def tidy(self, prefix: str, before: datetime) -> None:
        """Remove old parts of writes, and old folders with nothing in them."""
        await asyncio.to_thread(self._tidy, prefix, before.timestamp())

    async def sign(self, path: str, expires: timedelta) -> str | None:
        """None: a folder has no server that could honour it."""
        del path, expires
        return None

    def _prepare(self, path: str) -> None:
        self._refuse_links(path)
        folder = self._root
        for segment in path.split("/")[:-1]:
            parent, folder = folder, folder / segment
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                _fsync(parent)

    def _seal(self, path: str) -> None:
        # fsync after the rename is soon enough: until `write` returns, nobody has been told of the file.
        file = self._root / path
        file.chmod(0o600)
        _fsync(file)
        _fsync(file.parent)

    def _refuse_links(self, path: str) -> None:
        if self._has_link(path):
            raise ArtifactRefused(f"a symbolic link is on the way to artifact {path}: remove the link")

    def _has_link(self, path: str) -> bool:
        here = self._root
        for segment in path.split("/"):
            here = here / segment
            try:
                mode = here.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return False
            if stat.S_ISLNK(mode):
                return True
        return False

    def _next_page(self, prefix: str, walk: Walk) -> list[ArtifactInfo] | None:
        if self._has_link(prefix):
            return None
        for folder, _, names in walk:
            found = [self._found(Path(folder, name)) for name in names]
            return [info for info in found if info is not None]
        return None

    def _tidy(self, prefix: str, before: float) -> None:
        if self._has_link(prefix):
            return
        walk = os.walk(self._root / prefix, onerror=_raise_unless_gone)
        folders = [(Path(folder), names, _changed(Path(folder))) for folder, _, names in walk]
        for folder, names, changed in reversed(folders):  # what is inside first
            for part in (folder / name for name in names if _PART.fullmatch(name)):
                if _changed(part) < before:
                    part.unlink(missing_ok=True)
            if changed < before:
                with suppress(OSError):  # where something is in it, it stays
                    folder.rmdir()

    def _found(self, file: Path) -> ArtifactInfo | None:
        """None for what no `put` can have made: a link, a part of an unfinished write, a stranger's file."""
        path = file.relative_to(self._root).as_posix()
        with suppress(InvalidInput, FileNotFoundError):
            status = file.lstat()
            if stat.S_ISREG(status.st_mode):
                modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
                return ArtifactInfo(path=check_path(path), size=status.st_size, modified_at=modified_at)
        return None


def _raise_unless_gone(fault: OSError) -> None:
    if not isinstance(fault, FileNotFoundError | NotADirectoryError):
        raise fault


def _changed(path: Path) -> float:
    """When it was changed last; where it is gone, never long ago."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return math.inf


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
