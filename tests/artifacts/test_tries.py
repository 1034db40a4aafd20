"""Three tries, each from the first byte, through a proxy that fails on command."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.artifacts import servers
from tests.artifacts.servers import s3_settings
from tests.artifacts.waits import Waits
from tests.faults.http_proxy import Answer, CutRequest, CutResponse, Fault, FaultyProxy, Hang, LoseResponse, Seen
from tidegate.artifacts import ArtifactStore, open_artifacts
from tidegate.errors import ArtifactRefused, ArtifactUnavailable

pytestmark = pytest.mark.xdist_group("artifact-stores")

MIB = bytes(range(256)) * 4096
SMALL, SPOOLED, MULTIPART = MIB[:1000], MIB * 2 + b"odd", MIB * 6 + b"odd"
"""Kept in memory; spooled to a file; above the 5 MiB from which a put has several requests."""

Make = Callable[[bytes, Path], bytes | AsyncIterator[bytes] | Path]


def as_bytes(content: bytes, folder: Path) -> bytes:
    return content


def as_file(content: bytes, folder: Path) -> Path:
    (folder / "source").write_bytes(content)
    return folder / "source"


async def as_stream(content: bytes, folder: Path) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


def carries_a_body(seen: Seen) -> bool:
    return seen.method == "PUT"


@pytest.mark.parametrize("content", [SMALL, SPOOLED, MULTIPART], ids=["small", "spooled", "multipart"])
@pytest.mark.parametrize("make", [as_bytes, as_file, as_stream])
async def test_after_two_failed_uploads_the_third_stores_every_byte(
    behind: ArtifactStore, proxy: FaultyProxy, tmp_path: Path, make: Make, content: bytes
) -> None:
    proxy.fail(Answer(503), CutRequest(after=500), when=carries_a_body)
    stored = await behind.put("a/b", make(content, tmp_path), content_type="text/plain")
    assert proxy.spent
    assert stored.size == len(content)
    assert await behind.get("a/b", max_bytes=len(content)) == content


async def test_after_three_failed_uploads_the_store_is_unavailable(
    behind: ArtifactStore, proxy: FaultyProxy, waits: Waits
) -> None:
    proxy.fail(*[Answer(503)] * 10)
    with pytest.raises(ArtifactUnavailable, match=r"write a/b .* answered 503 SlowDown \(tries: 3\)"):
        await behind.put("a/b", SMALL, content_type="text/plain")
    assert len(proxy.seen) == 3  # the driver's own retries, were they on, would show here
    assert waits == [0.5, 1.0]
    proxy.fail()
    assert await behind.head("a/b") is None


async def test_jitter_spreads_the_waits_by_a_tenth(proxy: FaultyProxy, waits: Waits) -> None:
    store = open_artifacts(s3_settings(proxy.url), dice=lambda: 0.0, sleep=waits.sleep)
    proxy.fail(*[Answer(500)] * 3)
    with pytest.raises(ArtifactUnavailable):
        await store.put("a/b", SMALL, content_type="text/plain")
    assert waits == pytest.approx([0.45, 0.9])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412])
async def test_what_the_store_refuses_is_not_tried_again(
    behind: ArtifactStore, proxy: FaultyProxy, waits: Waits, status: int
) -> None:
    proxy.fail(*[Answer(status)] * 3)
    with pytest.raises(ArtifactRefused, match=f"answered {status}"):
        await behind.put("a/b", SMALL, content_type="text/plain")
    assert len(proxy.seen) == 1
    assert waits == []


async def test_a_redirect_says_that_the_region_is_wrong(behind: ArtifactStore, proxy: FaultyProxy) -> None:
    proxy.fail(*[Answer(301)] * 3)
    with pytest.raises(ArtifactRefused, match="region is probably wrong"):
        await behind.put("a/b", SMALL, content_type="text/plain")
    assert len(proxy.seen) == 1


@pytest.mark.parametrize(
    "fault", [Answer(500), Answer(503), Answer(429), Answer(408), CutRequest(), LoseResponse()], ids=repr
)
async def test_what_may_pass_is_tried_again(behind: ArtifactStore, proxy: FaultyProxy, fault: Fault) -> None:
    proxy.fail(fault)
    await behind.put("a/b", SMALL, content_type="text/plain")
    assert len(proxy.seen) == 2
    assert await behind.get("a/b", max_bytes=1000) == SMALL


async def test_a_store_that_falls_silent_is_given_up_and_tried_again(proxy: FaultyProxy, waits: Waits) -> None:
    settings = replace(s3_settings(proxy.url), timeout=timedelta(seconds=0.3))
    store = open_artifacts(settings, dice=lambda: 0.5, sleep=waits.sleep)
    proxy.fail(Hang())
    await store.put("a/b", SMALL, content_type="text/plain")
    assert len(proxy.seen) == 2
    assert await store.get("a/b", max_bytes=1000) == SMALL


async def by_get(store: ArtifactStore, folder: Path) -> bytes:
    return await store.get("a/b", max_bytes=len(MULTIPART))


async def by_stream(store: ArtifactStore, folder: Path) -> bytes:
    return b"".join([chunk async for chunk in store.stream("a/b")])


async def by_download(store: ArtifactStore, folder: Path) -> bytes:
    await store.download("a/b", folder / "copy")
    return content_of(folder / "copy")


READS = pytest.mark.parametrize("read", [by_get, by_stream, by_download])
Read = Callable[[ArtifactStore, Path], Awaitable[bytes]]


@READS
async def test_a_download_that_breaks_twice_still_gives_every_byte_once(
    behind: ArtifactStore, proxy: FaultyProxy, tmp_path: Path, read: Read
) -> None:
    await behind.put("a/b", MULTIPART, content_type="text/plain")
    proxy.fail(CutResponse(after=3_000_000), CutResponse(after=1_500_000))
    assert await read(behind, tmp_path) == MULTIPART
    assert len(proxy.seen) == 3


@READS
async def test_a_download_that_breaks_three_times_fails_and_leaves_no_file(
    behind: ArtifactStore, proxy: FaultyProxy, tmp_path: Path, read: Read
) -> None:
    await behind.put("a/b", SPOOLED, content_type="text/plain")
    proxy.fail(*[CutResponse(after=1_200_000)] * 3)
    with pytest.raises(ArtifactUnavailable, match="read a/b"):
        await read(behind, tmp_path)
    assert len(proxy.seen) == 3
    assert files_in(tmp_path) == []


async def test_a_stream_never_joins_two_versions_of_an_artifact(behind: ArtifactStore, proxy: FaultyProxy) -> None:
    await behind.put("a/b", SPOOLED, content_type="text/plain")
    proxy.fail(CutResponse(after=1_200_000))
    chunks = behind.stream("a/b")
    assert SPOOLED.startswith(await anext(chunks))
    await behind.put("a/b", SPOOLED[::-1], content_type="text/plain")
    with pytest.raises(ArtifactUnavailable, match="replaced while it was read"):
        [chunk async for chunk in chunks]


async def test_every_other_verb_is_tried_again_too(behind: ArtifactStore, proxy: FaultyProxy) -> None:
    for verb in (
        lambda: behind.head("a/b"),
        lambda: collect_paths(behind, "a"),
        lambda: behind.delete_prefix("a"),
    ):
        await behind.put("a/b", SMALL, content_type="text/plain")
        proxy.fail(Answer(503), Answer(503))
        assert await verb()
        assert proxy.spent
        proxy.fail(*[Answer(503)] * 3)
        with pytest.raises(ArtifactUnavailable):
            await verb()
        proxy.fail()


async def test_a_failed_removal_is_tried_again_and_counted_once(behind: ArtifactStore, proxy: FaultyProxy) -> None:
    await behind.put("a/b", SMALL, content_type="text/plain")
    proxy.fail(LoseResponse(), when=lambda seen: seen.method == "POST")
    assert await behind.delete_prefix("a") == 1
    assert await collect_paths(behind, "a") == []


async def test_a_listing_that_breaks_midway_says_so_instead_of_ending_early(tmp_path: Path, waits: Waits) -> None:
    with servers.rclone(tmp_path) as crowded:
        fill(tmp_path / servers.BUCKET / "crowd" / "a", files=1_100)  # S3 answers 1,000 a page
        async with FaultyProxy.before(crowded.port) as proxy:
            settings = replace(s3_settings(proxy.url), url=f"s3://{servers.BUCKET}/crowd")
            store = open_artifacts(settings, sleep=waits.sleep)
            proxy.fail(Answer(503), when=lambda seen: "continuation-token" in seen.target)
            with pytest.raises(ArtifactUnavailable, match="could not list a"):
                await collect_paths(store, "a")
            assert len(await collect_paths(store, "a")) == 1_100
            assert await store.delete_prefix("a") == 1_100
            assert await collect_paths(store, "a") == []


async def test_check_is_tried_once_and_says_what_is_wrong(
    behind: ArtifactStore, proxy: FaultyProxy, waits: Waits
) -> None:
    proxy.fail(Answer(503))
    with pytest.raises(ArtifactUnavailable, match=r"could not check probes/.* answered 503"):
        await behind.check()
    proxy.fail(Answer(403))
    with pytest.raises(ArtifactRefused, match="403 AccessDenied"):
        await behind.check()
    assert waits == []
    await behind.check()


async def test_check_fails_where_removing_is_forbidden(behind: ArtifactStore, proxy: FaultyProxy) -> None:
    proxy.fail(Answer(403), when=lambda seen: seen.method in ("POST", "DELETE"))
    with pytest.raises(ArtifactRefused, match="403"):
        await behind.check()


def content_of(file: Path) -> bytes:
    return file.read_bytes()


def fill(folder: Path, *, files: int) -> None:
    folder.mkdir(parents=True)
    for number in range(files):
        (folder / f"{number:04}").touch()


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def collect_paths(store: ArtifactStore, prefix: str) -> list[str]:
    return [found.path async for found in store.list(prefix)]
