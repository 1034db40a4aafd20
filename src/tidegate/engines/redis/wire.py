"""One connection that many coroutines share: one write a tick of the loop, replies in the order of the calls."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias, cast

import hiredis

from tidegate.engines.redis.faults import fault
from tidegate.engines.redis.lines import Lines
from tidegate.errors import EngineUnavailable, InvalidInput

Part: TypeAlias = bytes | str | int
"""A piece of a command."""

Reply: TypeAlias = "bytes | int | float | str | list[Reply] | dict[Reply, Reply] | None"
"""What a server answers, but for errors."""

Hear: TypeAlias = Callable[[bytes], None]
"""Called with every message of the channels listened to, and with an empty one when the connection is lost."""

_packed: Final = cast("Callable[[tuple[Part, ...]], bytes]", hiredis.pack_command)
_MORE: Final = object()
_HIGH_WATER: Final = 1 << 20
_KEEP_ALIVE_AFTER: Final = 30
_DROPPED: Final = ("READONLY ", "NOAUTH ", "MASTERDOWN ")
"""What an error says where this is no longer the server to talk to."""


class Wire(asyncio.Protocol):
    """An open connection; once `lost` it stays lost, and everything that was under way has failed.

    Each call has `deadline` seconds. When one is late the connection is closed: whatever the server says later
    belongs to nobody.
    """

    def __init__(self, deadline: float, hear: Hear) -> None:
        self._loop = asyncio.get_running_loop()
        self.deadline = deadline
        self._hear = hear
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._transport: asyncio.Transport | None = None
        self._asked: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._unsent: list[bytes] = []
        self._flushing = False
        self._paused: asyncio.Future[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._idle: asyncio.Future[None] | None = None
        self.lost = False
        self.version: tuple[int, ...] = ()
        """The server's, once it was greeted."""
        self.lines = Lines()
        """What was told on it of lines: the next connection may reach a server that has others."""

    # calls ----------------------------------------------------------------------------------------------------

    async def ask(self, *parts: Part) -> Reply:
        """Send a command and wait for its reply; a caller who gives up leaves the others in peace."""
        while self._paused is not None:
            await asyncio.shield(self._paused)
        return await self.send(*parts)

    def send(self, *parts: Part) -> asyncio.Future[Reply]:
        """Put a command in this tick's write; its reply to come."""
        if self.lost:
            raise EngineUnavailable("the connection to the store is closed")
        try:
            packed = _packed(parts)  # before anybody waits: a call that is not sent has no reply
        except (UnicodeError, TypeError) as exc:
            raise InvalidInput("text", "holds what can't be stored: it is no Unicode") from exc
        reply: asyncio.Future[Reply] = self._loop.create_future()
        until = self._loop.time() + self.deadline
        self._asked.append((reply, until))
        self._unsent.append(packed)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        if self._watch is None:
            self._watch = self._loop.call_at(until, self._check)
        return reply

    async def finished(self) -> None:
        """Return once nothing is under way."""
        while self._asked:
            if self._idle is None:
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)

    def close(self, reason: str = "the connection to the store is closed") -> None:
        """Close at once; what is under way fails, its outcome unknown."""
        if self.lost:
            return
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._fail(reason)
        self._hear(b"")

    def abandon(self) -> None:
        """Hang up where no loop runs any more that could close."""
        if self._transport is not None and not self.lost:
            with suppress(OSError):
                self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self.lost = True

    def _fail(self, reason: str) -> None:
        asked, self._asked, self._unsent = self._asked, deque(), []
        for reply, _ in asked:
            if not reply.done():
                reply.set_exception(EngineUnavailable(f"{reason}; it is not known whether the call took effect"))
        self.resume_writing()
        self._rest()

    def _rest(self) -> None:
        if self._idle is not None and not self._asked:
            self._idle.set_result(None)
            self._idle = None

    # writing ----------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flushing = False
        if self._unsent and self._transport is not None and not self.lost:
            data, self._unsent = b"".join(self._unsent), []
            self._transport.write(data)

    def _check(self) -> None:
        """Close when the oldest call is late; the others have their turn later."""
        self._watch = None
        if not self._asked:
            return
        _, until = self._asked[0]
        if until <= self._loop.time():
            self.close(f"the store did not answer within {self.deadline:g} s")
        else:
            self._watch = self._loop.call_at(until, self._check)

    # asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        _keep_alive(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.close(f"the connection to the store was lost ({exc})" if exc else "the store closed the connection")

    def eof_received(self) -> bool:
        """The server has hung up."""
        return False

    def pause_writing(self) -> None:
        """The server reads slower than callers write: new calls wait."""
        if self._paused is None and not self.lost:
            self._paused = self._loop.create_future()

    def resume_writing(self) -> None:
        """There is room again."""
        if self._paused is not None:
            self._paused.set_result(None)
            self._paused = None

    def data_received(self, data: bytes) -> None:
        """Give each reply to the oldest call, and each message to who listens."""
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _MORE:
                if isinstance(reply, hiredis.PushNotification) and reply[0] == b"message":
                    self._hear(cast("bytes", reply[2]))
                else:
                    self._answer(reply)
        except hiredis.ProtocolError:
            self.close("the store answered something that is no reply")
        self._rest()

    def _answer(self, reply: "Reply | hiredis.ReplyError") -> None:
        if not self._asked:
            self.close("the store answered what nobody asked")
            return
        asked, _ = self._asked.popleft()
        if isinstance(reply, hiredis.ReplyError):
            message = str(reply)
            if not asked.done():
                asked.set_exception(fault(message))
            if any(word in message for word in _DROPPED):
                self.close("the server is no longer the one to talk to")
        elif not asked.done():
            asked.set_result(reply)


def _keep_alive(line: socket.socket) -> None:
    """Let the system notice a peer that vanished while nobody called, and keep what forgets idle connections awake."""
    if line.family != socket.AF_UNIX:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_AFTER)
