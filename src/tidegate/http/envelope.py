"""What goes around every request: its id, the headers that every answer has, and the last resort for faults."""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.clock import token
from tidegate.http.problems import TOO_SLOW, Refusal, internal_error, respond

_log = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9-]{1,64}")

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise itself."""

_ALWAYS: Final = tuple((name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items())

LINGER_SECONDS: Final = 5.0
LINGER_SLOW_SECONDS: Final = 0.3
LINGER_BYTES: Final = 32 * 1024 * 1024
"""What of a refused body is read, and thrown away, before its connection is closed; little of one that is too slow."""


_INSIDE: Final = "tidegate.envelope"


class Envelope:
    """ASGI middleware, the outermost of this package; within another one it does nothing.

    A `guest`, in somebody else's application, leaves faults to its host.
    """

    def __init__(self, app: ASGIApp, *, guest: bool = False) -> None:
        self._app = app
        self._guest = guest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; answer for it where it fails before it began to."""
        if scope["type"] != "http" or _INSIDE in scope:
            await self._app(scope, receive, send)
            return
        scope[_INSIDE] = True
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Refusal as exc:
            if exchange.started:
                raise
            await respond(HTTPConnection(scope), exc)(scope, receive, exchange.send)
        except Exception as exc:
            if self._guest:
                raise
            connection = HTTPConnection(scope)
            _log.error("http.fault request_id=%s", connection.state.request_id, exc_info=exc)
            if exchange.started:
                raise  # the server must break the connection off: the answer is not whole
            await respond(connection, internal_error())(scope, receive, exchange.send)


class _Exchange:
    """One request and its answer, as they pass by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        headers = dict(reversed(list(scope["headers"])))  # of several of a name the first counts
        self._request_id = request_id_of(scope["headers"])
        # A state of its own: one that is shared between requests would mix up their ids.
        scope["state"] = dict(scope.get("state", {}), request_id=self._request_id)
        self._unread = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self._linger_seconds = LINGER_SECONDS
        self.started = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if message["status"] == TOO_SLOW.status:
                self._linger_seconds = LINGER_SLOW_SECONDS
            message = {**message, "headers": self._headers(message.get("headers", ()))}
        elif self._unread and message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _headers(self, said: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """What the answer says itself, and what every answer does."""
        own = {b"x-request-id": self._request_id.encode()}
        if self._unread:
            own[b"connection"] = b"close"
        headers = [pair for pair in said if pair[0] not in own]
        names = {name for name, _ in headers}
        return [*headers, *own.items(), *(pair for pair in _ALWAYS if pair[0] not in names)]

    async def _linger(self) -> None:
        """Let the sender see the answer: closing on a sender in mid-sentence resets what it has not read yet."""
        size = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(self._linger_seconds):
                while self._unread and size <= LINGER_BYTES:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        return
                    size += len(message.get("body", b""))


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id that a request brings, or one of ours."""
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else token()
