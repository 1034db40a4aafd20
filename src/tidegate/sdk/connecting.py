"""Which server, who asks, and how patiently: from arguments, then from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import httpx2

from tidegate.errors import ConfigError
from tidegate.sdk.asking import LONGEST_WAIT, Means, Patience
from tidegate.sdk.exchange import Answer, Line, Request

URL: Final = "TIDEGATE_URL"
USER: Final = "TIDEGATE_USER"
API_KEY: Final = "TIDEGATE_API_KEY"
MAX_WAIT: Final = "CLIENT_MAX_WAIT_SECONDS"

LONGEST_HEADER: Final = 255

FAULTS: Final = (httpx2.HTTPError, httpx2.StreamError)
"""What breaks an exchange, so that there is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A server's address and what every request tells it. The headers may hold a key, so they are never shown."""

    url: str
    headers: Mapping[str, str] = field(repr=False)

    @property
    def where(self) -> str:
        """The address, without what may be secret in it."""
        return where(self.url)


def connection(url: str | None, user_id: str | None, api_key: str | None) -> Connection:
    """What is given, or else what the environment has; raises ConfigError. A key alone may say who asks."""
    address = url or os.environ.get(URL, "")
    if not address:
        raise ConfigError(f"no server: give its URL, or set {URL}")
    check_url(address)
    user, key = user_id or os.environ.get(USER, ""), api_key or os.environ.get(API_KEY, "")
    if not user and not key:
        raise ConfigError(f"nobody asks: give user_id or set {USER}, or use an API key ({API_KEY})")
    headers = {"X-User-ID": plain("user_id", user)} if user else {}
    if key:
        headers["Authorization"] = f"Bearer {plain('api_key', key)}"
    return Connection(url=address, headers=headers)


def means(line: Line, where: str, patience: Patience) -> Means:
    """What calls are made with; raises ConfigError for a wait that is none."""
    return Means(line=line, where=where, patience=patience, max_wait=longest_wait())


def longest_wait() -> timedelta:
    """What a result is waited for unless said otherwise; raises ConfigError."""
    text = os.environ.get(MAX_WAIT, "")
    if not text:
        return LONGEST_WAIT
    try:
        longest = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        longest = timedelta(0)
    if longest <= timedelta(0):
        raise ConfigError(f"{MAX_WAIT}: a number of seconds above 0, such as {LONGEST_WAIT.total_seconds():g}")
    return longest


def check_url(address: str) -> None:
    """Raise ConfigError for what is no server's address."""
    try:
        parts = urlsplit(address)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond all ports, half an IPv6 address
        well = False
    if not well:
        raise ConfigError("the server's URL must be like http://127.0.0.1:8080")


def where(url: str) -> str:
    """What errors call a server: its address without a user, a password or a query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"


def built(http: httpx2.Client | httpx2.AsyncClient, request: Request) -> httpx2.Request:
    """The request as it is sent."""
    return http.build_request(
        request.method,
        request.path,
        params=dict(request.query) or None,
        headers=dict(request.headers),
        content=request.content,
        timeout=http.timeout if request.silence is None else _silent(http, request.silence),
    )


def answer(response: httpx2.Response, body: bytes) -> Answer:
    """A response as a value."""
    return Answer(status=response.status_code, headers=dict(response.headers.items()), body=body)


def _silent(http: httpx2.Client | httpx2.AsyncClient, silence: float) -> httpx2.Timeout:
    usual = http.timeout
    return httpx2.Timeout(connect=usual.connect, read=silence, write=usual.write, pool=usual.pool)


def plain(name: str, value: str) -> str:
    """A header's value; raises ConfigError, which says what is wrong with it without it."""
    if not (value.isascii() and value.isprintable() and value == value.strip() and len(value) <= LONGEST_HEADER):
        raise ConfigError(f"{name}: 1 to {LONGEST_HEADER} printable ASCII characters, no space first or last")
    return value
