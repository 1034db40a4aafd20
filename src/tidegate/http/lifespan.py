"""The lifespan of an application: its store is open, and its worker runs, for as long as it is served."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from tidegate.app import Tidegate
from tidegate.errors import ConfigError

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
"""What FastAPI takes as `lifespan`."""


def tidegate_lifespan(application: Tidegate, *, worker: bool = True) -> Lifespan:
    """A lifespan that opens the store and, with `worker`, runs jobs. Where it is open already, it does nothing."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if _is_open(application):
            yield
            return
        async with application if worker else application.connected():
            yield

    return lifespan


def _is_open(application: Tidegate) -> bool:
    try:
        return application.system is not None
    except ConfigError:
        return False
