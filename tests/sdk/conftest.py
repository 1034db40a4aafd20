"""One served application for all tests of the SDK that ask a real server."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sdk.house import serving
from tidegate.sdk import AsyncClient, Client


@pytest.fixture(scope="session")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Where a real server is, with a worker."""
    async with serving(tmp_path_factory.mktemp("served")) as (address, _):
        yield address


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncClient]:
    """Ada's."""
    async with AsyncClient(url, user_id="ada") as made:
        yield made


@pytest.fixture
def blocking(url: str) -> Iterator[Client]:
    """Ada's. It blocks, so it is called in a thread: the server runs on the tests' own loop."""
    with Client(url, user_id="ada") as made:
        yield made


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from the machine's own environment."""
    for name in ("TIDEGATE_URL", "TIDEGATE_USER", "TIDEGATE_API_KEY", "CLIENT_MAX_WAIT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
