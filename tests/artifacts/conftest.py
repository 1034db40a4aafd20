"""Every kind of artifact store, each test in a corner of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.artifacts import servers
from tests.artifacts.servers import S3Server, s3_settings
from tests.artifacts.waits import Waits
from tests.faults.http_proxy import FaultyProxy
from tidegate.artifacts import ArtifactSettings, ArtifactStore, open_artifacts


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with servers.rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(params=["moto", "rclone"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    server = request.getfixturevalue(request.param)
    assert isinstance(server, S3Server)
    return server


@pytest.fixture(params=["disk", "memory", "moto", "rclone"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactSettings:
    match request.param:
        case "disk":
            return ArtifactSettings(url=str(tmp_path / "artifacts"))
        case "memory":
            return ArtifactSettings(url="memory://")
        case name:
            server = request.getfixturevalue(name)
            assert isinstance(server, S3Server)
            return s3_settings(server.url)


@pytest.fixture
def store(settings: ArtifactSettings) -> ArtifactStore:
    return open_artifacts(settings)


@pytest.fixture
async def proxy(s3_server: S3Server) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy.before(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def behind(proxy: FaultyProxy, waits: Waits) -> ArtifactStore:
    """A store that is reached through the proxy only, and waits for nothing between tries."""
    return open_artifacts(s3_settings(proxy.url), dice=lambda: 0.5, sleep=waits.sleep)
