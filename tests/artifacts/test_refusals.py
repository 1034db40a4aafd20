"""What stands in the way of a store, each told apart, and no secret told."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.artifacts.servers import S3Server, free_port, s3_settings
from tests.artifacts.waits import Waits
from tidegate.artifacts import ArtifactSettings, ArtifactStore, open_artifacts
from tidegate.errors import ArtifactError, ArtifactRefused, ArtifactUnavailable

pytestmark = pytest.mark.xdist_group("artifact-stores")


async def listed(store: ArtifactStore) -> list[str]:
    return [found.path async for found in store.list("a")]


async def test_an_address_where_nobody_listens_is_unavailable_and_not_shown(waits: Waits) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    store = open_artifacts(s3_settings(url), sleep=waits.sleep)
    with pytest.raises(ArtifactUnavailable, match="can't be reached") as caught:
        await store.put("a/b", b"x", content_type="text/plain")
    assert len(waits) == 2
    assert "127.0.0.1" not in str(caught.value)
    assert caught.value.__cause__ is not None  # the whole story, for whoever runs the service


async def test_a_missing_bucket_is_refused_and_never_taken_for_a_missing_artifact(s3_server: S3Server) -> None:
    settings = replace(s3_settings(s3_server.url), url="s3://no-such-bucket")
    store = open_artifacts(settings)
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: store.put("a/b", b"x", content_type="text/plain"),
        lambda: store.get("a/b", max_bytes=1000),
        lambda: listed(store),
        store.check,
    ]
    for attempt in attempts:
        with pytest.raises(ArtifactRefused, match="NoSuchBucket"):
            await attempt()


async def test_a_wrong_secret_is_refused_and_not_repeated_in_the_message(rclone: S3Server) -> None:
    store = open_artifacts(s3_settings(rclone.url, secret_key="a-wrong-secret"))
    with pytest.raises(ArtifactRefused, match="403 SignatureDoesNotMatch") as caught:
        await store.check()
    assert "a-wrong-secret" not in f"{caught.value} {caught.value.__cause__}"


async def test_keys_from_the_settings_are_not_mixed_with_a_session_of_the_environment(
    rclone: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "somebody-else's")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SOMEBODYELSE")
    store = open_artifacts(s3_settings(rclone.url))
    await store.check()
    url = await store.sign("a/b", timedelta(minutes=1))
    assert url is not None
    assert "Security-Token" not in url
    assert "SOMEBODYELSE" not in url


async def test_local_disk_and_memory_fail_with_the_same_errors(tmp_path: Path, waits: Waits) -> None:
    (tmp_path / "root").mkdir()
    store = open_artifacts(ArtifactSettings(url=str(tmp_path / "root")), sleep=waits.sleep)
    await store.put("a/b", b"x", content_type="text/plain")
    with pytest.raises(ArtifactRefused, match="Not a directory"):
        await store.put("a/b/c", b"x", content_type="text/plain")
    await store.delete_prefix("a")
    (tmp_path / "root").rmdir()
    with pytest.raises(ArtifactError, match="No such file or directory"):
        await store.check()
