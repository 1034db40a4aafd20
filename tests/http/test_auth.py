"""Who may do what: roles by route, whose jobs, and that nothing but a key or its session opens anything."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi.routing import APIRoute

from tests.http.calls import ADA, BOB, post, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached, served
from tidegate.app import Tidegate
from tidegate.core.access import Role
from tidegate.errors import ConfigError
from tidegate.http.app import create_app
from tidegate.http.guards.auth import NEEDS, OPEN, SAFE
from tidegate.http.live import streams
from tidegate.http.openapi import operation_id
from tidegate.http.server import Server

ADMIN = {"Authorization": "Bearer an-administrators-own-key"}


@pytest.fixture
def app(tmp_path: Path) -> Tidegate:
    settings = plain_settings(tmp_path / "data").model_copy(update={"admin_key": _secret()})
    return application(settings)


def _secret() -> object:
    from pydantic import SecretStr

    return SecretStr("an-administrators-own-key")


@pytest.fixture
async def locked(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """An API that wants a key, asked without one."""
    async with reached(app, worker=False) as client:
        del client.headers["X-User-ID"]
        yield client


async def _key(api: httpx2.AsyncClient, role: Role, user_id: str | None = None, **more: object) -> dict[str, str]:
    """The header of a new key."""
    body = {"name": f"{role} {user_id}", "role": role, "user_id": user_id, **more}
    made = await api.post("/keys", json=body, headers=ADMIN)
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['key']}"}


def _routes() -> list[APIRoute]:
    return [route for route in create_app(Tidegate()).routes if isinstance(route, APIRoute)]


ROUTES = sorted({(method, operation_id(route)) for route in _routes() for method in route.methods or ()})
FOUND = {(method, operation_id(route)): route for route in _routes() for method in route.methods or ()}


def test_every_route_has_a_tag_whose_roles_were_thought_of() -> None:
    assert {str(route.tags[0]) for route in _routes()} <= set(NEEDS)
    assert {operation for _, operation in ROUTES} >= OPEN


@pytest.mark.parametrize(("method", "operation"), ROUTES)
async def test_a_route_is_closed_without_a_key_and_to_lesser_roles(
    locked: httpx2.AsyncClient, method: str, operation: str
) -> None:
    route = FOUND[method, operation]
    place = route.path.replace("{path:path}", "a").replace("{job_id}", "0" * 8).replace("{key_id}", "a" * 8)
    place = place.replace("{", "").replace("}", "")
    streams = "events" in route.path
    bare = await locked.request(method, place)
    if operation in OPEN:
        assert bare.status_code not in (401, 403)
        return
    problem(bare, 401, "unauthenticated")
    assert bare.headers["www-authenticate"].startswith("Bearer")
    least = NEEDS[str(route.tags[0])][0 if method in SAFE else 1]
    for role in Role:
        headers = await _key(locked, role, "ada")
        if role.includes(least):
            if not streams:
                allowed = await locked.request(method, place, headers=headers)
                assert allowed.status_code not in (401, 403), (role, allowed.text)
        else:
            problem(await locked.request(method, place, headers=headers), 403, "access-denied")


async def test_a_users_key_sees_its_own_jobs_and_an_operators_sees_all(locked: httpx2.AsyncClient) -> None:
    ada, bob = await _key(locked, Role.WRITER, "ada"), await _key(locked, Role.WRITER, "bob")
    job_id = (await locked.post("/jobs", json={"type": "echo"}, headers=ada)).json()["job_id"]
    assert (await locked.get(f"/jobs/{job_id}", headers=ada)).json()["user_id"] == "ada"
    problem(await locked.get(f"/jobs/{job_id}", headers=bob), 404, "job-not-found")
    problem(await locked.post(f"/jobs/{job_id}/cancel", headers=bob), 404, "job-not-found")
    assert (await locked.get("/jobs", headers=bob)).json()["items"] == []
    problem(await locked.get("/jobs", params={"user": "ada"}, headers=bob), 403, "access-denied")
    for operator in (await _key(locked, Role.OPERATOR), await _key(locked, Role.OPERATOR, "olga")):
        assert (await locked.get(f"/jobs/{job_id}", headers=operator)).status_code == 200
        assert [job["job_id"] for job in (await locked.get("/jobs", headers=operator)).json()["items"]] == [job_id]
        found = await locked.get("/jobs", params={"user": "bob"}, headers=operator)
        assert found.json()["items"] == []
    assert (await locked.post(f"/jobs/{job_id}/cancel", headers=operator)).json()["status"] == "cancelled"


async def test_the_header_impersonates_nobody(locked: httpx2.AsyncClient) -> None:
    ada = await _key(locked, Role.WRITER, "ada")
    problem(await locked.post("/jobs", json={"type": "echo"}, headers=ada | BOB), 403, "access-denied")
    assert (await locked.post("/jobs", json={"type": "echo"}, headers=ada | ADA)).status_code == 201


async def test_a_key_without_a_user_acts_for_those_it_names(locked: httpx2.AsyncClient) -> None:
    service = await _key(locked, Role.WRITER)
    problem(await locked.post("/jobs", json={"type": "echo"}, headers=service), 400, "user-missing")
    job_id = (await locked.post("/jobs", json={"type": "echo"}, headers=service | ADA)).json()["job_id"]
    problem(await locked.get(f"/jobs/{job_id}", headers=service | BOB), 404, "job-not-found")
    problem(await locked.get(f"/jobs/{job_id}", headers=service), 400, "user-missing")


async def test_an_operators_word_bears_the_name_of_its_key(locked: httpx2.AsyncClient) -> None:
    operator = await _key(locked, Role.OPERATOR)
    await locked.post("/queues/default/pause", json={}, headers=operator)
    assert (await locked.get("/queues/default", headers=operator)).json()["why"] == "paused by operator None"


async def test_a_job_that_acts_on_everybodys_jobs_is_no_users_to_retry(locked: httpx2.AsyncClient) -> None:
    asked = {"action": "cancel", "filter": {"user": "*", "type": "echo"}}
    operator, ada = await _key(locked, Role.OPERATOR, name="ada"), await _key(locked, Role.WRITER, "ada")
    for headers in (operator, operator | ADA):
        job_id = (await locked.post("/jobs/actions", json=asked, headers=headers)).json()["job_id"]
        assert (await locked.post(f"/jobs/{job_id}/cancel", headers=operator)).status_code == 200
        problem(await locked.post(f"/jobs/{job_id}/retry", headers=ada), 404, "job-not-found")
    own = await locked.post("/jobs/actions", json=asked | {"filter": {"user": "ada", "type": "echo"}}, headers=operator)
    assert (await locked.get(f"/jobs/{own.json()['job_id']}", headers=ada)).status_code == 200


async def test_nobody_asks_under_a_name_of_tidegates_own(locked: httpx2.AsyncClient) -> None:
    service, user = await _key(locked, Role.WRITER), await _key(locked, Role.WRITER, "tidegate.operator.ada")
    problem(await locked.get("/jobs", headers=service | {"X-User-ID": "tidegate.operator.ada"}), 403, "access-denied")
    problem(await locked.get("/jobs", headers=user), 403, "access-denied")


@pytest.mark.parametrize(
    "shown",
    ["Bearer", "Bearer ", "Bearer tg_aaaaaaaa_" + "a" * 43, "Basic YTpi", "Bearer an-administrators-own-ke", "x"],
)
async def test_what_is_no_key_opens_nothing(locked: httpx2.AsyncClient, shown: str) -> None:
    problem(await locked.get("/jobs", headers=ADA | {"Authorization": shown}), 401, "unauthenticated")


async def test_a_key_that_is_over_or_revoked_opens_nothing(locked: httpx2.AsyncClient) -> None:
    short = await _key(locked, Role.READER, "ada", expires_in=0.001)
    problem(await locked.get("/jobs", headers=short), 401, "unauthenticated")
    ada = await _key(locked, Role.READER, "ada")
    assert (await locked.get("/jobs", headers=ada)).status_code == 200
    key_id = ada["Authorization"].split("_")[1]
    assert (await locked.delete(f"/keys/{key_id}", headers=ADMIN)).status_code == 204
    problem(await locked.get("/jobs", headers=ada), 401, "unauthenticated")
    problem(await locked.delete(f"/keys/{key_id}", headers=ADMIN), 404, "not-found")


async def test_both_texts_of_a_rotated_key_open_for_a_day(locked: httpx2.AsyncClient) -> None:
    before = await _key(locked, Role.READER, "ada")
    key_id = before["Authorization"].split("_")[1]
    rotated = (await locked.post(f"/keys/{key_id}/rotate", headers=ADMIN)).json()
    after = {"Authorization": f"Bearer {rotated['key']}"}
    assert rotated["id"] == key_id
    for headers in (before, after):
        assert (await locked.get("/jobs", headers=headers)).status_code == 200


async def test_no_answer_but_the_first_tells_a_key(locked: httpx2.AsyncClient) -> None:
    ada = await _key(locked, Role.READER, "ada")
    key_id, secret = ada["Authorization"].split("_", 2)[1:]
    for place in ("/keys", f"/keys/{key_id}"):
        said = (await locked.get(place, headers=ADMIN)).text
        assert key_id in said
        assert secret not in said
        assert "digest" not in said


async def test_who_keeps_guessing_is_told_to_wait(locked: httpx2.AsyncClient) -> None:
    wrong = {"Authorization": "Bearer tg_aaaaaaaa_" + "a" * 43}
    answers = [await locked.get("/jobs", headers=wrong) for _ in range(31)]
    assert [answer.status_code for answer in answers] == [401] * 30 + [429]
    assert answers[-1].json()["detail"].startswith("more than 30 wrong keys from this address in 60 s")
    assert (await locked.get("/keys", headers=ADMIN)).status_code == 200


async def test_the_first_key_locks_an_open_api(tmp_path: Path) -> None:
    async with reached(application(plain_settings(tmp_path)), worker=False) as api:
        await post(api)
        made = (await api.post("/keys", json={"name": "a", "role": "admin"})).json()
        problem(await api.get("/jobs"), 401, "unauthenticated")
        headers = {"Authorization": f"Bearer {made['key']}"}
        assert (await api.get("/session", headers=headers)).json() == {"role": "admin", "name": "a", "user_id": None}


async def test_where_somebody_else_checks_no_key_is_asked_for(tmp_path: Path) -> None:
    settings = plain_settings(tmp_path).model_copy(update={"auth": "none", "admin_key": _secret()})
    async with reached(application(settings), worker=False) as api:
        api.headers["Authorization"] = "Bearer somebody-elses"
        assert (await api.get("/jobs")).status_code == 200


# sessions ---------------------------------------------------------------------------------------------------------

HERE = {"Origin": "http://here"}


async def _login(api: httpx2.AsyncClient, headers: dict[str, str]) -> httpx2.Response:
    key = headers["Authorization"].removeprefix("Bearer ")
    return await api.post("/session", json={"key": key}, headers=HERE)


async def test_a_session_stands_for_its_key_and_its_cookie_is_out_of_reach_for_scripts(
    locked: httpx2.AsyncClient,
) -> None:
    begun = await _login(locked, await _key(locked, Role.WRITER, "ada"))
    assert begun.status_code == 201
    cookie = begun.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
    assert (await locked.get("/session")).json() == {"role": "writer", "name": "writer ada", "user_id": "ada"}
    assert (await locked.post("/jobs", json={"type": "echo"}, headers=HERE)).status_code == 201
    assert (await locked.delete("/session", headers=HERE)).status_code == 204
    problem(await locked.get("/session"), 401, "unauthenticated")


async def test_behind_a_proxy_that_speaks_tls_the_cookie_is_never_sent_without(locked: httpx2.AsyncClient) -> None:
    key = (await _key(locked, Role.READER, "ada"))["Authorization"].removeprefix("Bearer ")
    begun = await locked.post("/session", json={"key": key}, headers={"Origin": "https://here"})
    assert "secure" in begun.headers["set-cookie"].lower()


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
    await _login(locked, await _key(locked, Role.WRITER, "ada"))
    problem(await locked.post("/jobs", json={"type": "echo"}, headers=said), 403, "access-denied")


async def test_a_session_ends_with_its_key(locked: httpx2.AsyncClient) -> None:
    ada = await _key(locked, Role.WRITER, "ada")
    await _login(locked, ada)
    assert (await locked.get("/jobs")).status_code == 200
    key_id = ada["Authorization"].split("_")[1]
    await locked.delete(f"/keys/{key_id}", headers=ADMIN)
    problem(await locked.get("/jobs"), 401, "unauthenticated")


async def test_what_is_no_key_begins_no_session(locked: httpx2.AsyncClient) -> None:
    problem(await locked.post("/session", json={"key": "tg_x"}, headers=HERE), 401, "unauthenticated")


async def test_a_stream_ends_with_its_key(app: Tidegate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    async with served(app, plain_settings(tmp_path)) as server:
        key = await _key(server, Role.READER, "ada")
        async with asyncio.timeout(10), server.stream("GET", "/events", headers=key | ADA) as stream:
            told = stream.aiter_bytes()
            assert (await anext(told)).startswith(b"retry")
            assert stream.status_code == 200
            await server.delete(f"/keys/{key['Authorization'].split('_')[1]}", headers=ADMIN)
            async for _ in told:
                pass


# listening --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "refused"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False)])
async def test_without_a_key_only_this_machine_is_listened_to(tmp_path: Path, host: str, *, refused: bool) -> None:
    settings = plain_settings(tmp_path).model_copy(update={"host": host})
    server = Server(application(settings), settings, worker=False)
    server.stop()
    if refused:
        with pytest.raises(ConfigError, match="tidegate keys create"):
            await server.run()
    else:
        await server.run()


async def test_with_an_administrators_key_everybody_may_knock(tmp_path: Path) -> None:
    settings = plain_settings(tmp_path).model_copy(update={"host": "0.0.0.0", "admin_key": _secret()})
    server = Server(application(settings), settings, worker=False)
    server.stop()
    await server.run()
