"""Read request bodies: counted and timed while they come in, and JSON more strictly than any library's default."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterable
from typing import Final, NoReturn

from starlette.requests import Request

from tidegate.core.idempotency import JSON
from tidegate.core.job import PAYLOAD_LIMIT
from tidegate.errors import TooLarge
from tidegate.http.problems import MALFORMED_JSON, TOO_SLOW, UNSUPPORTED_MEDIA_TYPE, Refusal

BODY_LIMIT: Final = PAYLOAD_LIMIT + PAYLOAD_LIMIT // 4
"""Bytes of a JSON body: a payload and as much as anybody could say about it."""

HEADWAY: Final = 128 * 1024
"""Bytes of an upload that have to come while a body of JSON would have to be complete."""

PATIENCE_SCOPE: Final = "tidegate.patience"
"""In the scope of a request: the seconds that its body may take."""

BODY_SCOPE: Final = "tidegate.body"
"""In the scope of a request whose whole body is here already: the body."""

DEEPEST: Final = 64
"""Levels of nesting; deeper is an attack on parsers, not data."""

_JSON_TYPE: Final = re.compile(r"application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE | re.DOTALL)
_PLAIN_TYPES: Final = ("application/json", "")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


async def read_json(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The body of a request that says it is JSON, or does not say what it is.

    Raises TooLarge as soon as more than `limit` bytes are announced or have come, and Refusal for another
    media type, a compressed body, or one that is not here in time.
    """
    _refuse_other(request)
    if announced(request) > limit:
        raise _too_large(limit)
    patience = _patience(request)
    try:
        async with asyncio.timeout(patience):
            return await _whole(request, limit)
    except TimeoutError:
        raise _too_slow(patience) from None


def json_here(request: Request) -> bytes:
    """The same of a request whose body is here already, and small."""
    _refuse_other(request)
    body: bytes = request.scope[BODY_SCOPE]
    return body


def _refuse_other(request: Request) -> None:
    refuse_encoded(request)
    content_type = request.headers.get("content-type", "")
    if content_type not in _PLAIN_TYPES and not _JSON_TYPE.fullmatch(content_type):
        raise Refusal(UNSUPPORTED_MEDIA_TYPE, "send the body as Content-Type: application/json")


async def _whole(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def timed(request: Request, headway: int = HEADWAY) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Refusal where its sender makes us wait too long.

    What counts is the time spent waiting for each `headway` bytes, or for the end.
    """
    patience = _patience(request)
    loop, chunks = asyncio.get_running_loop(), request.stream()
    left, size = patience, 0
    while True:
        since = loop.time()
        try:
            async with asyncio.timeout(left):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise _too_slow(patience) from None
        if chunk is None:
            return
        left, size = left - (loop.time() - since), size + len(chunk)
        if size >= headway:
            left, size = patience, 0
        yield chunk


def _patience(request: Request) -> float:
    """Seconds that its body may take."""
    patience: float = request.scope.get(PATIENCE_SCOPE, 10.0)
    return patience


def _too_slow(patience: float) -> Refusal:
    return Refusal(TOO_SLOW, f"the body made too little headway in {patience:g} s")


def announced(request: Request) -> int:
    """The body's length as the request tells it, 0 where it does not."""
    length = request.headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def refuse_encoded(request: Request) -> None:
    """Refuse a compressed body: nobody here unpacks one, so none can be a bomb."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refusal(UNSUPPORTED_MEDIA_TYPE, f"send the body without Content-Encoding: {encoding[:40]!r} is not taken")


def parse_json(body: bytes) -> JSON:
    """What a JSON text means.

    Raises Refusal for what is no JSON (NaN, infinities and numbers that overflow to one, lone surrogates and
    a byte order mark among it), for a repeated name in an object, and for more than 64 levels.
    """
    try:
        value: JSON = _decoder.decode(body.decode())
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:  # UnicodeError and JSONDecodeError are ValueErrors
        raise _malformed(exc) from exc
    if body.count(b"[") + body.count(b"{") > DEEPEST and _deeper(value, DEEPEST):
        raise Refusal(MALFORMED_JSON, f"it is nested deeper than {DEEPEST} levels")
    return value


def _too_large(limit: int) -> TooLarge:
    return TooLarge("", f"the body is over the {limit} bytes allowed; upload the data and refer to it", limit=limit)


def _malformed(exc: Exception) -> Refusal:
    if isinstance(exc, json.JSONDecodeError):
        return Refusal(MALFORMED_JSON, f"{exc.msg} at line {exc.lineno}, column {exc.colno}")
    if isinstance(exc, UnicodeError):
        return Refusal(MALFORMED_JSON, "it is not valid UTF-8, or holds half of a surrogate pair")
    if isinstance(exc, RecursionError):
        return Refusal(MALFORMED_JSON, f"it is nested deeper than {DEEPEST} levels")
    if str(exc).startswith("Exceeds the limit"):  # what Python says of whole numbers beyond its patience
        return Refusal(MALFORMED_JSON, "a whole number in it has thousands of digits")
    return Refusal(MALFORMED_JSON, str(exc)[:200])


def _object(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {repeated[:80]!r} is there more than once in an object")
    return made


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


_decoder: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite)


def _deeper(value: JSON, levels: int) -> bool:
    """Whether `value` has more than `levels` levels; looked at level by level, so nothing can overflow."""
    level = [value]
    for _ in range(levels):
        level = [inner for outer in level for inner in _inside(outer)]
    return any(isinstance(item, dict | list) for item in level)


def _inside(value: JSON) -> Iterable[JSON]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()
