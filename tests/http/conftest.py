"""A fresh application for each test, behind HTTP; a test module may have its own settings."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from starlette.types import Scope

from tests.http.handlers import application
from tests.http.reach import plain_settings, reached, served
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.http.straight import Send, Straight


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What the application is opened with."""
    return plain_settings(tmp_path / "data")


@pytest.fixture
def app(settings: Settings) -> Tidegate:
    """The application that `api`, `working` or `server` opens."""
    return application(settings)


@pytest.fixture
async def api(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client. There is no worker: what is submitted stays queued."""
    async with reached(app, worker=False) as client:
        yield client


@pytest.fixture
async def locked(api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """The same, asked in nobody's name; a module's settings say that a key is wanted."""
    del api.headers["X-User-ID"]
    return api


@pytest.fixture(scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of one application for all tests that leave no trace in it."""
    app = application(plain_settings(tmp_path_factory.mktemp("shared")))
    async with reached(app, worker=False) as client:
        yield client


@pytest.fixture
async def working(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of an application that runs jobs."""
    async with reached(app, worker=True) as client:
        yield client


@pytest.fixture
async def server(app: Tidegate, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of a real server, without a worker."""
    async with served(app, settings) as client:
        yield client


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of requests that went straight."""
    bodies, take = list[bytes](), Straight.take

    def noted(straight: Straight, scope: Scope, body: bytes, send: Send) -> None:
        bodies.append(body)
        take(straight, scope, body, send)

    monkeypatch.setattr(Straight, "take", noted)
    return bodies
