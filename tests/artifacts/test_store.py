"""What every artifact store promises, on local disk, in memory, and on two S3 servers."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import httpx2
import pytest
from obstore.store import MemoryStore

from tests.artifacts.servers import S3Server, s3_settings
from tests.artifacts.traversals import TRAVERSALS
from tidegate.artifacts import ArtifactSettings, ArtifactStore, open_artifacts
from tidegate.artifacts.backend import ObjectBackend
from tidegate.artifacts.tries import Tries
from tidegate.core.artifact import ArtifactInfo
from tidegate.errors import ArtifactNotFound, ArtifactUnavailable, InvalidInput, TooLarge
from tidegate.ports import Artifacts

pytestmark = pytest.mark.xdist_group("artifact-stores")

BLOCK = bytes(range(256)) * 4096
"""1 MiB in which no shift goes unnoticed for long."""


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def text(store: ArtifactStore, path: str) -> bytes:
    return await store.get(path, max_bytes=100)


async def found(store: ArtifactStore, prefix: str) -> list[str]:
    return sorted([item.path async for item in store.list(prefix)])


def test_the_store_is_what_the_inside_asks_for() -> None:
    inside: Artifacts = open_artifacts(ArtifactSettings(url="memory://"))
    assert isinstance(inside, ArtifactStore)


@pytest.mark.parametrize("size", [0, 1, 3 * len(BLOCK) + 7, 6 * len(BLOCK)])
async def test_bytes_a_file_and_a_stream_are_stored_alike(store: ArtifactStore, tmp_path: Path, size: int) -> None:
    content = (BLOCK * 6)[:size]
    file = tmp_path / "content"
    file.write_bytes(content)
    for name, data in (("bytes", content), ("file", file), ("stream", pieces(content))):
        stored = await store.put(f"a/{name}", data, content_type="application/octet-stream")
        assert stored.path == f"a/{name}"
        assert stored.size == size
        assert stored.sha256 == hashlib.sha256(content).hexdigest()
        assert await store.get(f"a/{name}", max_bytes=size) == content


async def test_a_stream_and_a_download_give_the_same_bytes(store: ArtifactStore, tmp_path: Path) -> None:
    content = BLOCK * 3 + b"end"
    await store.put("a/b", content, content_type="text/plain")
    assert b"".join([chunk async for chunk in store.stream("a/b")]) == content
    await store.download("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "copy.part").exists()


async def test_a_put_replaces_what_was_there(store: ArtifactStore) -> None:
    await store.put("a/b", b"a longer first text", content_type="text/plain")
    await store.put("a/b", b"second", content_type="text/plain")
    assert await text(store, "a/b") == b"second"


async def test_a_put_whose_source_fails_stores_nothing(store: ArtifactStore) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield BLOCK * 2
        raise RuntimeError("the sender went away")

    with pytest.raises(RuntimeError, match="went away"):
        await store.put("a/b", failing(), content_type="text/plain")
    assert await store.head("a/b") is None
    assert await found(store, "a") == []


async def test_a_missing_file_to_put_is_the_caller_s_error(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await store.put("a/b", tmp_path / "none", content_type="text/plain")


async def test_what_is_not_there_is_not_found(store: ArtifactStore, tmp_path: Path) -> None:
    await store.put("a/file", b"", content_type="text/plain")
    for path in ("none", "a", "a/none", "a/file/below"):
        with pytest.raises(ArtifactNotFound, match=f"no artifact {path}"):
            await text(store, path)
        with pytest.raises(ArtifactNotFound):
            [chunk async for chunk in store.stream(path)]
        with pytest.raises(ArtifactNotFound):
            await store.download(path, tmp_path / "copy")
        assert await store.head(path) is None
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "copy.part").exists()


async def test_get_refuses_more_than_its_bound_and_says_both_sizes(store: ArtifactStore) -> None:
    await store.put("a/b", b"12345", content_type="text/plain")
    assert await store.get("a/b", max_bytes=5) == b"12345"
    with pytest.raises(TooLarge, match="5 bytes, more than the 4") as caught:
        await store.get("a/b", max_bytes=4)
    assert caught.value.limit == 4


async def test_head_tells_size_age_and_the_type_where_the_store_keeps_it(
    store: ArtifactStore, settings: ArtifactSettings
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 counts whole seconds
    await store.put("a/b", b"12345", content_type="text/csv; charset=utf-8")
    info = await store.head("a/b")
    assert isinstance(info, ArtifactInfo)
    assert (info.path, info.size) == ("a/b", 5)
    assert before <= info.modified_at <= datetime.now(UTC) + timedelta(seconds=2)
    on_disk = settings.url.startswith("/")
    assert info.content_type == (None if on_disk else "text/csv; charset=utf-8")


async def test_list_shows_what_is_below_a_folder_and_no_namesake(store: ArtifactStore) -> None:
    for path in ("a/1", "a/b/2", "a/b/c/3", "ab/4", "a.5"):
        await store.put(path, b"x", content_type="text/plain")
    assert await found(store, "a") == ["a/1", "a/b/2", "a/b/c/3"]
    assert await found(store, "a/") == ["a/1", "a/b/2", "a/b/c/3"]
    assert await found(store, "a/b") == ["a/b/2", "a/b/c/3"]
    assert await found(store, "none") == []


async def test_delete_prefix_removes_and_counts_what_is_below_and_nothing_else(store: ArtifactStore) -> None:
    for path in ("a/1", "a/b/2", "a/b/c/3", "ab/4"):
        await store.put(path, b"x", content_type="text/plain")
    assert await store.delete_prefix("a/b/") == 2
    assert await found(store, "a") == ["a/1"]
    assert await store.delete_prefix("a") == 1
    assert await store.delete_prefix("a") == 0
    assert await text(store, "ab/4") == b"x"


async def test_list_and_delete_prefix_go_through_every_page(store: ArtifactStore) -> None:
    paths = [f"many/{number:03}" for number in range(120)]  # obstore's pages have 50
    for path in paths:
        await store.put(path, b"x", content_type="text/plain")
    assert await found(store, "many") == paths
    assert await store.delete_prefix("many") == 120
    assert await found(store, "many") == []


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_every_verb_refuses_it_before_the_store_is_asked(path: str, tmp_path: Path) -> None:
    store = open_artifacts(ArtifactSettings(url="memory://"))
    with pytest.raises(InvalidInput):
        await store.put(path, b"x", content_type="text/plain")
    with pytest.raises(InvalidInput):
        await store.get(path, max_bytes=1)
    with pytest.raises(InvalidInput):
        await anext(store.stream(path))
    with pytest.raises(InvalidInput):
        await store.download(path, tmp_path / "copy")
    with pytest.raises(InvalidInput):
        await store.head(path)


@pytest.mark.parametrize("prefix", ["", "/", "..", "a//", "a/../b"])
async def test_nothing_is_deleted_or_listed_below_no_folder_at_all(prefix: str) -> None:
    store = open_artifacts(ArtifactSettings(url="memory://"))
    await store.put("kept", b"x", content_type="text/plain")
    with pytest.raises(InvalidInput):
        await store.delete_prefix(prefix)
    with pytest.raises(InvalidInput):
        await found(store, prefix)
    assert await text(store, "kept") == b"x"


@pytest.mark.parametrize("content_type", ["", "text", "text/plain\r\nX-Evil: 1", "text/ plain", "t/" + "x" * 255])
async def test_a_content_type_that_is_none_is_refused(store: ArtifactStore, content_type: str) -> None:
    with pytest.raises(InvalidInput, match="content_type"):
        await store.put("a/b", b"x", content_type=content_type)
    assert await store.head("a/b") is None


async def test_check_leaves_nothing_behind(store: ArtifactStore) -> None:
    await store.check()
    await store.check()
    assert await found(store, "probes") == []


class Garbling(ObjectBackend):
    """A store that keeps other bytes than it was given."""

    async def write(self, path: str, body: bytes | IO[bytes], content_type: str) -> None:
        await super().write(path, b"garbled!", content_type)


async def test_check_compares_what_it_reads_with_what_it_wrote() -> None:
    once = Tries(1, ArtifactSettings(url="memory://").backoff, dice=lambda: 0.5, sleep=asyncio.sleep)
    store = ArtifactStore(Garbling(MemoryStore()), once, once=once, token=lambda: "probe")
    with pytest.raises(ArtifactUnavailable, match="gave back b'garbled!'"):
        await store.check()


async def test_a_signed_url_reads_one_artifact_and_no_other(s3_server: S3Server) -> None:
    store = open_artifacts(s3_settings(s3_server.url))
    await store.put("a/b", b"yours", content_type="text/plain")
    await store.put("a/c", b"not yours", content_type="text/plain")
    url = await store.sign("a/b", timedelta(minutes=5))
    assert url is not None
    answer = httpx2.get(url)
    assert (answer.content, answer.headers["content-type"]) == (b"yours", "text/plain")
    if s3_server.verifies:
        assert httpx2.get(url.replace("a/b", "a/c")).status_code == 403


async def test_a_store_without_a_server_signs_nothing(tmp_path: Path) -> None:
    for url in (str(tmp_path), "memory://"):
        store = open_artifacts(ArtifactSettings(url=url))
        await store.put("a/b", b"x", content_type="text/plain")
        assert await store.sign("a/b", timedelta(minutes=5)) is None


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1)])
async def test_a_signature_lasts_between_a_second_and_a_week(expires: timedelta) -> None:
    store = open_artifacts(ArtifactSettings(url="memory://"))
    with pytest.raises(InvalidInput, match="expires"):
        await store.sign("a/b", expires)
