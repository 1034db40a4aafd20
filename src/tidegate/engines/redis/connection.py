"""Connections that come back: one for every event loop that calls."""

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncGenerator
from typing import Final, TypeVar, cast

from tidegate.clock import dice
from tidegate.engines.redis.address import Address
from tidegate.engines.redis.faults import ReplicaMet
from tidegate.engines.redis.wire import Hear, Part, Reply, Wire
from tidegate.errors import ConfigError, EngineUnavailable

T = TypeVar("T")

_CLOSED: Final = "this store was closed"
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_FOR_GOOD: Final = ("unknown command", "not allowed in cluster")
"""What a refused greeting or database says where no later try will do better."""


class Link:
    """The connection of one event loop, opened by the first call and by the first call after a loss.

    After a failed try the next one waits, longer each time up to a second, and never as long as another's; all
    calls that come meanwhile share it.
    """

    def __init__(self, address: Address, hear: Hear) -> None:
        self._address = address
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._opening: asyncio.Task[Wire] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._channels: set[str] = set()
        self._keeper: AsyncGenerator[None, None] | None = None
        self._closed = False

    async def wire(self) -> Wire:
        """The open connection."""
        wire = self._wire
        if wire is not None and not wire.lost:
            return wire
        if self._closed:
            raise EngineUnavailable(_CLOSED)
        if self._opening is None or self._opening.done():
            self._opening = self._loop.create_task(self._open())
            self._opening.add_done_callback(_swallow)  # all who waited for it may be gone
        return await asyncio.shield(self._opening)

    async def ask(self, *parts: Part) -> Reply:
        """Send a command and wait for its reply."""
        return await (await self.wire()).ask(*parts)

    def listen(self, channel: str) -> None:
        """Hear the messages of `channel` from now on, on every connection to come, too."""
        if channel not in self._channels:
            self._channels.add(channel)
            self._tell("SUBSCRIBE", channel)

    def ignore(self, channel: str) -> None:
        """Hear them no more."""
        if channel in self._channels:
            self._channels.remove(channel)
            self._tell("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        """Finish what is under way, then close."""
        self._closed = True
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._wire is not None:
            await self._wire.finished()
        if self._keeper is not None:
            await self._keeper.aclose()

    def drop(self) -> None:
        """Close the connection at once; the next call opens another."""
        if self._wire is not None:
            self._wire.close()

    def abandon(self) -> None:
        """End the connection of a loop that closed without a goodbye, so that nothing else can."""
        if self._wire is not None:
            self._wire.abandon()

    async def _keep(self) -> AsyncGenerator[None, None]:
        """Closes the connection when its loop ends: a loop that shuts down closes its generators."""
        try:
            yield
        finally:
            self.drop()

    def _tell(self, verb: str, channel: str) -> None:
        wire = self._wire
        if wire is not None and not wire.lost:
            _listen(wire, verb, channel)

    # opening --------------------------------------------------------------------------------------------------

    async def _open(self) -> Wire:
        await asyncio.sleep(max(self._not_before - self._loop.time(), 0.0))
        try:
            self._wire = await self._try()
        except (OSError, TimeoutError, EngineUnavailable) as exc:
            pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
            self._failures = min(self._failures + 1, 10)
            self._not_before = self._loop.time() + pause * (0.5 + dice() / 2)
            kind = ReplicaMet if isinstance(exc, ReplicaMet) else EngineUnavailable
            raise kind(f"the store at {self._address.shown} can't be reached ({_said(exc)})") from exc
        self._failures = 0
        if self._keeper is None:
            self._keeper = self._keep()
            await anext(self._keeper)
        return self._wire

    async def _try(self) -> Wire:
        address = self._address
        wire = Wire(address.deadline, self._hear)
        try:
            async with asyncio.timeout(address.deadline):
                if address.path is not None:
                    await self._loop.create_unix_connection(lambda: wire, address.path)
                else:
                    host = address.host if address.tls else None
                    await self._loop.create_connection(
                        lambda: wire, address.host, address.port, ssl=address.tls, server_hostname=host
                    )
                await _greet(wire, address)
        except BaseException:
            wire.close()
            raise
        for channel in self._channels:
            _listen(wire, "SUBSCRIBE", channel)
        return wire


def _said(exc: BaseException) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, ssl.SSLError):
        return f"TLS: {exc.reason or exc}"
    return str(exc) or type(exc).__name__


async def _greet(wire: Wire, address: Address) -> None:
    """Say who asks; all in one write. Errors are told without the server's words: they may repeat a password."""
    login = ("AUTH", address.user or "default", address.password) if address.password is not None else ()
    said = [wire.send("HELLO", 3, *login, "SETNAME", "tidegate")]
    if address.database:
        said.append(wire.send("SELECT", address.database))
    replies = await asyncio.gather(*said, return_exceptions=True)
    for reply in replies:
        match reply:
            case ConfigError():
                raise reply
            case EngineUnavailable() if not any(word in str(reply).lower() for word in _FOR_GOOD):
                raise reply
            case BaseException():
                refused = "the database" if reply is replies[-1] and address.database else "the greeting"
                raise ConfigError(f"the store at {address.shown} refused {refused} (Redis 6.2 or newer is needed)")
    hello = cast("dict[bytes, bytes]", replies[0])
    if hello.get(b"role") == b"replica":
        raise ReplicaMet("it is a replica: name its primary")
    wire.version = tuple(int(part) for part in hello[b"version"].split(b".") if part.isdigit())


def _listen(wire: Wire, verb: str, channel: str) -> None:
    """A confirmation comes as one push a channel, in its turn, so that it counts as the reply.

    A hint that can't be had is none: polling is the truth.
    """
    wire.send(verb, channel).add_done_callback(_swallow)


def _swallow(done: "asyncio.Future[T]") -> None:
    """Look at an exception that nobody may be there to take."""
    if not done.cancelled():
        done.exception()


class Links:
    """The links of an open engine, by event loop."""

    def __init__(self, address: Address, hear: Hear) -> None:
        self._address = address
        self._hear = hear
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}
        self._closed = False

    def here(self) -> Link:
        """The link of the running loop."""
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        return link if link is not None and self._pid == os.getpid() else self._new(loop)

    def _new(self, loop: asyncio.AbstractEventLoop) -> Link:
        if os.getpid() != self._pid:
            raise EngineUnavailable(f"this store was opened by process {self._pid}: a forked child must open its own")
        with self._lock:
            if self._closed:
                raise EngineUnavailable(_CLOSED)
            for gone in [known for known in self._links if known.is_closed()]:
                self._links.pop(gone).abandon()
            self._links[loop] = link = Link(self._address, self._hear)
        return link

    async def close(self) -> None:
        """Close them all; each on its own loop."""
        with self._lock:
            links, self._links, self._closed = self._links, {}, True
        here = asyncio.get_running_loop()
        for loop, link in links.items():
            if loop is here:
                await link.close()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(link.close(), loop)
                await asyncio.wait([asyncio.wrap_future(closing)], timeout=self._address.deadline)
            else:
                link.abandon()
