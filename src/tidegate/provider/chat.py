"""Answers chat completions over ASGI, well or as badly as the script says."""

import asyncio
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from tidegate.provider import answers
from tidegate.provider.answers import Answer, Headers
from tidegate.provider.asked import Asked, Mistaken, read
from tidegate.provider.decision import Decision, Verdict
from tidegate.provider.state import Call, Provider, Tenancy
from tidegate.provider.timeline import Does

LARGEST_BODY: Final = 10_000_000
JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream; charset=utf-8"


class CallerLeft(Exception):
    """The caller closed the connection before the answer."""


def allowed(scope: Scope, key: bytes | None) -> bool:
    """Whether the caller shows the key that is required, if one is."""
    if key is None:
        return True
    return hmac.compare_digest(_header(scope, b"authorization") or b"", b"Bearer " + key)


class Chat:
    """One call after the other, each to its line in the log."""

    def __init__(self, provider: Provider, key: bytes | None) -> None:
        self._provider = provider
        self._key = key

    async def handle(self, tenancy: Tenancy, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        call = self._provider.arrive(tenancy)
        verdict, status = Verdict.UNANSWERED, None
        try:
            verdict, status = await self._checked(call, _Wire(scope, receive, send, call.id))
        except CallerLeft:
            verdict = Verdict.ABANDONED
        finally:
            call.end(verdict, status)

    async def _checked(self, call: Call, wire: "_Wire") -> tuple[Verdict, int | None]:
        try:
            call.job = wire.header(b"x-job-id")
            asked = read(await wire.body(self._key))
            call.job = call.job or asked.user
            decision = call.decide()
            if decision.status >= 400 or decision.does in (Does.BLACK_HOLE, Does.DISCONNECT):
                await _refuse(decision, wire)
            else:
                await _say(answers.answer(asked, call.id, self._provider.wall()), asked, decision, wire)
        except Mistaken as exc:
            status = exc.status
            await wire.whole(status, answers.mistake(exc))
            return Verdict.INVALID, status
        return decision.verdict, None if decision.verdict is Verdict.UNANSWERED else decision.status


async def _refuse(decision: Decision, wire: "_Wire") -> None:
    match decision.does:
        case Does.BLACK_HOLE:
            await wire.hold()
        case Does.DISCONNECT:
            await wire.wait(decision.latency)
            wire.abort()
        case _:
            await wire.wait(decision.latency)
            body, headers = answers.error(decision)
            await wire.whole(decision.status, body, headers)


async def _say(found: Answer, asked: Asked, decision: Decision, wire: "_Wire") -> None:
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        events = list(answers.chunks(found, usage=usage))
        await _stream(_spoiled(events, found, decision.does), decision, wire)
        return
    await wire.wait(decision.latency)
    match decision.does:
        case Does.INVALID_JSON:
            await wire.whole(decision.status, answers.NOT_JSON)
        case Does.ERROR_IN_200:
            await wire.whole(decision.status, answers.error(decision)[0])
        case Does.TRUNCATE:
            await wire.half(answers.completion(found))
        case _:
            await wire.whole(decision.status, answers.completion(found))


def _spoiled(events: Sequence[bytes], found: Answer, does: Does) -> list[bytes]:
    """The events of a stream, the second half of them replaced by what goes wrong."""
    half = [*events[: max(len(events) // 2, 1)]]
    match does:
        case Does.TRUNCATE:
            return half
        case Does.ERROR_IN_200:
            return [*half, answers.broken_chunk(found), answers.DONE]
        case Does.INVALID_JSON:
            return [*half, b'data: {"id": "chatcm\n\n', answers.DONE]
        case _:
            return [*events, answers.DONE]


async def _stream(events: Sequence[bytes], decision: Decision, wire: "_Wire") -> None:
    """A fifth of the time passes before the first word, the rest between the words."""
    whole = decision.does is not Does.TRUNCATE
    if decision.latency == 0:
        await wire.stream([b"".join(events)], 0.0, whole=whole)
        return
    await wire.wait(decision.latency / 5)
    await wire.stream(events, decision.latency * 4 / 5 / len(events), whole=whole)


class _Wire:
    """The connection of one call."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, call: str) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._call = call.encode()

    def header(self, name: bytes) -> str | None:
        """A header of the call."""
        found = _header(self._scope, name)
        return None if found is None else found.decode("latin-1")

    async def body(self, key: bytes | None) -> bytes:
        """What is asked. Raises Mistaken for a wrong method, key or size."""
        if self._scope["method"] != "POST":
            raise Mistaken("Not allowed to do that here: POST", status=405)
        if not allowed(self._scope, key):
            raise Mistaken("Incorrect API key provided.", status=401)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise CallerLeft
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > LARGEST_BODY:
                raise Mistaken(f"The body is larger than {LARGEST_BODY:,} bytes", status=413)
            more = message.get("more_body", False)
        return b"".join(parts)

    async def wait(self, seconds: float) -> None:
        """Let time pass. Raises CallerLeft."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self.hold()
            except TimeoutError:
                return
            raise CallerLeft

    async def hold(self) -> None:
        """Answer nothing until the caller has enough."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def abort(self) -> None:
        """Close the connection in the middle of nothing."""
        self._scope["state"]["transport"].abort()

    async def whole(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Send a body."""
        await self._begin(status, [*self._headers(JSON), (b"content-length", b"%d" % len(body)), *headers])
        await self._send({"type": "http.response.body", "body": body})

    async def half(self, body: bytes) -> None:
        """Promise a body and send half of it; the server then closes the connection."""
        await self._begin(200, [*self._headers(JSON), (b"content-length", b"%d" % len(body))])
        await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})

    async def stream(self, events: Sequence[bytes], pause: float, *, whole: bool) -> None:
        """Send events one after the other; without the end of the body where it is not whole. Raises CallerLeft."""
        await self._begin(200, [*self._headers(EVENTS), (b"cache-control", b"no-cache")])
        for event in events:
            await self.wait(pause)
            await self._send({"type": "http.response.body", "body": event, "more_body": True})
        if whole:
            await self._send({"type": "http.response.body", "body": b""})

    async def _begin(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _headers(self, kind: bytes) -> Headers:
        return [(b"content-type", kind), (b"x-request-id", self._call)]


def _header(scope: Scope, name: bytes) -> bytes | None:
    for found, value in scope["headers"]:
        if found == name:
            return bytes(value)
    return None
