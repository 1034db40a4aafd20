"""Who may do what: roles by route, whose jobs, and that nothing but a key opens anything."""

from pathlib import Path

import httpx2
import pytest
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from tests.http.calls import ADA, BOB, post, problem
from tests.http.handlers import application
from tests.http.keyed import ADMIN, guarded, key
from tests.http.reach import plain_settings, reached
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.access import Role
from tidegate.errors import ConfigError
from tidegate.http.app import create_app
from tidegate.http.guards.auth import NEEDS, OPEN, SAFE
from tidegate.http.guards.keyring import KeyRing, Wish
from tidegate.http.openapi import operation_id
from tidegate.http.server import Server


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """There is an administrators' key."""
    return guarded(settings)


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
        headers = await key(locked, role, "ada")
        if role.includes(least):
            if not streams:
                allowed = await locked.request(method, place, headers=headers)
                assert allowed.status_code not in (401, 403), (role, allowed.text)
        else:
            problem(await locked.request(method, place, headers=headers), 403, "access-denied")


@pytest.mark.parametrize("place", ["/docs", "/openapi.json"])
async def test_what_the_api_is_may_be_read_without_a_key(locked: httpx2.AsyncClient, place: str) -> None:
    assert (await locked.get(place)).status_code == 200


async def test_a_users_key_sees_its_own_jobs_and_an_operators_sees_all(locked: httpx2.AsyncClient) -> None:
    ada, bob = await key(locked, Role.WRITER, "ada"), await key(locked, Role.WRITER, "bob")
    job_id = (await locked.post("/jobs", json={"type": "echo"}, headers=ada)).json()["job_id"]
    assert (await locked.get(f"/jobs/{job_id}", headers=ada)).json()["user_id"] == "ada"
    problem(await locked.get(f"/jobs/{job_id}", headers=bob), 404, "job-not-found")
    problem(await locked.post(f"/jobs/{job_id}/cancel", headers=bob), 404, "job-not-found")
    assert (await locked.get("/jobs", headers=bob)).json()["items"] == []
    problem(await locked.get("/jobs", params={"user": "ada"}, headers=bob), 403, "access-denied")
    for operator in (await key(locked, Role.OPERATOR), await key(locked, Role.OPERATOR, "olga")):
        assert (await locked.get(f"/jobs/{job_id}", headers=operator)).status_code == 200
        assert [job["job_id"] for job in (await locked.get("/jobs", headers=operator)).json()["items"]] == [job_id]
        found = await locked.get("/jobs", params={"user": "bob"}, headers=operator)
        assert found.json()["items"] == []
    assert (await locked.post(f"/jobs/{job_id}/cancel", headers=operator)).json()["status"] == "cancelled"


async def test_the_header_impersonates_nobody(locked: httpx2.AsyncClient) -> None:
    ada = await key(locked, Role.WRITER, "ada")
    problem(await locked.post("/jobs", json={"type": "echo"}, headers=ada | BOB), 403, "access-denied")
    assert (await locked.post("/jobs", json={"type": "echo"}, headers=ada | ADA)).status_code == 201


async def test_a_key_without_a_user_acts_for_those_it_names(locked: httpx2.AsyncClient) -> None:
    service = await key(locked, Role.WRITER)
    problem(await locked.post("/jobs", json={"type": "echo"}, headers=service), 400, "user-missing")
    job_id = (await locked.post("/jobs", json={"type": "echo"}, headers=service | ADA)).json()["job_id"]
    problem(await locked.get(f"/jobs/{job_id}", headers=service | BOB), 404, "job-not-found")
    problem(await locked.get(f"/jobs/{job_id}", headers=service), 400, "user-missing")


async def test_an_operators_word_bears_the_name_of_its_key(locked: httpx2.AsyncClient) -> None:
    operator = await key(locked, Role.OPERATOR)
    await locked.post("/queues/default/pause", json={}, headers=operator)
    assert (await locked.get("/queues/default", headers=operator)).json()["why"] == "paused by operator None"


