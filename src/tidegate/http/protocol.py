"""Uvicorn's HTTP protocol with an end to its patience and to its memory: what a peer may take, it must earn."""

import asyncio
from dataclasses import dataclass
from typing import Final, cast

import httptools
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tidegate.clock import token
from tidegate.http import problems
from tidegate.http.envelope import SECURITY_HEADERS, Envelope
from tidegate.http.joining import Joined
from tidegate.http.problems import BAD_REQUEST, HEADERS_TOO_LARGE, OVERLOADED, TOO_SLOW, Refusal

HEAD_LIMIT: Final = 16 * 1024
"""Bytes of a request's line and headers."""

MOST_HEADERS: Final = 100
MOST_WAITING: Final = 32
"""Requests that a connection may send ahead of the one being answered; those after them are not answered."""

WRAPPING: Final = 16 * 1024
"""Bytes of chunk sizes, chunk extensions and trailers that a body may begin with; each of its own earns 8 more."""
MOST_WRAPPING: Final = 1024 * 1024

LINGER: Final = 2.0
"""Seconds in which a peer that was refused may read why."""

STALLED: Final = 60.0
"""Seconds for which a peer may not read what it asked for."""

ALWAYS: Final = "/health"
"""Answered however many others are: who asks there would restart a server that is merely busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`patience` seconds for the first byte, and again for the headers; `requests` at a time, 0 for any number."""

    patience: float = 10.0
    requests: int = 0


class _Ended(Exception):
    """Ends parsing from within a callback of the parser."""


class GuardedConfig(uvicorn.Config):
    """A server's configuration, and what its connections may take."""

    guard: Guard = Guard()


