"""What goes around every request: its id, the headers that every answer has, and the last resort for faults."""

import asyncio
import logging
import re
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.clock import token
from tidegate.http.problems import internal_error, respond

_log = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise itself."""

LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 32 * 1024 * 1024
"""What of a refused body is read, and thrown away, before its connection is closed."""


class Envelope:
    """ASGI middleware, the outermost of this package."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; answer for it where it fails before it began to."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as exc:
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
        headers = Headers(scope=scope)
        # A state of its own: one that is shared between requests would mix up their ids.
        scope["state"] = dict(scope.get("state", {}), request_id=_request_id(headers))
        self._request_id = scope["state"]["request_id"]
        self._unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self.started = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if self._unread:
                headers["Connection"] = "close"
        elif self._unread and message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _linger(self) -> None:
        """Let the sender see the answer: closing on a sender in mid-sentence resets what it has not read yet."""
        size = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self._unread and size <= LINGER_BYTES:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        return
                    size += len(message.get("body", b""))


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else token()