async def test_a_job_that_acts_on_everybodys_jobs_is_no_users_to_retry(locked: httpx2.AsyncClient) -> None:
    asked = {"action": "cancel", "filter": {"user": "*", "type": "echo"}}
    operator, ada = await key(locked, Role.OPERATOR, name="ada"), await key(locked, Role.WRITER, "ada")
    for headers in (operator, operator | ADA):
        job_id = (await locked.post("/jobs/actions", json=asked, headers=headers)).json()["job_id"]
        assert (await locked.post(f"/jobs/{job_id}/cancel", headers=operator)).status_code == 200
        problem(await locked.post(f"/jobs/{job_id}/retry", headers=ada), 404, "job-not-found")
    own = await locked.post("/jobs/actions", json=asked | {"filter": {"user": "ada", "type": "echo"}}, headers=operator)
    assert (await locked.get(f"/jobs/{own.json()['job_id']}", headers=ada)).status_code == 200


async def test_nobody_asks_under_a_name_of_tidegates_own(locked: httpx2.AsyncClient, app: Tidegate) -> None:
    service = await key(locked, Role.WRITER)
    problem(await locked.get("/jobs", headers=service | {"X-User-ID": "tidegate.operator.ada"}), 403, "access-denied")
    ring = KeyRing(lambda: app.system.engine, app.system.runtime.clock)  # as earlier releases made them
    _, text = await ring.make(Wish(name="bad", role=Role.WRITER, user_id="tidegate.operator.ada"))
    problem(await locked.get("/jobs", headers={"Authorization": f"Bearer {text}"}), 403, "access-denied")


@pytest.mark.parametrize(
    ("user", "said"), [("*", "`*` is everybody"), ("tidegate.operator.ops", "begins with tidegate.")]
)
async def test_no_key_is_made_for_a_name_that_nobody_may_ask_under(
    locked: httpx2.AsyncClient, user: str, said: str
) -> None:
    asked = {"name": "bad", "role": "writer", "user_id": user}
    refused = await locked.post("/keys", json=asked, headers=ADMIN)
    problem(refused, 422, "invalid-input")
    [fault] = refused.json()["errors"]
    assert (fault["field"], said in fault["message"], "Value error" in fault["message"]) == ("user_id", True, False)
    assert (await locked.get("/keys", headers=ADMIN)).json()["items"] == []


async def test_who_shows_no_key_or_leaves_bearer_out_is_told_how_one_is_shown(locked: httpx2.AsyncClient) -> None:
    wrong = {"Authorization": "tg_aaaaaaaa_" + "a" * 43}
    assert "begin it with Bearer" in (await locked.get("/jobs", headers=wrong)).json()["detail"]
    bare = await locked.get("/jobs")
    assert bare.json()["detail"] == "show an API key: Authorization: Bearer tg_..."
    assert "\\u" not in bare.text


@pytest.mark.parametrize(
    "shown",
    ["Bearer", "Bearer ", "Bearer tg_aaaaaaaa_" + "a" * 43, "Basic YTpi", "Bearer an-administrators-own-ke", "x"],
)
async def test_what_is_no_key_opens_nothing(locked: httpx2.AsyncClient, shown: str) -> None:
    problem(await locked.get("/jobs", headers=ADA | {"Authorization": shown}), 401, "unauthenticated")


@pytest.mark.parametrize("way", ["GET", "POST"])
async def test_two_keys_at_once_are_refused_whatever_they_are(locked: httpx2.AsyncClient, way: str) -> None:
    headers = [("X-User-ID", "ada"), ("Authorization", ADMIN["Authorization"]), ("Authorization", "Bearer x")]
    for shown in (headers, headers[::-1], [*headers, headers[1]]):
        answer = await locked.request(way, "/jobs", headers=shown, content=b'{"type":"echo"}' if way == "POST" else b"")
        assert "more than one Authorization" in str(problem(answer, 400, "bad-request")["detail"])


