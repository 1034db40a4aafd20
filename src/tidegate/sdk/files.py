"""Files to and from a server. A file that did not come whole is not left behind."""

import os
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import quote

from tidegate import clock
from tidegate.core.paths import check_path
from tidegate.errors import ArtifactNotFound, InvalidInput
from tidegate.sdk.asking import Course, Means, fetch
from tidegate.sdk.exchange import Answer, Body, Broken, Request
from tidegate.sdk.values import Upload

FileLike: TypeAlias = str | os.PathLike[str] | bytes
"""A path, or what a file holds."""

QUIET: Final = 30.0
"""Seconds that a download may stand still."""

UNNAMED: Final = "upload"


async def upload(means: Means, file: FileLike, name: str | None) -> Upload:
    """Upload it. A repeat makes a second upload of the same, which nobody names and which is swept in time."""
    data = file if isinstance(file, bytes) else await means.line.do(partial(_held, file))
    called = name or (UNNAMED if isinstance(file, bytes) else Path(file).name)
    headers = {"Content-Type": "application/octet-stream", "X-File-Name": quote(called, safe="")}
    request = Request(method="POST", path="/uploads", headers=headers, content=data, repeatable=True)
    return await fetch(means, request, Upload)


async def download(means: Means, job_id: str, path: str, to: str | os.PathLike[str]) -> Path:
    """Save a job's artifact as `to`, or below it where that is a folder; where it is. Raises ArtifactNotFound."""
    target = _target(path, Path(to))
    place = f"/jobs/{job_id}/artifacts/{_checked(job_id, path)}"
    request = Request(method="GET", path=place, silence=QUIET, job_id=job_id)
    course, part = Course(means, request), Part(target)
    try:
        while True:
            async with means.line.open(request) as body:
                came = await _saved(means, body, part)
            wait = course.wait(came)
            if wait is None:
                means.check(came, request)
                await means.line.do(part.keep)
                return target
            await means.line.rest(wait)
    finally:
        part.drop()


async def _saved(means: Means, body: Body, part: "Part") -> Answer | Broken:
    """The refusal, or the answer once all of it is saved."""
    if isinstance(body.head, Broken) or not body.head.well:
        return body.head
    await means.line.do(part.begin)
    while True:
        piece = await body.read()
        if piece is None:
            return body.head
        if isinstance(piece, Broken):
            return piece
        await means.line.do(partial(part.write, piece))


class Part:
    """A file that is being made beside its place, under a name of its own."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.{clock.token()[:8]}.part")
        self._file: BinaryIO | None = None

    def begin(self) -> None:
        """Begin from the start; raises InvalidInput where it can't be written."""
        self.drop()
        try:
            self._file = self._path.open("wb")
        except OSError as exc:
            raise InvalidInput("to", f"{self._target} can't be written: {exc.strerror}") from exc

    def write(self, data: bytes) -> None:
        """Add to it."""
        assert self._file is not None
        self._file.write(data)

    def keep(self) -> None:
        """It is whole: put it in its place."""
        self._close()
        self._path.replace(self._target)

    def drop(self) -> None:
        """Leave nothing of it, if it was not kept."""
        if self._file is not None:
            self._close()
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _held(file: str | os.PathLike[str]) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as exc:
        raise InvalidInput("file", f"{file} can't be read: {exc.strerror}") from exc


def _target(path: str, to: Path) -> Path:
    return to / path.rpartition("/")[2] if to.is_dir() else to


def _checked(job_id: str, path: str) -> str:
    """A path that leads nowhere else; raises ArtifactNotFound for what no artifact is called."""
    try:
        return check_path(path)
    except InvalidInput:
        raise ArtifactNotFound(f"job {job_id} made no file {path[:200]!r}") from None
