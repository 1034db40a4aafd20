"""Routes that hand out what jobs made: the result, and the files below the result's folder."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from mimetypes import MimeTypes
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tidegate.artifacts import ArtifactStore
from tidegate.core.artifact import ArtifactInfo
from tidegate.core.job import Job, Status
from tidegate.core.paths import ERROR, job_prefix
from tidegate.errors import ArtifactNotFound, InvalidInput, JobCancelled, JobFailed
from tidegate.http.face import Face, Viewer, place, told
from tidegate.http.openapi import Object, refusals
from tidegate.http.problems import NO_RESULT, NOT_FINISHED, Refusal
from tidegate.http.requests.parameters import ResultAsked
from tidegate.http.routes.jobs import TAGS, JobPath
from tidegate.http.schemas.jobs import ArtifactItem, ArtifactList
from tidegate.http.schemas.views import Link

MOST_LISTED = 1_000
"""Files in one listing; a job that makes more should pack them."""

_SANDBOX = {"Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'"}
"""What a job made is somebody's data: a browser shall run nothing of it."""

_TYPES = MimeTypes()
"""What a file's name says of its type, the same on every machine: a local folder keeps no content types."""

SIGNED_FOR: Final = timedelta(seconds=60)
"""How long a redirect's URL is good for: it need only be followed."""

Asked = Annotated[ResultAsked, Query()]

_MOVED: Final[dict[int | str, Object]] = {
    307: {"description": "It is at `Location` for a minute, where `redirect` asks."}
}

FilePath = Annotated[str, Path(description="The file's `path` in the listing.", examples=["charts/trend.png"])]


class ResultRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def result(self, viewer: Viewer, job_id: JobPath, asked: Asked) -> Response:
        """Get what the job returned.

        409 while it has not succeeded, 404 where it returned nothing.
        """
        job = await self._face.client.get(job_id, user_id=viewer)
        _check_succeeded(job)
        body = await self._face.client.body(job)
        if body.result is not None:
            return Response(body.result, media_type="application/json", headers=_SANDBOX)
        if job.result_path is None:
            raise Refusal(NO_RESULT, f"job {job.id} succeeded and returned nothing")
        return await self._handed(job.result_path, {}, asked)

    async def artifacts(self, request: Request, viewer: Viewer, job_id: JobPath) -> Response:
        """List the files that the job made, by path.

        One that failed has `error.json`, which says why, and no other.
        """
        job = await self._face.client.get(job_id, user_id=viewer)
        folder = _folder(job)
        found: list[ArtifactInfo] = []
        if folder is not None:
            async for info in self._face.system.artifacts.list(folder):
                found.append(info)
                if len(found) == MOST_LISTED:
                    break
        elif (error := await self._error(job)) is not None:
            folder, found = error.path.rpartition("/")[0], [error]
        link = partial(place, request)
        items = [_item(info, info.path[len(folder or "") + 1 :], job, link) for info in found]
        return told(ArtifactList(items=sorted(items, key=lambda item: item.path)))

    async def artifact(self, viewer: Viewer, job_id: JobPath, path: FilePath, asked: Asked) -> Response:
        """Get a file that the job made."""
        job = await self._face.client.get(job_id, user_id=viewer)
        folder = _folder(job)
        missing = ArtifactNotFound(f"job {job.id} made no file {path[:200]!r}")
        if path == ERROR and (error := await self._error(job)) is not None:
            folder = error.path.rpartition("/")[0]
        if folder is None:
            raise missing
        name = path.rpartition("/")[2]
        try:
            # The store takes plain names joined by slashes only, so this can't leave the folder.
            disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
            return await self._handed(f"{folder}/{path}", disposition, asked)
        except (InvalidInput, ArtifactNotFound):
            raise missing from None

    async def _error(self, job: Job) -> ArtifactInfo | None:
        """What the last run of a failed job left to say why: the newest, where two owners of that run did."""
        if job.status is not Status.FAILED:
            return None
        every = self._face.system.artifacts.list(job_prefix(job.id))
        found = [info async for info in every if _tells_why(info.path, f"{job_prefix(job.id)}{job.counters.runs}-")]
        return max(found, key=lambda info: info.modified_at, default=None)

    async def _handed(self, path: str, headers: dict[str, str], asked: ResultAsked) -> Response:
        """A file, or the place where the client gets it without us."""
        store = self._face.system.artifacts
        info = await store.head(path)
        if info is None:
            raise ArtifactNotFound(f"the file {path} is gone")
        url = await store.sign(path, SIGNED_FOR) if asked.redirect else None
        return await _streamed(store, info, headers) if url is None else Response(None, 307, {"Location": url})


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`."""
    results = ResultRoutes(face)
    one = "/jobs/{job_id}"
    missing = refusals(400, 404, 503)
    router.add_api_route(
        f"{one}/result",
        results.result,
        response_class=JSONResponse,
        responses={
            200: {"content": {"application/json": {"schema": {}}}},
            **_MOVED,
            **refusals(400, 404, 409, 422, 503),
        },
        tags=TAGS,
    )
    router.add_api_route(
        f"{one}/artifacts", results.artifacts, response_model=ArtifactList, responses=missing, tags=TAGS
    )
    router.add_api_route(
        f"{one}/artifacts/{{path:path}}",
        results.artifact,
        response_class=Response,
        responses={200: {"description": "The file.", "content": {"*/*": {}}}, **_MOVED, **refusals(400, 404, 422, 503)},
        tags=TAGS,
    )


def _check_succeeded(job: Job) -> None:
    match job.status:
        case Status.SUCCEEDED:
            return
        case Status.FAILED:
            code, message = (job.error.code, job.error.message) if job.error else ("failed", "")
            raise JobFailed(job.id, code, message)
        case Status.CANCELLED:
            raise JobCancelled(job.id)
        case _:
            raise Refusal(NOT_FINISHED, f"job {job.id} is still {job.status}", job_id=job.id, job_status=job.status)


def _folder(job: Job) -> str | None:
    return job.result_path.rpartition("/")[0] if job.result_path is not None else None


def _tells_why(path: str, run: str) -> bool:
    """Whether it is the error of a run, whose folder begins so."""
    folder, _, name = path.rpartition("/")
    return name == ERROR and folder.startswith(run) and "/" not in folder.removeprefix(run)


def _item(info: ArtifactInfo, path: str, job: Job, link: Link) -> ArtifactItem:
    url = link(f"/jobs/{job.id}/artifacts/{path}")
    return ArtifactItem(path=path, size=info.size, modified_at=info.modified_at, url=url)


async def _streamed(store: ArtifactStore, info: ArtifactInfo, headers: dict[str, str]) -> Response:
    """An artifact, piece by piece; its first piece is read before the answer begins, so faults can be told."""
    chunks = store.stream(info.path)
    first = await anext(chunks, b"")
    return StreamingResponse(
        _joined(first, chunks),
        media_type=info.content_type or _TYPES.guess_type(info.path)[0] or "application/octet-stream",
        headers={**_SANDBOX, "Content-Length": str(info.size), **headers},
    )


async def _joined(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk
