"""The lifespan of an application: its store is open, and its worker runs, for as long as it is served."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from fastapi import FastAPI

from tidegate.app import Tidegate
from tidegate.errors import ConfigError, EngineUnavailable
from tidegate.http.guards.openness import is_open, tell_open

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
"""What FastAPI takes as `lifespan`."""


def tidegate_lifespan(application: Tidegate, *, worker: bool = True) -> Lifespan:
    """A lifespan that opens the store and, with `worker`, runs jobs; where it is open already, it opens nothing.

    It says where no key is asked for.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if _is_open(application):
            await _tell(application)
            yield
            return
        async with application if worker else application.connected():
            await _tell(application)
            yield

    return lifespan


async def _tell(application: Tidegate) -> None:
    settings, engine = application.system.settings, application.system.engine
    with suppress(EngineUnavailable):  # what was opened long ago may be away: that is no reason to serve nothing
        if await is_open(settings, engine):
            tell_open(settings)


def _is_open(application: Tidegate) -> bool:
    try:
        return application.system is not None
    except ConfigError:
        return False
