"""One URL says where artifacts go; what makes no sense is refused before anything is stored."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.artifacts import servers
from tests.artifacts.servers import S3Server, s3_settings
from tidegate.artifacts import ArtifactSettings, open_artifacts
from tidegate.artifacts.settings import Bucket, Folder, Memory, place
from tidegate.errors import ConfigError

pytestmark = pytest.mark.xdist_group("artifact-stores")


def test_a_url_names_a_folder_a_bucket_or_memory() -> None:
    assert place("some/folder") == Folder(Path("some/folder"))
    assert place("/some/folder") == Folder(Path("/some/folder"))
    assert place("~/folder") == Folder(Path.home() / "folder")
    assert place("file:///some/folder%20with%20space") == Folder(Path("/some/folder with space"))
    assert place("file://localhost/some") == Folder(Path("/some"))
    assert place("s3://bucket") == Bucket("bucket", "")
    assert place("s3://bucket/") == Bucket("bucket", "")
    assert place("s3://my-bucket/a/b/") == Bucket("my-bucket", "a/b")
    assert place("memory://") == Memory()


NONSENSE = [
    *["", " ", "ftp://host/x", "https://bucket.example/x", "gs://bucket", "file://", "file:///"],
    *["file://elsewhere/x", "s3://", "s3:///x", "s3:/bucket", "s3://bucket:80/x", "s3://bucket/../x"],
    *["s3://bucket/a b", "s3://bucket/a//b", "s3://bucket/x?versionId=1", "s3://bucket/x#y"],
    "s3://KEY:SECRET@bucket/x",
]


@pytest.mark.parametrize("url", NONSENSE)
def test_a_url_that_names_nothing_is_refused_without_showing_a_secret(url: str) -> None:
    with pytest.raises(ConfigError, match="artifact URL") as caught:
        ArtifactSettings(url=url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["localhost:9000", "https://", "ftp://host", "https://KEY:SECRET@host"])
def test_an_endpoint_that_is_no_web_address_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="S3 endpoint") as caught:
        ArtifactSettings(url="s3://bucket", endpoint=endpoint)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("access_key", "secret_key"),
    [("KEY\n", "SECRET"), ("KEY", "SECRET "), ("KEY", "SECRET\u00e9"), ("KEY", ""), ("KEY", None), (None, "SECRET")],
)
def test_keys_that_no_request_could_carry_are_refused(access_key: str | None, secret_key: str | None) -> None:
    with pytest.raises(ConfigError, match="_key") as caught:
        ArtifactSettings(url="s3://bucket", access_key=access_key, secret_key=secret_key)
    assert "SECRET" not in str(caught.value)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="attempts are 0"):
        ArtifactSettings(url="memory://", attempts=0)
    with pytest.raises(ConfigError, match="timeout"):
        ArtifactSettings(url="memory://", timeout=timedelta(0))


def test_settings_show_no_keys() -> None:
    shown = repr(s3_settings("http://127.0.0.1:1"))
    assert servers.ACCESS_KEY not in shown
    assert servers.SECRET_KEY not in shown


def test_a_folder_that_can_t_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"artifact folder .* can't be used: Not a directory"):
        open_artifacts(ArtifactSettings(url=str(tmp_path / "file" / "below")))


async def test_a_prefix_keeps_everything_below_itself(s3_server: S3Server) -> None:
    corner = s3_settings(s3_server.url)
    await open_artifacts(corner).put("a", b"x", content_type="text/plain")
    prefix = corner.url.removeprefix(f"s3://{servers.BUCKET}/")
    whole = ArtifactSettings(
        url=f"s3://{servers.BUCKET}",
        endpoint=s3_server.url,
        access_key=servers.ACCESS_KEY,
        secret_key=servers.SECRET_KEY,
    )
    assert [found.path async for found in open_artifacts(whole).list(prefix)] == [f"{prefix}/a"]
