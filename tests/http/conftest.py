"""An application behind HTTP: reached in this process, or through a real server where that matters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import ADA
from tests.http.handlers import application
from tidegate.app import Tidegate
from tidegate.config import Settings, load
from tidegate.http.app import create_app
from tidegate.http.server import Server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No limits, everything in memory, a free port; a test module may have its own."""
    return load(
        engine="memory://",
        artifacts="memory://",
        data_dir=tmp_path / "data",
        port=0,
        grace=5,
        limit_user_per_hour=0,
        limit_ip_per_minute=0,
    )


@pytest.fixture
def app(settings: Settings) -> Tidegate:
    """The application that `api`, `working` and `server` open."""
    return application(settings)


@pytest.fixture
async def api(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client. There is no worker: what is submitted stays queued."""
    async with _reached(app, worker=False) as client:
        yield client


@pytest.fixture
async def working(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of an application that runs jobs."""
    async with _reached(app, worker=True) as client:
        yield client


@pytest.fixture
async def server(app: Tidegate, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of a real server on loopback, without a worker."""
    running = Server(app, settings, worker=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(running.run())
        async with asyncio.timeout(20):
            await running.started.wait()
        async with httpx2.AsyncClient(base_url=running.url, headers=ADA, timeout=20) as client:
            yield client
        running.stop()


@asynccontextmanager
async def _reached(app: Tidegate, *, worker: bool) -> AsyncIterator[httpx2.AsyncClient]:
    made = create_app(app, worker=worker)
    # A fault of the application shall show as its answer, as it would to a client over the network.
    transport = httpx2.ASGITransport(app=made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx2.AsyncClient(transport=transport, base_url="http://here", headers=ADA) as client,
    ):
        yield client
