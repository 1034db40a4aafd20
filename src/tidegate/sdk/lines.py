"""The two lines to a server: one that blocks, one for an event loop. What calls do is written once, as coroutines.

On a blocking line nothing ever waits for a loop, so that a coroutine is over after its first step: `finished`.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial, wraps
from typing import ParamSpec, TypeVar

import httpx2

from tidegate.sdk.connecting import FAULTS, Connection, answer, built
from tidegate.sdk.exchange import Answer, Broken, Request

P = ParamSpec("P")
T = TypeVar("T")


def finished(work: Coroutine[object, object, T]) -> T:
    """What a coroutine comes to that never waits."""
    try:
        work.send(None)
    except StopIteration as over:
        value: T = over.value
        return value
    work.close()
    raise RuntimeError("a call of a blocking client waited for an event loop")


@dataclass(frozen=True, slots=True)
class Piecewise:
    """An answer that comes piece by piece."""

    head: Answer | Broken
    pieces: AsyncIterator[bytes]

    async def read(self) -> bytes | Broken | None:
        """The next bytes."""
        try:
            return await anext(self.pieces, None)
        except FAULTS as exc:
            return Broken(type(exc).__name__)


class HttpLine(ABC):
    """A line over an HTTP client: what both have in common."""

    http: httpx2.Client | httpx2.AsyncClient

    async def send(self, request: Request) -> Answer | Broken:
        """The whole answer."""
        try:
            response = await self._sent(built(self.http, request), stream=False)
        except FAULTS as exc:
            return Broken(type(exc).__name__)
        return answer(response, response.content)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncGenerator[Piecewise, None]:
        """The answer as it comes; left half way, its connection is closed."""
        try:
            response = await self._sent(built(self.http, request), stream=True)
        except FAULTS as exc:
            yield Piecewise(Broken(type(exc).__name__), _each(()))
            return
        try:
            yield await self._begun(response)
        finally:
            await self._left(response)

    async def _begun(self, response: httpx2.Response) -> Piecewise:
        if response.is_success:
            return Piecewise(answer(response, b""), self._pieces(response))
        try:
            return Piecewise(answer(response, await self._whole(response)), _each(()))
        except FAULTS as exc:
            return Piecewise(Broken(type(exc).__name__), _each(()))

    @abstractmethod
    def call(self, work: Callable[P, Coroutine[object, object, T]]) -> Callable[P, object]:
        """The call that comes to what `work` does."""

    @abstractmethod
    def each(self, flow: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, object]:
        """The call that gives what `flow` does."""

    @abstractmethod
    async def rest(self, seconds: float) -> None:
        """Let so many seconds pass."""

    @abstractmethod
    async def do(self, act: Callable[[], T]) -> T:
        """What this returns, which may block."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    async def _sent(self, request: httpx2.Request, *, stream: bool) -> httpx2.Response: ...

    @abstractmethod
    async def _whole(self, response: httpx2.Response) -> bytes: ...

    @abstractmethod
    def _pieces(self, response: httpx2.Response) -> AsyncIterator[bytes]: ...

    @abstractmethod
    async def _left(self, response: httpx2.Response) -> None: ...


class Blocking(HttpLine):
    """Blocks; threads may share it."""

    def __init__(self, http: httpx2.Client) -> None:
        self.http: httpx2.Client = http

    @classmethod
    def to(cls, server: Connection, timeout: float) -> "Blocking":
        """A line to that server."""
        return cls(httpx2.Client(base_url=server.url, headers=server.headers, timeout=timeout))

    def call(self, work: Callable[P, Coroutine[object, object, T]]) -> Callable[P, T]:
        """The call that blocks until it is done."""

        @wraps(work)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return finished(work(*args, **kwargs))

        return call

    def each(self, flow: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, Iterator[T]]:
        """The call that gives values on its way; forgotten half way, it lets go of what it holds."""

        @wraps(flow)
        def each(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            values = flow(*args, **kwargs)
            try:
                with suppress(StopAsyncIteration):
                    while True:
                        yield finished(values.__anext__())
            finally:
                finished(values.aclose())

        return each

    async def rest(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await self.do(partial(time.sleep, seconds))

    async def do(self, act: Callable[[], T]) -> T:
        """What this returns."""
        return act()

    async def close(self) -> None:
        """Close the connections."""
        self.http.close()

    async def _sent(self, request: httpx2.Request, *, stream: bool) -> httpx2.Response:
        return self.http.send(request, stream=stream)

    async def _whole(self, response: httpx2.Response) -> bytes:
        return response.read()

    def _pieces(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        return _each(response.iter_bytes())

    async def _left(self, response: httpx2.Response) -> None:
        response.close()


class Awaiting(HttpLine):
    """Waits on an event loop; tasks may share it."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http: httpx2.AsyncClient = http

    @classmethod
    def to(cls, server: Connection, timeout: float) -> "Awaiting":
        """A line to that server."""
        return cls(httpx2.AsyncClient(base_url=server.url, headers=server.headers, timeout=timeout))

    def call(self, work: Callable[P, Coroutine[object, object, T]]) -> Callable[P, Coroutine[object, object, T]]:
        """The call, which is awaited."""
        return work

    def each(self, flow: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, AsyncGenerator[T, None]]:
        """The call that gives values on its way, by `async for`."""
        return flow

    async def rest(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await asyncio.sleep(seconds)

    async def do(self, act: Callable[[], T]) -> T:
        """What this returns, in a thread."""
        return await asyncio.to_thread(act)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    async def _sent(self, request: httpx2.Request, *, stream: bool) -> httpx2.Response:
        return await self.http.send(request, stream=stream)

    async def _whole(self, response: httpx2.Response) -> bytes:
        return await response.aread()

    def _pieces(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        return response.aiter_bytes()

    async def _left(self, response: httpx2.Response) -> None:
        await response.aclose()


async def _each(pieces: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece
