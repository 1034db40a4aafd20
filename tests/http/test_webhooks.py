"""Webhooks over HTTP: made, shown without their secrets, tried out, replayed; and another user's are unknown."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import BOB, ended, fields, post, problem, run
from tests.http.reach import plain_settings
from tests.servers.scripted import Scripted, answers, scripted
from tests.system_jobs.hooked import verified
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.system_jobs.webhooks.service import MOST

URL = "https://93.184.216.34/hook"
"""A public address: no test of these sends anything to it."""

NOWHERE = "/webhooks/0123456789abcdef"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Receivers may be on loopback."""
    allowed = {"webhook_http": True, "webhook_networks": "127.0.0.0/8"}
    return plain_settings(tmp_path / "data").model_copy(update=allowed)


@pytest.fixture
async def receiver() -> AsyncIterator[Scripted]:
    """Takes whatever it is sent."""
    async with scripted(answers(204, "")) as receiver:
        yield receiver


async def _made(api: httpx2.AsyncClient, url: str = URL, **more: object) -> dict[str, object]:
    response = await api.post("/webhooks", json={"url": url, **more})
    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"/webhooks/{response.json()['id']}"
    made: dict[str, object] = response.json()
    return made


async def _delivered(api: httpx2.AsyncClient, app: Tidegate, webhook: dict[str, object], count: int) -> list[str]:
    """The ids of a webhook's deliveries, newest first, all ended."""
    items = (await api.get(f"/webhooks/{webhook['id']}/deliveries")).json()["items"]
    assert len(items) == count
    return [(await ended(app, item["job_id"])).id for item in items]


async def test_the_secret_is_shown_once(api: httpx2.AsyncClient) -> None:
    made = await _made(api, events=["failed", "failed"], types=["echo"], description="for the books")
    secret = str(made.pop("secret"))
    assert (secret.startswith("whsec_"), len(secret)) == (True, 50)
    assert (await api.get(f"/webhooks/{made['id']}")).json() == made
    assert (await api.get("/webhooks")).json() == {"items": [made]}
    assert (made["events"], made["types"], made["disabled"], made["user_id"]) == (["failed"], ["echo"], False, "ada")
    assert made["upstream"] == f"webhook.{made['id']}"


@pytest.mark.parametrize(
    "url",
    ["https://10.0.0.1/", "https://169.254.169.254/latest/", "https://u:p@8.8.8.8/", "https://2130706433/", "x", ""],
)
async def test_a_url_that_may_not_be_sent_to_is_refused_at_once(api: httpx2.AsyncClient, url: str) -> None:
    refused = problem(await api.post("/webhooks", json={"url": url}), 422, "invalid-input")
    assert fields(refused) == ["url"]
    made = await _made(api)
    problem(await api.patch(f"/webhooks/{made['id']}", json={"url": url}), 422, "invalid-input")
    assert (await api.get(f"/webhooks/{made['id']}")).json()["url"] == URL


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": ["started"]}, "events.0"),
        ({"url": URL, "types": ["No Name"]}, "types.0"),
        ({"url": URL, "description": "x" * 501}, "description"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
        ({}, "url"),
    ],
)
async def test_a_wrong_field_is_named(api: httpx2.AsyncClient, sent: dict[str, object], field: str) -> None:
    assert field in fields(problem(await api.post("/webhooks", json=sent), 422, "invalid-input"))


async def test_plain_http_and_loopback_are_refused_unless_the_server_was_told_otherwise(
    shared: httpx2.AsyncClient,
) -> None:
    for url in ("http://93.184.216.34/hook", "https://127.0.0.1/hook"):
        problem(await shared.post("/webhooks", json={"url": url}), 422, "invalid-input")


async def test_a_webhook_is_changed_in_part(api: httpx2.AsyncClient) -> None:
    made = await _made(api, types=["echo"])
    made.pop("secret")
    changed = await api.patch(f"/webhooks/{made['id']}", json={"events": ["cancelled"], "types": []})
    assert changed.json() == made | {"events": ["cancelled"], "types": []}
    off = (await api.patch(f"/webhooks/{made['id']}", json={"disabled": True})).json()
    assert (off["disabled"], off["disabled_why"]) == (True, "by its user")
    on = (await api.patch(f"/webhooks/{made['id']}", json={"disabled": False})).json()
    assert on == changed.json()


async def test_a_deleted_webhook_is_gone(api: httpx2.AsyncClient) -> None:
    made = await _made(api)
    assert (await api.delete(f"/webhooks/{made['id']}")).status_code == 204
    problem(await api.get(f"/webhooks/{made['id']}"), 404, "not-found")
    assert (await api.get("/webhooks")).json() == {"items": []}


