"""`POST /uploads`: a file, as a multipart field or as the body itself, streamed into the artifact store."""

import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import unquote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tidegate import clock
from tidegate.artifacts import uploads
from tidegate.artifacts.uploads import Incoming
from tidegate.core.ids import uuid7
from tidegate.errors import InvalidInput, UploadTooLarge
from tidegate.http.face import Face, UserId, told
from tidegate.http.openapi import refusals
from tidegate.http.requests.multipart import FIELD, MultipartFile
from tidegate.http.requests.reading import announced, refuse_encoded, timed
from tidegate.http.schemas.jobs import UploadReceived

OVERHEAD: Final = 64 * 1024
"""Bytes of a multipart body that are not the file: boundaries, headers, other fields."""

_UNNAMED: Final = "upload"

_BODY: Final = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {FIELD: {"minLength": 1, "contentMediaType": "application/octet-stream"}},
                "required": [FIELD],
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "minLength": 1}},
    },
}
_FILE_NAME: Final = {
    "name": "X-File-Name",
    "in": "header",
    "description": "The file's name where the body is the file itself; may be percent-encoded.",
    "schema": {"type": "string"},
    "example": "sales.csv",
}


class UploadRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def receive(self, request: Request, user_id: UserId) -> Response:
        """Upload a file; the answer's `file` is what a job's payload names it by."""
        await self._face.count_post(request)
        refuse_encoded(request)
        limit = self._face.settings.upload_limit
        if announced(request) > limit + OVERHEAD:
            raise _too_large(limit)
        name, content_type, chunks = await _opened(request, limit)
        incoming = Incoming(
            upload_id=uuid7(*clock.new_id_parts()),
            name=_base_name(name),
            user_id=user_id,
            content_type=content_type,
            created_at=self._face.system.clock.now(),
        )
        stored = await uploads.receive(self._face.system.artifacts, _not_empty(chunks), incoming, limit=limit)
        made = UploadReceived(file=stored.reference, name=stored.name, size=stored.size, sha256=stored.sha256)
        return told(made, 201)


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`."""
    router.add_api_route(
        "/uploads",
        UploadRoutes(face).receive,
        methods=["POST"],
        status_code=201,
        response_model=UploadReceived,
        responses=refusals(400, 413, 415, 422, 429, 503),
        openapi_extra={"requestBody": _BODY, "parameters": [_FILE_NAME]},
        tags=["uploads"],
    )


async def _opened(request: Request, limit: int) -> tuple[str, str, AsyncIterator[bytes]]:
    """The file's name, its content type and its bytes to come."""
    content_type = request.headers.get("content-type", "")
    body = _bounded(timed(request), limit)
    if content_type.lower().startswith("multipart/"):
        file = MultipartFile(content_type, body)
        await file.open()
        return file.name, file.content_type, file.chunks()
    return unquote(request.headers.get("x-file-name", "")), content_type, body


async def _bounded(body: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """The body, as long as it can be a file of `limit` bytes with what goes around it."""
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > limit + OVERHEAD:
            raise _too_large(limit)
        yield chunk


async def _not_empty(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    empty = True
    async for chunk in chunks:
        empty = empty and not chunk
        yield chunk
    if empty:
        raise InvalidInput(FIELD, "is empty: send the file as the multipart field `file`, or as the body itself")


def _too_large(limit: int) -> UploadTooLarge:
    return UploadTooLarge(FIELD, f"the file is over the {limit} bytes that are allowed", limit=limit)


def _base_name(name: str) -> str:
    """The name without folders of the sender's machine and without what can't be shown; dots alone are none."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(letter for letter in last if letter.isprintable()).strip()
    return shown if shown.strip(".") else _UNNAMED