async def test_a_key_that_is_over_or_revoked_opens_nothing(locked: httpx2.AsyncClient) -> None:
    short = await key(locked, Role.READER, "ada", expires_in=0.001)
    problem(await locked.get("/jobs", headers=short), 401, "unauthenticated")
    ada = await key(locked, Role.READER, "ada")
    assert (await locked.get("/jobs", headers=ada)).status_code == 200
    key_id = ada["Authorization"].split("_")[1]
    assert (await locked.delete(f"/keys/{key_id}", headers=ADMIN)).status_code == 204
    problem(await locked.get("/jobs", headers=ada), 401, "unauthenticated")
    problem(await locked.delete(f"/keys/{key_id}", headers=ADMIN), 404, "not-found")


async def test_both_texts_of_a_rotated_key_open_for_a_day(locked: httpx2.AsyncClient) -> None:
    before = await key(locked, Role.READER, "ada")
    key_id = before["Authorization"].split("_")[1]
    rotated = (await locked.post(f"/keys/{key_id}/rotate", headers=ADMIN)).json()
    after = {"Authorization": f"Bearer {rotated['key']}"}
    assert rotated["id"] == key_id
    for headers in (before, after):
        assert (await locked.get("/jobs", headers=headers)).status_code == 200


async def test_a_key_is_rotated_ten_times_a_day_at_most_and_every_text_opens_meanwhile(
    locked: httpx2.AsyncClient,
) -> None:
    first = await key(locked, Role.READER, "ada")
    place = f"/keys/{first['Authorization'].split('_')[1]}/rotate"
    texts = [(await locked.post(place, headers=ADMIN)).json()["key"] for _ in range(10)]
    problem(await locked.post(place, headers=ADMIN), 409, "refused")
    for headers in (first, *({"Authorization": f"Bearer {text}"} for text in texts)):
        assert (await locked.get("/jobs", headers=headers)).status_code == 200


async def test_no_answer_but_the_first_tells_a_key(locked: httpx2.AsyncClient) -> None:
    ada = await key(locked, Role.READER, "ada")
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
    settings = guarded(plain_settings(tmp_path)).model_copy(update={"auth": "none"})
    async with reached(application(settings), worker=False) as api:
        api.headers["Authorization"] = "Bearer somebody-elses"
        assert (await api.get("/jobs")).status_code == 200
        assert (await api.get("/session")).json() == {"role": "admin", "name": "", "user_id": None}


async def test_where_somebody_else_checks_everybody_may_what_the_setting_says(tmp_path: Path) -> None:
    settings = plain_settings(tmp_path).model_copy(update={"auth": "none", "auth_role": "writer"})
    async with reached(application(settings), worker=False) as api:
        await post(api)
        problem(await api.get("/jobs", params={"user": "*"}), 403, "access-denied")
        problem(await api.get("/jobs", headers={"X-User-ID": "*"}), 403, "access-denied")
        problem(await api.post("/queues/default/pause", json={}), 403, "access-denied")
        problem(await api.post("/keys", json={"name": "a", "role": "admin"}), 403, "access-denied")


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


@pytest.mark.parametrize(
    ("host", "address", "here"),
    [
        ("0.0.0.0", "http://0.0.0.0", "http://127.0.0.1"),
        ("", "http://0.0.0.0", "http://127.0.0.1"),
        ("127.0.0.1", "http://127.0.0.1", None),
    ],
)
async def test_with_an_administrators_key_everybody_may_knock_and_the_log_says_where(
    tmp_path: Path, host: str, address: str, here: str | None
) -> None:
    settings = guarded(plain_settings(tmp_path)).model_copy(update={"host": host})
    server = Server(application(settings), settings, worker=False)
    server.stop()
    with capture_logs() as lines:
        await server.run()
    [told] = [line for line in lines if line["event"] == "server.listening"]
    port = server.url.rpartition(":")[2]
    assert (told["address"], told.get("here")) == (f"{address}:{port}", here and f"{here}:{port}")
