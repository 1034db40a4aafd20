"""How commands reach jobs: over HTTP, at the address given, at the one a running server noted, or in-process.

Without a server, the API itself is opened in this process, on the engine that the settings name and without
a worker: so every command means the same everywhere.
"""

import asyncio
import getpass
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import httpx2

from tidegate.config import Settings, load
from tidegate.core.problem_kinds import USER_MISSING
from tidegate.engines import file_of, shown
from tidegate.errors import ConfigError, InvalidInput, ServiceError, TidegateError, Unauthenticated
from tidegate.sdk import AsyncClient, Patience
from tidegate.sdk.connecting import API_KEY, answer, check_url, plain
from tidegate.sdk.exchange import Answer as Told
from tidegate.sdk.exchange import Request
from tidegate.sdk.lines import Awaiting
from tidegate.sdk.problems import error_of, problem_of

SERVER_FILE = "server.json"
LONGEST_USER = 255

IN_PROCESS = "the engine"
"""What answers where no server does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that was no error: its status and decoded body."""

    status: int
    body: Mapping[str, object]


class Sent(TypedDict, total=False):
    """What goes with a request."""

    content: bytes | None
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Service:
    """One user's view of a Tidegate API. Problems come back as exceptions of the error tree."""

    def __init__(self, http: httpx2.AsyncClient, where: str) -> None:
        self._http = http
        self.where = where

    def client(self) -> AsyncClient:
        """The SDK's client for it, which asks once."""
        return AsyncClient.over(self._http, Patience(tries=1))

    @property
    def line(self) -> Awaiting:
        """What carries requests to it, and brings refusals as answers."""
        return Awaiting(self._http)

    def refusal(self, told: Told, path: str) -> TidegateError:
        """The exception that an answer on this line stands for."""
        return _problem(told, path, lambda: self._http.headers.get("X-User-ID"))

    async def get(self, path: str, **query: object) -> Mapping[str, object]:
        """GET a JSON object; parameters that are None are left out."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        return (await self._send("GET", path, query=given)).body

    async def post(self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """POST a JSON body, or none."""
        content = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})} if content is not None else dict(headers or {})
        return await self._send("POST", path, content=content, headers=sent)

    async def call(self, method: str, path: str, body: object = None) -> Mapping[str, object]:
        """Any other request for a JSON object, with a JSON body or none."""
        if body is None:
            return (await self._send(method, path)).body
        sent = {"Content-Type": "application/json"}
        return (await self._send(method, path, content=json.dumps(body).encode(), headers=sent)).body

    async def upload(self, path: Path) -> str:
        """Upload a file; what a payload names it by. Raises InvalidInput when it can't be read."""
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as exc:
            raise InvalidInput("file", f"{path} can't be read: {exc.strerror}") from exc
        headers = {"X-File-Name": path.name, "Content-Type": "application/octet-stream"}
        answer = await self._send("POST", "/uploads", content=data, headers=headers)
        return str(answer.body["file"])

    async def result(self, job_id: str) -> bytes:
        """A succeeded job's result, as it is stored."""
        response = await self._request("GET", f"/jobs/{job_id}/result")
        return response.content

    async def _send(self, method: str, path: str, **sent: Unpack[Sent]) -> Answer:
        response = await self._request(method, path, **sent)
        if response.status_code == 204:
            return Answer(204, {})
        try:
            body = response.json()
        except ValueError as exc:
            raise ServiceError(f"{self.where} answered {response.status_code} with no JSON") from exc
        return Answer(response.status_code, body if isinstance(body, dict) else {"items": body})

    async def _request(self, method: str, path: str, **sent: Unpack[Sent]) -> httpx2.Response:
        content, query, headers = sent.get("content"), sent.get("query"), sent.get("headers")
        request = self._http.build_request(method, path, content=content, params=query, headers=headers)
        try:
            response = await self._http.send(request)
        except httpx2.HTTPError as exc:
            raise ServiceError(f"{self.where} can't be reached ({type(exc).__name__}): is the server running?") from exc
        if response.status_code >= 400:
            raise problem(response, path)
        return response


def problem(response: httpx2.Response, path: str) -> TidegateError:
    """The exception that an error response stands for, in the words of the command line."""
    return _problem(answer(response, response.content), path, lambda: response.request.headers.get("X-User-ID"))


def _problem(told: Told, path: str, asker: Callable[[], str | None]) -> TidegateError:
    job_id = path.split("/")[2] if path.startswith("/jobs/") else ""
    asked = Request(method="", path=path, job_id=job_id)
    said, error = problem_of(told), error_of(told, asked, "the server")
    if said is not None and said.type == USER_MISSING.uri:
        named = asker()
        why = "the key is nobody's own" if named is None else f"{named!r} is no one user"
        return InvalidInput("user", f"{why}: say whom you mean (--user, TIDEGATE_USER)")
    return Unauthenticated(f"{error} (TIDEGATE_API_KEY)") if isinstance(error, Unauthenticated) else error


