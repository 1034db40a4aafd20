"""A served application for the SDK's tests, and clients of it."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from tests.http.handlers import application
from tests.http.reach import plain_settings
from tidegate.app import Tidegate
from tidegate.core.retry import Exponential
from tidegate.http.server import Server
from tidegate.sdk import Patience
from tidegate.sdk.resources import Call, Each

QUICK = Patience(backoff=Exponential(initial=timedelta(milliseconds=10), cap=timedelta(milliseconds=20), jitter=0))
"""Three tries, next to no waits."""

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


@asynccontextmanager
async def serving(folder: Path, admin_key: str | None = None) -> AsyncIterator[tuple[str, Tidegate]]:
    """A real server on loopback that runs jobs: its URL, and its application."""
    settings = plain_settings(folder).model_copy(
        update={
            "admin_key": admin_key and SecretStr(admin_key),
            "webhook_http": True,
            "webhook_networks": "127.0.0.0/8",
        }
    )
    app = application(settings)
    server = Server(app, settings)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        async with asyncio.timeout(60):
            await server.started.wait()
        yield server.url, app
        server.stop()


def calls_of(kind: type[object]) -> dict[str, Callable[..., object]]:
    """What may be called at a client, a handle or a resource, as it is written."""
    public = {name: found for name, found in inspect.getmembers(kind) if not name.startswith("_")}
    plain = {name: found for name, found in public.items() if inspect.isroutine(found)}
    return {**plain, **{name: found.work for name, found in public.items() if isinstance(found, Call | Each)}}
