"""Ways to an application: within this process, and through a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from tests.http.calls import ADA
from tidegate.app import Tidegate
from tidegate.config import Settings, load
from tidegate.http.app import create_app
from tidegate.http.server import Server


def plain_settings(folder: Path) -> Settings:
    """No limits, jobs in memory, artifacts in `folder`, a free port."""
    return load(engine="memory://", data_dir=folder, port=0, grace=5, limit_user_per_hour=0, limit_ip_per_minute=0)


@asynccontextmanager
async def reached(app: Tidegate, *, worker: bool) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of `app`, which is open meanwhile."""
    made = create_app(app, worker=worker)
    # A fault of the application shall show as its answer, as it would to a client over the network.
    transport = httpx2.ASGITransport(app=made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx2.AsyncClient(transport=transport, base_url="http://here", headers=ADA) as client,
    ):
        yield client


@asynccontextmanager
async def served(app: Tidegate, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of a real server on loopback, without a worker."""
    server = Server(app, settings, worker=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        try:
            async with asyncio.timeout(60):
                await server.started.wait()
            async with httpx2.AsyncClient(base_url=server.url, headers=ADA, timeout=20) as client:
                yield client
        finally:
            server.stop()
