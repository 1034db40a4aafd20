"""What local disk adds: private files, whole or not at all, on the disk, and no way out by a link."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.artifacts import ArtifactSettings, ArtifactStore, open_artifacts
from tidegate.artifacts.uploads import sweep_uploads
from tidegate.errors import ArtifactRefused

MIB = 1_048_576


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "artifacts"


@pytest.fixture
def store(root: Path) -> ArtifactStore:
    return open_artifacts(ArtifactSettings(url=root.as_uri()))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the root, with one file that nobody may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(b"precious")
    return folder


@pytest.fixture
def planted(root: Path, store: ArtifactStore, outside: Path) -> Path:
    """The root, with links in it that lead out."""
    (root / "folder").symlink_to(outside)
    (root / "jobs").mkdir()
    (root / "jobs" / "file").symlink_to(outside / "precious")
    (root / "jobs" / "up").symlink_to("../..")
    (root / "jobs" / "dangling").symlink_to(outside / "new")
    return root


LINKED = ["folder/precious", "folder/new", "jobs/file", "jobs/up/outside/precious", "jobs/dangling"]


@pytest.mark.parametrize("path", LINKED)
async def test_no_verb_follows_a_link_out_of_the_root(
    store: ArtifactStore, planted: Path, outside: Path, tmp_path: Path, path: str
) -> None:
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        await store.put(path, b"evil", content_type="text/plain")
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        await store.get(path, max_bytes=100)
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        await store.download(path, tmp_path / "copy")
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        await store.head(path)
    assert contents(outside) == {"precious": b"precious"}


async def test_listing_and_deleting_pass_links_by(store: ArtifactStore, planted: Path, outside: Path) -> None:
    await store.put("jobs/own", b"x", content_type="text/plain")
    assert [found.path async for found in store.list("jobs")] == ["jobs/own"]
    assert [found.path async for found in store.list("folder")] == []
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        await store.delete_prefix("folder")
    assert await store.delete_prefix("jobs") == 1
    assert contents(outside) == {"precious": b"precious"}


async def test_the_root_itself_may_be_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "link").symlink_to(outside)
    store = open_artifacts(ArtifactSettings(url=str(tmp_path / "link")))
    await store.put("a", b"x", content_type="text/plain")
    assert contents(outside) == {"precious": b"precious", "a": b"x"}


async def test_files_and_folders_are_for_their_owner_only(store: ArtifactStore, root: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await store.put("jobs/1/result.json", b"{}", content_type="application/json")
        other = open_artifacts(ArtifactSettings(url=str(tmp_path / "other")))
        await other.check()
    finally:
        os.umask(before)
    modes = {str(path.relative_to(root)): path.stat().st_mode & 0o777 for path in walk(root)}
    assert modes == {"jobs": 0o700, "jobs/1": 0o700, "jobs/1/result.json": 0o600}
    assert (tmp_path / "other").stat().st_mode & 0o777 == 0o700


async def test_a_write_is_on_the_disk_when_it_returns(
    store: ArtifactStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def spy(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    await store.put("jobs/1/a", b"x", content_type="text/plain")
    new = root / "jobs" / "1"
    assert synced == [root, root / "jobs", new / "a", new]
    synced.clear()
    await store.put("jobs/1/a", b"y", content_type="text/plain")
    assert synced == [new / "a", new]


async def test_a_reader_sees_the_old_bytes_or_the_new_and_never_a_mixture(store: ArtifactStore) -> None:
    async def write() -> None:
        for number in range(1, 30):
            await store.put("a", bytes([number]) * MIB * 2, content_type="text/plain")

    await store.put("a", bytes(MIB), content_type="text/plain")
    writing = asyncio.create_task(write())
    versions = set()
    while not writing.done():
        content = await store.get("a", max_bytes=MIB * 2)
        assert len(content) in (MIB, MIB * 2)
        assert content.count(content[0]) == len(content)
        versions.add(content[0])
    await writing
    assert len(versions) > 1


async def test_what_a_crash_left_half_written_is_invisible_and_goes_with_its_folder(
    store: ArtifactStore, root: Path
) -> None:
    await store.put("jobs/1/a", b"x", content_type="text/plain")
    (root / "jobs" / "1" / "b#1").write_bytes(b"half")  # the driver's name for what it has not renamed yet
    (root / "jobs" / "1" / "a stranger's file").touch()
    assert [found.path async for found in store.list("jobs")] == ["jobs/1/a"]
    assert await store.delete_prefix("jobs/1") == 1
    assert not (root / "jobs" / "1").exists()


async def test_a_sweep_finds_what_a_crash_left_of_an_upload_at_any_instant_and_leaves_what_is_young(
    store: ArtifactStore, root: Path
) -> None:
    made, written, sealed = (root / "uploads" / ("a" * 32) / (f"{number}" * 36) for number in range(3))
    for folder in (made, written, sealed):
        folder.mkdir(parents=True)
    (written / "data#1").write_bytes(b"half")
    (sealed / "data").write_bytes(b"whole")
    (sealed / "meta.json#2").write_bytes(b"{")
    (root / "probes").mkdir()
    for name in ("0123", "4567#1"):
        (root / "probes" / name).write_bytes(b"tidegate")
    before, now = walk(root), datetime.now(UTC)
    assert await sweep_uploads(store, now - timedelta(hours=1)) == 0
    assert walk(root) == before
    await sweep_uploads(store, now + timedelta(hours=1))
    assert walk(root) == []


async def test_a_sweep_leaves_alone_what_no_write_can_have_made(
    store: ArtifactStore, root: Path, outside: Path
) -> None:
    (root / "uploads").mkdir()
    (root / "uploads" / "a stranger's file").touch()
    (root / "probes").symlink_to(outside)
    (outside / "precious#1").write_bytes(b"too")
    await sweep_uploads(store, datetime.now(UTC) + timedelta(hours=1))
    assert (root / "uploads" / "a stranger's file").exists()
    assert set(contents(outside)) == {"precious", "precious#1"}


async def test_deleting_leaves_no_empty_folders(store: ArtifactStore, root: Path) -> None:
    await store.check()
    await store.put("jobs/1/2/a", b"x", content_type="text/plain")
    assert await store.delete_prefix("jobs") == 1
    assert walk(root) == []


def walk(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