async def test_another_users_webhook_is_unknown(working: httpx2.AsyncClient, app: Tidegate, receiver: Scripted) -> None:
    made = await _made(working, receiver.url)
    await run(working, app)
    [delivery] = await _delivered(working, app, made, 1)
    one = f"/webhooks/{made['id']}"
    for method, path in (
        *(("GET", one), ("PATCH", one), ("DELETE", one), ("GET", f"{one}/deliveries"), ("POST", f"{one}/rotate")),
        *(("POST", f"{one}/test"), ("POST", f"{one}/deliveries/{delivery}/replay")),
    ):
        response = await working.request(method, path, headers=BOB, json={} if method == "PATCH" else None)
        problem(response, 404, "not-found")
    assert (await working.get("/webhooks", headers=BOB)).json() == {"items": []}
    await run(working, app)
    assert len(receiver.requests) >= 1


async def test_a_job_that_ends_is_delivered_and_its_delivery_listed(
    working: httpx2.AsyncClient, app: Tidegate, receiver: Scripted
) -> None:
    made = await _made(working, receiver.url)
    job_id = await run(working, app)
    [delivery] = await _delivered(working, app, made, 1)
    event = verified(receiver.requests[0], str(made["secret"]))
    assert (event["type"], receiver.requests[0].headers["webhook-id"]) == ("job.succeeded", f"msg_{delivery}")
    whole = (await working.get(f"/jobs/{delivery}")).json()
    assert (whole["status"], whole["type"], whole["upstream"]) == ("succeeded", "tidegate.webhook", made["upstream"])
    assert str(made["secret"]) not in str(whole)
    assert job_id in str(whole["payload"])


async def test_a_cancel_of_what_waits_is_told(api: httpx2.AsyncClient) -> None:
    made = await _made(api)
    job_id = await post(api)
    await api.post(f"/jobs/{job_id}/cancel")
    [item] = (await api.get(f"/webhooks/{made['id']}/deliveries")).json()["items"]
    payload = (await api.get(f"/jobs/{item['job_id']}")).json()["payload"]
    assert payload["event"]["type"] == "job.cancelled"
    assert payload["event"]["data"]["job_id"] == job_id


async def test_a_test_event_is_sent_also_to_a_disabled_webhook(
    working: httpx2.AsyncClient, app: Tidegate, receiver: Scripted
) -> None:
    made = await _made(working, receiver.url)
    await working.patch(f"/webhooks/{made['id']}", json={"disabled": True})
    response = await working.post(f"/webhooks/{made['id']}/test")
    assert response.status_code == 201
    assert (await ended(app, response.json()["job_id"])).status == "succeeded"
    [request] = receiver.requests
    event = verified(request, str(made["secret"]))
    assert (event["type"], event["data"]) == ("webhook.test", {"webhook_id": made["id"], "user_id": "ada"})
    await run(working, app)
    assert len(receiver.requests) == 1


async def test_a_replay_brings_the_same_message_again(
    working: httpx2.AsyncClient, app: Tidegate, receiver: Scripted
) -> None:
    made = await _made(working, receiver.url)
    await run(working, app)
    [delivery] = await _delivered(working, app, made, 1)
    response = await working.post(f"/webhooks/{made['id']}/deliveries/{delivery}/replay")
    again = response.json()["job_id"]
    assert (response.status_code, response.headers["location"]) == (201, f"/jobs/{again}")
    assert await _delivered(working, app, made, 2) == [again, delivery]
    first, second = receiver.requests
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


async def test_what_is_under_way_or_no_delivery_is_not_replayed(api: httpx2.AsyncClient) -> None:
    made, other = await _made(api), await _made(api)
    job_id = await post(api)
    await api.post(f"/jobs/{job_id}/cancel")
    [item] = (await api.get(f"/webhooks/{made['id']}/deliveries")).json()["items"]
    replay = f"/webhooks/{made['id']}/deliveries/{item['job_id']}/replay"
    problem(await api.post(replay), 409, "illegal-transition")
    problem(await api.post(replay.replace(item["job_id"], job_id)), 404, "job-not-found")
    problem(await api.post(replay.replace(str(made["id"]), str(other["id"]))), 404, "job-not-found")
    await api.post(f"/jobs/{item['job_id']}/cancel")
    await api.patch(f"/webhooks/{made['id']}", json={"disabled": True})
    problem(await api.post(replay), 409, "refused")


async def test_a_rotation_shows_a_new_secret_and_until_when_the_old_one_signs(
    working: httpx2.AsyncClient, app: Tidegate, receiver: Scripted
) -> None:
    made = await _made(working, receiver.url)
    rotated = (await working.post(f"/webhooks/{made['id']}/rotate")).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["former_secret_until"] > rotated["created_at"]
    await run(working, app)
    await _delivered(working, app, made, 1)
    [request] = receiver.requests
    assert verified(request, rotated["secret"]) == verified(request, str(made["secret"]))


async def test_a_user_has_only_so_many(api: httpx2.AsyncClient) -> None:
    for _ in range(MOST):
        await _made(api)
    problem(await api.post("/webhooks", json={"url": URL}), 409, "refused")
    assert (await api.post("/webhooks", json={"url": URL}, headers=BOB)).status_code == 201


async def test_an_unknown_webhook_is_not_found(shared: httpx2.AsyncClient) -> None:
    problem(await shared.get(NOWHERE), 404, "not-found")
    problem(await shared.post(f"{NOWHERE}/test"), 404, "not-found")
