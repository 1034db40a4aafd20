"""Uvicorn's HTTP protocol with an end to its patience and to its memory: what a peer may take, it must earn."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

import httptools
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tidegate.clock import token
from tidegate.http import problems
from tidegate.http.envelope import SECURITY_HEADERS, Envelope
from tidegate.http.joining import Joined
from tidegate.http.knock import RawHeaders
from tidegate.http.problems import BAD_REQUEST, HEADERS_TOO_LARGE, OVERLOADED, TOO_SLOW, Refusal
from tidegate.http.straight import Straight

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

MOMENT: Final = 1.0
"""Seconds in which a small body comes that is sent after its head, yet at once."""

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
    straight: Straight | None = None


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
        ours = config if isinstance(config, GuardedConfig) else None
        self._guard = Guard() if ours is None else ours.guard
        self._straight = None if ours is None else ours.straight
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._began = False  # a byte of a request's head is here
        self._inside = False  # its body is coming
        self._heads = 0
        self._head = self._spare = 0
        self._fault = _GARBLED
        self._over = False
        self._answered: RequestResponseCycle | None = None
        self._joined: Joined | None = None
        self._plain: tuple[RequestResponseCycle, ASGI3Application] | None = None

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
            if self._began and "late" not in self._timers:
                self._within(self._guard.patience)
            self._await_body()

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
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
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
        if self._plain is not None and len(self._plain[0].body) > HIGH_WATER_LIMIT:
            self._give_up_straight()

    def on_message_complete(self) -> None:
        """A request is here, all of it."""
        self._inside = False
        super().on_message_complete()
        if self._plain is not None and not self._plain[0].more_body:
            self._go_straight()

    def on_response_complete(self) -> None:
        """A request was answered. Where that ends the connection, a peer that does not read is not waited for."""
        if self._joined is not None:
            self._joined.flush()
        super().on_response_complete()
        self._await_body()
        if self.transport.is_closing():
            self._abort_soon()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        if self._is_plain(cycle):
            self._plain = cycle, app
            if not cycle.more_body:
                self._go_straight()
        else:
            self._go_around(cycle, app)

    def _is_plain(self, cycle: RequestResponseCycle) -> bool:
        """Whether the short way takes a request. Who does not read answers is waited for on the long one only."""
        if self._straight is None or cycle.waiting_for_100_continue or self.flow.write_paused:
            return False
        return len(cycle.body) <= HIGH_WATER_LIMIT and self._straight.takes(cast("Scope", cycle.scope))

    def _is_busy(self) -> bool:
        """Whether as many requests are being answered as may be."""
        under_way = len(self.tasks) + (0 if self._straight is None else self._straight.under_way)
        return 0 < self._guard.requests <= under_way

    def _await_body(self) -> None:
        """A plain request's body has to come at once."""
        if self._plain is not None and "body" not in self._timers:
            self._timers["body"] = self.loop.call_later(MOMENT, self._give_up_straight)

    def _go_around(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Let the application answer."""
        if self._is_busy() and cycle.scope["path"] != ALWAYS:
            app = _BUSY
        self._joined = Joined(self.transport, self.loop)
        cycle.transport = cast("asyncio.Transport", self._joined)
        super()._start_asgi_task(cycle, app)

    def _go_straight(self) -> None:
        """Let the short way answer a plain request, whose body is here."""
        plain, self._plain = self._plain, None
        self._stop("body")
        if plain is None or self._straight is None:
            return
        cycle, app = plain
        if self._is_busy():
            self._go_around(cycle, app)
        else:
            self._straight.take(cast("Scope", cycle.scope), bytes(cycle.body), partial(self._send, cycle))

    def _give_up_straight(self) -> None:
        """A plain request's body is large, or does not come at once."""
        plain, self._plain = self._plain, None
        self._stop("body")
        if plain is not None and not plain[0].disconnected:
            self._go_around(*plain)

    def _send(self, cycle: RequestResponseCycle, status: int, headers: RawHeaders, body: bytes) -> None:
        """Send the answer to a plain request."""
        if cycle.disconnected or self.transport.is_closing():
            return
        closing = () if cycle.keep_alive else ((b"connection", b"close"),)
        lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers, *closing)]
        head = b"".join((STATUS_LINE[status], *lines))
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
            self.logger.error("a header of an answer has a line break in it: the connection is closed")
            self.transport.close()
            return
        cycle.response_started = cycle.response_complete = True
        self.transport.write(head + b"\r\n" + body)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    # limits ---------------------------------------------------------------------------------------------------

    def _begins(self) -> None:
        """From the first byte of a request on, its head has to be complete in time."""
        if not self._began and not self._inside:
            self._began, self._head = True, 0
            self._stop("late")

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
        names, values = zip(*self.headers, strict=True) if self.headers else ((), ())
        size = len(self.url) + len(b"".join(names)) + len(b"".join(values)) + 4 * len(names)
        if size > HEAD_LIMIT:
            self._raise(_TOO_LONG)
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._raise(_GARBLED)
        if names.count(b"host") > 1 or (version == "1.1" and b"host" not in names):
            self._raise(Refusal(BAD_REQUEST, "send one Host header"))
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            self._raise(Refusal(BAD_REQUEST, "the only Transfer-Encoding that is taken is chunked"))
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