class GuardedProtocol(HttpToolsProtocol):
    """One connection.

    A refusal of its own is told as a problem, and ends the connection. Bodies are timed where they are read:
    how long one may take depends on what it is.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._guard = config.guard if isinstance(config, GuardedConfig) else Guard()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._began = False  # a byte of a request's head is here
        self._inside = False  # its body is coming
        self._heads = 0
        self._head = self._spare = 0
        self._fault = _GARBLED
        self._over = False
        self._answered: RequestResponseCycle | None = None

    # the peer -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer is there; it has something to say, or goes."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._within(self._guard.patience)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        for timer in self._timers.values():
            timer.cancel()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if self._answered is not None:  # with requests sent ahead it is not the newest, which is told by itself
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What the peer sends; after a refusal it is thrown away."""
        if self._over:
            return
        self._unset_keepalive_if_required()
        self._begins()
        heads = self._heads
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # nobody here speaks anything else: it is answered, and that is all
            self._ends_here()
        except httptools.HttpParserError:
            self._refuse(self._fault)
        else:
            if heads == self._heads:  # otherwise nobody knows how many of these bytes were another request's
                self._count(len(data))

    def pause_writing(self) -> None:
        """The peer does not read, for now."""
        super().pause_writing()
        self._timers["stalled"] = self.loop.call_later(STALLED, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._stop("stalled")

    # the parser -----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begins()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes after the body is none."""
        if self._inside:
            return
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS:
            self._raise(Refusal(HEADERS_TOO_LARGE, f"there are more than {MOST_HEADERS} headers"))

    def on_headers_complete(self) -> None:
        """A request may be answered."""
        self._stop("late")
        self._began, self._spare = False, WRAPPING
        self._heads += 1
        self._check_head()
        if len(self.pipeline) >= MOST_WAITING:
            self._raise(_GARBLED)
        super().on_headers_complete()
        self._inside = True
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._spare = min(self._spare + 9 * len(body), MOST_WRAPPING)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is here, all of it."""
        self._inside = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request was answered. Where that ends the connection, a peer that does not read is not waited for."""
        self._joined.flush()
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_soon()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if 0 < self._guard.requests <= len(self.tasks) and cycle.scope["path"] != ALWAYS:
            app = _BUSY
        self._answered = cycle
        self._joined = Joined(self.transport, self.loop)
        cycle.transport = cast("asyncio.Transport", self._joined)
        super()._start_asgi_task(cycle, app)

    # limits ---------------------------------------------------------------------------------------------------

    def _begins(self) -> None:
        """From the first byte of a request on, its head has to be complete in time."""
        if not self._began and not self._inside:
            self._began, self._head = True, 0
            self._within(self._guard.patience)

    def _count(self, size: int) -> None:
        """Count bytes that no request and no body came of yet."""
        if self._inside:
            self._spare -= size
            if self._spare < 0:
                self._refuse(Refusal(BAD_REQUEST, "there is more around the body's chunks than in them"))
        elif self._began:
            self._head += size
            if self._head > HEAD_LIMIT:
                self._refuse(_TOO_LONG)

    def _check_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_LIMIT:
            self._raise(_TOO_LONG)
        names, version = [name for name, _ in self.headers], self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._raise(_GARBLED)
        if names.count(b"host") > 1 or (version == "1.1" and b"host" not in names):
            self._raise(Refusal(BAD_REQUEST, "send one Host header"))
        if self.parser.should_upgrade() and (b"transfer-encoding" in names or b"content-length" in names):
            self._raise(Refusal(BAD_REQUEST, "a request with a body can't ask for another protocol"))

    def _within(self, seconds: float) -> None:
        self._stop("late")
        self._timers["late"] = self.loop.call_later(seconds, self._late)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _late(self) -> None:
        """Nothing came in time, or not all of a head."""
        if self._began and self.flow.read_paused:  # it may be our own slowness
            self._within(self._guard.patience)
        elif self._began:
            self._refuse(Refusal(TOO_SLOW, f"the headers were not complete within {self._guard.patience:g} s"))
        elif not self.transport.is_closing():
            self.transport.close()

    # endings --------------------------------------------------------------------------------------------------

    def _raise(self, refusal: Refusal) -> None:
        """End parsing; `data_received` tells the refusal."""
        self._fault = refusal
        raise _Ended

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, refusal: Refusal) -> None:
        """Tell why, unless an answer is being sent, which comes first; read nothing more."""
        inside, self._inside, self._over = self._inside, False, True
        self._stop("late")
        if not self._answering():
            self._tell(refusal)
        elif not inside:
            self._ends_here()
        elif self.pipeline or self.cycle.response_started:
            self.transport.close()
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._tell(refusal)

    def _ends_here(self) -> None:
        """What has been asked is answered, and the connection closed."""
        self._over = True
        if self._answering():
            self.cycle.keep_alive = False
        elif not self.transport.is_closing():
            self.transport.close()

    def _tell(self, refusal: Refusal) -> None:
        if self.transport.is_closing():
            return
        request_id = token()
        body = problems.content(refusal, "", request_id)
        headers = {
            **SECURITY_HEADERS,
            "X-Request-ID": request_id,
            "Content-Type": problems.MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        self.transport.write(STATUS_LINE[refusal.kind.status] + lines + b"\r\n" + body)
        self._abort_soon()
        if self.transport.can_write_eof():
            # Closed at once, a peer in mid-sentence would be sent a reset, and never see the answer.
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _abort_soon(self) -> None:
        self._stop("abort")
        self._timers["abort"] = self.loop.call_later(LINGER, self.transport.abort)


_GARBLED: Final = Refusal(BAD_REQUEST, "this is no HTTP request that means one thing")
_TOO_LONG: Final = Refusal(HEADERS_TOO_LARGE, f"the request's line and headers are over {HEAD_LIMIT} bytes")


async def _overloaded(_scope: Scope, _receive: Receive, _send: Send) -> None:
    refusal = Refusal(OVERLOADED, "as many requests are being answered as this server was told to answer at a time")
    refusal.headers = {"Retry-After": "1"}
    raise refusal


_BUSY: Final = cast("ASGI3Application", Envelope(_overloaded))
