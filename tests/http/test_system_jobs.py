"""What is Tidegate's own: no user submits it, by whatever route, and what operators had it do is no user's."""

from collections.abc import Mapping

import httpx2
import pytest

from tests.http.calls import ADA, BOB, fields, post, problem
from tests.http.keyed import guarded, key
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.access import Role
from tidegate.system_jobs import SYSTEM_PREFIX, SYSTEM_QUEUE

FULL: Mapping[str, object] = {
    "tidegate.bulk": {"action": "cancel", "where": {}},
    "tidegate.webhook": {"webhook": "9f86d081884c7d65", "message": "m", "event": {}},
}
"""What some of its job types would take."""

EVERY_MINUTE = {"expression": "* * * * *"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """There is an administrators' key."""
    return guarded(settings)


@pytest.fixture
async def ada(locked: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Ada's client, with a key of her own."""
    locked.headers |= await key(locked, Role.WRITER, "ada")
    return locked


async def _submitted(api: httpx2.AsyncClient, place: str, job: dict[str, object]) -> httpx2.Response:
    if place == "/schedules":
        return await api.put("/schedules/own", json=EVERY_MINUTE | job)
    return await api.post(place, json={"jobs": [job]} if place == "/jobs/bulk" else job)


@pytest.mark.parametrize("place", ["/jobs", "/jobs?wait=1", "/jobs/bulk", "/schedules"])
async def test_its_job_types_are_as_unknown_as_any_other(ada: httpx2.AsyncClient, app: Tidegate, place: str) -> None:
    own = {name for name in app.system.registry.names if name.startswith(SYSTEM_PREFIX)}
    assert own >= set(FULL)
    for name in own:
        for payload in ({}, {"action": 1}, FULL.get(name, {})):
            told = [await _refusal(ada, place, each, payload) for each in (name, "tidegate.nothing")]
            assert told[0] == told[1]


async def _refusal(api: httpx2.AsyncClient, place: str, job_type: str, payload: object) -> dict[str, object]:
    """What is said of a job type, but for its name."""
    job = {"type": job_type, "payload": payload}
    said = problem(await _submitted(api, place, job), 422, "unknown-job-type")
    if place == "/jobs/bulk":
        each = await api.post(place, json={"jobs": [job], "mode": "each"})
        assert each.json()["items"][0]["problem"]["type"] == "/problems/unknown-job-type"
    return {name: str(value).replace(job_type, "") for name, value in said.items() if name != "request_id"}


@pytest.mark.parametrize(
    ("place", "field"),
    [("/jobs", "queue"), ("/jobs?wait=1", "queue"), ("/jobs/bulk", "jobs.0.queue"), ("/schedules", "queue")],
)
async def test_its_queue_takes_no_users_jobs(ada: httpx2.AsyncClient, place: str, field: str) -> None:
    response = await _submitted(ada, place, {"type": "echo", "queue": SYSTEM_QUEUE})
    assert fields(problem(response, 422, "invalid-input")) == [field]


async def test_its_jobs_are_shown_to_operators_and_their_retry_is_no_strangers(locked: httpx2.AsyncClient) -> None:
    operator, ada, bob = [
        await key(locked, role, user)
        for role, user in ((Role.OPERATOR, None), (Role.WRITER, "ada"), (Role.WRITER, "bob"))
    ]
    asked = {"action": "cancel", "filter": {"type": "echo"}}
    job_id = (await locked.post("/jobs/actions", json=asked, headers=ada)).json()["job_id"]
    found = await locked.get("/jobs", params={"queue": SYSTEM_QUEUE}, headers=operator)
    assert [(job["job_id"], job["user_id"]) for job in found.json()["items"]] == [(job_id, "ada")]
    assert (await locked.post(f"/jobs/{job_id}/cancel", headers=operator)).status_code == 200
    for verb in ("retry", "cancel", "dismiss"):
        problem(await locked.post(f"/jobs/{job_id}/{verb}", headers=bob), 404, "job-not-found")
    assert (await locked.post(f"/jobs/{job_id}/retry", headers=operator)).status_code == 200


async def test_what_an_operator_had_done_to_others_jobs_is_not_for_a_lesser_key_of_the_same_user(
    locked: httpx2.AsyncClient,
) -> None:
    operator, writer = await key(locked, Role.OPERATOR, "ada"), await key(locked, Role.WRITER, "ada")
    service = await key(locked, Role.WRITER)
    asked = {"action": "cancel", "all": True, "filter": {"user": "*"}}
    job_id = (await locked.post("/jobs/actions", json=asked, headers=operator)).json()["job_id"]
    assert (await locked.get(f"/jobs/{job_id}", headers=operator)).json()["user_id"] == "tidegate.operator.ada"
    assert (await locked.post(f"/jobs/{job_id}/cancel", headers=operator)).status_code == 200
    problem(await locked.post(f"/jobs/{job_id}/retry", headers=writer), 404, "job-not-found")
    problem(await locked.post(f"/jobs/{job_id}/retry", headers=service | ADA), 404, "job-not-found")
    stolen = service | {"X-User-ID": "tidegate.operator.ada"}
    problem(await locked.post(f"/jobs/{job_id}/retry", headers=stolen), 403, "access-denied")


# everybody ------------------------------------------------------------------------------------------------------

EVERYBODY = {"X-User-ID": "*"}


async def test_an_operator_says_everybody_by_a_star_and_nobody_else_does(locked: httpx2.AsyncClient) -> None:
    service = await key(locked, Role.WRITER)
    theirs = [await _of(locked, service | user) for user in (ADA, BOB)]
    for headers in (await key(locked, Role.OPERATOR), await key(locked, Role.OPERATOR, "olga")):
        items = (await locked.get("/jobs", headers=headers | EVERYBODY)).json()["items"]
        assert [(job["job_id"], job["user_id"]) for job in items] == [(theirs[1], "bob"), (theirs[0], "ada")]
        assert (await locked.get(f"/jobs/{theirs[0]}", headers=headers | EVERYBODY)).status_code == 200
        problem(await locked.post("/jobs", json={"type": "echo"}, headers=headers | EVERYBODY), 400, "user-missing")
    for headers in (service, await key(locked, Role.WRITER, "ada"), await key(locked, Role.READER)):
        problem(await locked.get("/jobs", headers=headers | EVERYBODY), 403, "access-denied")


async def test_an_operators_star_is_the_author_by_the_name_of_the_key(locked: httpx2.AsyncClient) -> None:
    for operator, name in (
        (await key(locked, Role.OPERATOR, name="ops"), "ops"),
        (await key(locked, Role.OPERATOR, "olga"), "olga"),
    ):
        await locked.post("/queues/default/pause", json={}, headers=operator | EVERYBODY)
        assert (await locked.get("/queues/default", headers=operator)).json()["why"] == f"paused by {name}"
        await locked.post("/queues/default/resume", headers=operator)


async def _of(api: httpx2.AsyncClient, headers: dict[str, str]) -> str:
    response = await api.post("/jobs", json={"type": "echo"}, headers=headers)
    assert response.status_code == 201, response.text
    return str(response.json()["job_id"])


class TestWithoutAKey:
    """Whoever is on this machine is an operator."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """There is no key."""
        return settings.model_copy(update={"admin_key": None})

    async def test_a_star_shows_everybodys_and_acts_on_them(self, api: httpx2.AsyncClient) -> None:
        job_id = await post(api)
        await _of(api, BOB)
        assert (await api.get("/jobs", headers=EVERYBODY)).json()["total"] == 2
        assert (await api.get(f"/jobs/{job_id}", headers=EVERYBODY)).status_code == 200
        acted = await api.post("/jobs/actions", json={"action": "cancel", "all": True}, headers=EVERYBODY)
        assert acted.status_code == 202
        made = (await api.get(acted.headers["location"], headers=EVERYBODY)).json()
        assert (made["user_id"], made["payload"]["where"]["user_id"]) == ("tidegate.operator.operator", None)
        problem(await api.post("/jobs", json={"type": "echo"}, headers=EVERYBODY), 400, "user-missing")
