"""Sessions of browsers: they may what their key may, for as long, on our own pages; made-up cookies cost little."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from ipaddress import ip_network

import httpx2
import pytest

from tests.http.calls import ADA, problem
from tests.http.handlers import application
from tests.http.keyed import ADMIN, guarded, key
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.access import Role
from tidegate.http.app import create_app
from tidegate.http.guards import keyring
from tidegate.http.guards.keyring import STRANGERS
from tidegate.http.live import streams


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """There is an administrators' key; with a parameter, an address may POST so often a minute."""
    limit = getattr(request, "param", settings.limit_ip_per_minute)
    return guarded(settings.model_copy(update={"limit_ip_per_minute": limit}))


HERE = {"Origin": "http://here"}


async def _login(api: httpx2.AsyncClient, headers: dict[str, str]) -> httpx2.Response:
    key = headers["Authorization"].removeprefix("Bearer ")
    return await api.post("/session", json={"key": key}, headers=HERE)


async def test_a_session_stands_for_its_key_and_its_cookie_is_out_of_reach_for_scripts(
    locked: httpx2.AsyncClient,
) -> None:
    begun = await _login(locked, await key(locked, Role.WRITER, "ada"))
    assert begun.status_code == 201
    cookie = begun.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
    assert (await locked.get("/session")).json() == {"role": "writer", "name": "writer ada", "user_id": "ada"}
    assert (await locked.post("/jobs", json={"type": "echo"}, headers=HERE)).status_code == 201
    assert (await locked.delete("/session", headers=HERE)).status_code == 204
    problem(await locked.get("/session"), 401, "unauthenticated")


async def test_the_administrators_key_of_the_settings_begins_a_session_that_may_what_it_may(
    locked: httpx2.AsyncClient,
) -> None:
    assert (await _login(locked, ADMIN)).json() == {"role": "admin", "name": "admin", "user_id": None}
    assert (await locked.get("/session")).json() == {"role": "admin", "name": "admin", "user_id": None}
    made = await locked.post("/keys", json={"name": "a", "role": "reader"}, headers=HERE)
    assert made.status_code == 201
    problem(await locked.post("/keys", json={"name": "b", "role": "reader"}), 403, "access-denied")
    assert (await locked.get("/jobs")).json()["items"] == []
    assert (await locked.delete("/session", headers=HERE)).status_code == 204
    problem(await locked.get("/keys"), 401, "unauthenticated")


@pytest.mark.parametrize("settings", [3], indirect=True)
async def test_wrong_keys_shut_nobody_out_who_has_one(locked: httpx2.AsyncClient) -> None:
    wrong = {"Authorization": "Bearer tg_aaaaaaaa_" + "b" * 52}
    assert [(await _login(locked, wrong)).status_code for _ in range(4)] == [401] * 4
    assert (await locked.post("/jobs", json={"type": "echo"}, headers=ADMIN | ADA)).status_code == 201


PROXIED = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}
LASTING = {"hsts": timedelta(days=365)}


