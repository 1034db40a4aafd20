"""Files that users send in: kept apart by user, named by an opaque reference, gone after a while.

An upload is two artifacts: its bytes, and a description beside them that is written last.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from tidegate.artifacts.store import ArtifactStore
from tidegate.core.paths import UPLOADS, upload_meta_path, upload_path
from tidegate.errors import ArtifactNotFound, UploadTooLarge
from tidegate.ports import Artifacts

NAME_LIMIT: Final = 255
"""Characters kept of a file's name, as file systems do."""

_META_LIMIT: Final = 65_536
_REFERENCE: Final = re.compile(r"upload:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_SWEPT: Final = re.compile(r"uploads/[0-9a-f]{32}/[0-9a-f-]{36}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What is said of a file before its bytes arrive. `upload_id` is a fresh UUID in canonical form.

    `name` and `content_type` are the sender's words: never part of a path, and never served as they are.
    """

    upload_id: str
    name: str
    user_id: str
    content_type: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A received file. `path` is where its bytes are in the artifact store; `sha256` is in hex."""

    upload_id: str
    name: str
    size: int
    sha256: str
    user_id: str
    content_type: str
    created_at: datetime
    path: str

    @property
    def reference(self) -> str:
        """What a job's payload names the file by; worthless to any other user."""
        return f"upload:{self.upload_id}"


async def receive(store: Artifacts, chunks: AsyncIterator[bytes], incoming: Incoming, *, limit: int) -> Upload:
    """Store a file as it streams in.

    Raises UploadTooLarge as soon as more than `limit` bytes have come; whatever fails, nothing that
    `resolve` would find is left behind. Raises ArtifactError.
    """
    path = upload_path(incoming.upload_id, incoming.user_id)
    # As plain bytes, whatever the sender calls them: a store that serves files must not run this one.
    stored = await store.put(path, _bounded(chunks, limit), content_type="application/octet-stream")
    upload = Upload(
        upload_id=incoming.upload_id,
        name=_clean(incoming.name)[:NAME_LIMIT],
        size=stored.size,
        sha256=stored.sha256,
        user_id=_clean(incoming.user_id),
        content_type=_clean(incoming.content_type)[:NAME_LIMIT],
        created_at=incoming.created_at,
        path=path,
    )
    meta_path = upload_meta_path(incoming.upload_id, incoming.user_id)
    await store.put(meta_path, msgspec.json.encode(upload), content_type="application/json")
    return upload


async def resolve(store: Artifacts, reference: str, *, user_id: str) -> Upload:
    """The upload that `reference` names.

    Raises ArtifactNotFound, in the same words, when it is malformed, unknown, swept or another user's.
    """
    found = _REFERENCE.fullmatch(reference)
    missing = ArtifactNotFound(f"no upload {reference[:80]!r} is known here: upload the file again")
    if found is None:
        raise missing
    try:
        meta = await store.get(upload_meta_path(found[1], user_id), max_bytes=_META_LIMIT)
    except ArtifactNotFound:
        raise missing from None
    return msgspec.json.decode(meta, type=Upload)


async def sweep_uploads(store: ArtifactStore, older_than: datetime) -> int:
    """Remove every upload from before `older_than`, whoever may still name it; how many there were.

    What is left of those that a killed process was receiving goes too.
    """
    old: set[str] = set()
    async for found in store.list(UPLOADS):
        folder = _SWEPT.match(found.path)
        if folder is not None and found.modified_at < older_than:
            old.add(folder[0])
    for folder_path in sorted(old):
        await store.delete_prefix(folder_path)
    await store.tidy(older_than)
    return len(old)


async def _bounded(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise UploadTooLarge("file", f"the file is over the {limit} bytes that are allowed", limit=limit)
        yield chunk


def _clean(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