def _asker(user_id: str | None, *, keyed: bool) -> Mapping[str, str]:
    """Who asks: whom the command or `TIDEGATE_USER` names, else whose the key is, else the name of the account.

    So an operator's key that is nobody's own shows everybody's jobs, as `*` does.
    """
    asker = user_id or os.environ.get("TIDEGATE_USER", "")
    if keyed and not asker:
        return {}
    return {"X-User-ID": _header(asker or getpass.getuser())}


def _header(user_id: str) -> str:
    well = user_id.isascii() and user_id.isprintable() and user_id == user_id.strip()
    if not (well and 1 <= len(user_id) <= LONGEST_USER):
        allowed = f"1 to {LONGEST_USER} printable ASCII characters, no space first or last"
        raise InvalidInput("user", f"{allowed} (--user, TIDEGATE_USER)")
    return user_id


def _headers(user_id: str | None) -> Mapping[str, str]:
    """What every request to a server says."""
    key = _key()
    return {**_asker(user_id, keyed=bool(key)), **key}


def _key() -> Mapping[str, str]:
    key = os.environ.get(API_KEY, "")
    return {"Authorization": f"Bearer {plain(API_KEY, key)}"} if key else {}


def _address(url: str | None) -> str | None:
    """Where the server is that is meant; None where none runs."""
    named = url or os.environ.get("TIDEGATE_URL")
    return _checked(named) if named else _beside(load())


def _checked(url: str) -> str:
    try:
        check_url(url)
    except ConfigError as exc:
        raise ConfigError(f"{exc} (--url, TIDEGATE_URL)") from exc
    return url


@asynccontextmanager
async def reach(url: str | None, user_id: str | None, *, making: bool = False) -> AsyncIterator[Service]:
    """The service at `url`, at the running server of this data folder, or in this process.

    Raises ConfigError for an address or a key that can't be. Who only looks finds a store or a
    ConfigError; with `making`, an embedded store that is missing is made.
    """
    address = _address(url)
    if address:
        async with httpx2.AsyncClient(base_url=address, headers=_headers(user_id), timeout=30) as http:
            yield Service(http, address)
        return
    headers = _asker(user_id, keyed=False)
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(_in_process(making=making))
        http = httpx2.AsyncClient(base_url="http://in-process", headers=headers, transport=transport, timeout=30)
        yield Service(await stack.enter_async_context(http), IN_PROCESS)


@asynccontextmanager
async def connect(url: str | None, user_id: str | None, connections: int) -> AsyncIterator[Service]:
    """The service at `url`, or at the running server of this data folder, for so many requests at once.

    Raises ConfigError as `reach` does, and where there is no server.
    """
    address = _address(url)
    if not address:
        raise ConfigError("no server runs on this data folder (TIDEGATE_DATA_DIR): start one, or give --url")
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx2.AsyncClient(base_url=address, headers=_headers(user_id), timeout=30, limits=limits) as http:
        yield Service(http, address)


@dataclass(frozen=True, slots=True)
class Running:
    """A server of this data folder: its address, and the store it is on, as `engines.shown` tells it."""

    url: str
    store: str

    def elsewhere(self, settings: Settings) -> bool:
        """Whether these settings name another store than the server's."""
        return bool(settings.engine and self.store) and self.store != shown(settings.engine)


def running(settings: Settings) -> Running | None:
    """What a server of this data folder noted, if its process lives."""
    try:
        noted = json.loads((settings.data_dir / SERVER_FILE).read_text())
        url, pid, store = str(noted["url"]), int(noted["pid"]), str(noted.get("store", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Running(url, store) if _lives(pid) else None


def missing(settings: Settings) -> Path | None:
    """The file of the embedded store that these settings name, where it has not been made yet."""
    file = file_of(settings.engine_url)
    return None if file is None or file.exists() else file


def _beside(settings: Settings) -> str | None:
    found = running(settings)
    if found is not None and found.elsewhere(settings):
        raise ConfigError(
            f"the server running on this data folder ({settings.data_dir}) uses another store ({found.store}) "
            f"than {settings.engine_from} names ({shown(settings.engine)}): give --url, or another TIDEGATE_DATA_DIR"
        )
    return found.url if found is not None else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


@asynccontextmanager
async def _in_process(*, making: bool) -> AsyncIterator[httpx2.ASGITransport]:
    settings = load(limit_user_per_hour=0, limit_ip_per_minute=0, log_level="error", auth="none", auth_role="admin")
    file = missing(settings)
    if file is not None and not making:
        raise ConfigError(f"no store here: there is no {file} (TIDEGATE_DATA_DIR={settings.data_dir}), and no server")
    from tidegate.cli.serving import application
    from tidegate.http.app import create_app

    served = application(settings)
    api = create_app(served, worker=False)
    async with api.router.lifespan_context(api):
        await served.system.upstreams.keeper.refresh()  # a server has read it long before anybody asks
        yield httpx2.ASGITransport(app=api)