@pytest.mark.parametrize(
    ("changed", "base", "headers", "secure"),
    [
        ({}, "http://here", {}, False),
        ({}, "http://here", HERE, False),
        ({}, "http://here", {"Origin": "https://here"}, True),
        ({}, "https://here", {}, True),
        (LASTING, "http://here", {}, True),
        (PROXIED, "http://here", {"X-Forwarded-Proto": "https"}, True),
        (PROXIED, "http://here", {"X-Forwarded-Proto": "http, HTTPS"}, True),
        (PROXIED, "http://here", {"X-Forwarded-Proto": "http"}, False),
        (PROXIED, "http://here", {}, False),
        ({}, "http://here", {"X-Forwarded-Proto": "https"}, False),
    ],
)
async def test_a_cookie_that_was_given_by_tls_is_never_sent_without(
    settings: Settings, changed: dict[str, object], base: str, headers: dict[str, str], *, secure: bool
) -> None:
    api = create_app(application(settings.model_copy(update=changed)), worker=False)
    transport = httpx2.ASGITransport(app=api)
    async with api.router.lifespan_context(api), httpx2.AsyncClient(transport=transport, base_url=base) as client:
        text = ADMIN["Authorization"].removeprefix("Bearer ")
        begun = await client.post("/session", json={"key": text}, headers=headers)
        ended = await client.delete("/session", headers=headers | ADMIN)
    assert [answer.status_code for answer in (begun, ended)] == [201, 204]
    assert ["secure" in answer.headers["set-cookie"].lower() for answer in (begun, ended)] == [secure, secure]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Origin": "http://evil"},
        {"Origin": "null"},
        {"Origin": "null", "Host": ""},
        {"Origin": "http://[here"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_another_sites_page_changes_nothing_by_a_session(
    locked: httpx2.AsyncClient, said: dict[str, str]
) -> None:
    await _login(locked, await key(locked, Role.WRITER, "ada"))
    refused = await locked.post("/jobs", json={"type": "echo"}, headers=said)
    problem(refused, 403, "access-denied")
    assert "send Origin: this server's own" in refused.json()["detail"]


async def test_a_session_ends_with_its_key(locked: httpx2.AsyncClient) -> None:
    ada = await key(locked, Role.WRITER, "ada")
    await _login(locked, ada)
    assert (await locked.get("/jobs")).status_code == 200
    key_id = ada["Authorization"].split("_")[1]
    await locked.delete(f"/keys/{key_id}", headers=ADMIN)
    problem(await locked.get("/jobs"), 401, "unauthenticated")


async def test_who_makes_cookies_up_costs_the_store_little_and_is_told_to_wait(
    locked: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "KNOWN_FOR", timedelta(hours=1))  # however slow this machine is, keys are read once
    ada = await key(locked, Role.WRITER, "ada")
    asked = list[str]()
    for verb in ("take", "load", "scan"):
        monkeypatch.setattr(app.system.engine, verb, _counted(getattr(app.system.engine, verb), asked))
    cookies = (f"tidegate_session=aaaaaaaa.{number:032x}.{'0' * 64}" for number in range(200))
    answers = [(await locked.get("/jobs", headers={"Cookie": cookie})).status_code for cookie in cookies]
    assert answers == [401] * 30 + [429] * 170
    assert len(asked) <= 31 + STRANGERS + 2  # and all keys are read once, in two calls
    problem(await locked.get("/jobs", headers={"Cookie": "tidegate_session=x"}), 429, "rate-limited")
    assert (await locked.get("/jobs", headers=ada)).status_code == 200


def _counted(verb: Callable[..., Awaitable[object]], asked: list[str]) -> Callable[..., Awaitable[object]]:
    async def counting(*given: object) -> object:
        asked.append(verb.__name__)
        return await verb(*given)

    return counting


async def test_what_is_no_key_begins_no_session(locked: httpx2.AsyncClient) -> None:
    problem(await locked.post("/session", json={"key": "tg_x"}, headers=HERE), 401, "unauthenticated")


async def test_a_stream_ends_with_its_key(server: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    shown = await key(server, Role.READER, "ada")
    async with asyncio.timeout(30), server.stream("GET", "/events", headers=shown | ADA) as stream:
        told = stream.aiter_bytes()
        assert (await anext(told)).startswith(b"retry")
        assert stream.status_code == 200
        await server.delete(f"/keys/{shown['Authorization'].split('_')[1]}", headers=ADMIN)
        async for _ in told:
            pass


async def test_a_session_and_a_stream_end_with_the_text_of_the_key_that_they_were_begun_with(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(keyring, "ROTATION", timedelta(seconds=1))
    del server.headers["X-User-ID"]
    old = await key(server, Role.READER, "ada")
    await server.post("/session", json={"key": old["Authorization"].removeprefix("Bearer ")})
    async with asyncio.timeout(30), server.stream("GET", "/events") as stream:
        told = stream.aiter_bytes()
        assert (await anext(told)).startswith(b"retry")
        rotated = await server.post(f"/keys/{old['Authorization'].split('_')[1]}/rotate", headers=ADMIN)
        async for _ in told:
            pass
    for shown in ({}, old):
        problem(await server.get("/jobs", headers=shown), 401, "unauthenticated")
    new = {"Authorization": f"Bearer {rotated.json()['key']}"}
    assert (await server.get("/jobs", headers=new)).status_code == 200
