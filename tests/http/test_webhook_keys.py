"""`POST /webhooks` under an idempotency key: whoever asks again, for want of an answer, makes no second webhook."""

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import BOB, fields, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import STORES, url_of
from tidegate.config import Settings
from tidegate.system_jobs.webhooks import service

URL = "https://93.184.216.34/hook"
"""A public address: no test of these sends anything to it."""

KEY = {"Idempotency-Key": "hook 1"}


async def _asked(
    api: httpx2.AsyncClient, headers: dict[str, str] | None = None, url: str = URL, **more: object
) -> httpx2.Response:
    return await api.post("/webhooks", json={"url": url, **more}, headers=headers or KEY)


async def _count(api: httpx2.AsyncClient) -> int:
    return len((await api.get("/webhooks")).json()["items"])


@pytest.mark.parametrize("store", STORES)
async def test_twins_that_race_make_one_webhook_and_a_repeat_finds_it(store: str, tmp_path: Path) -> None:
    async with url_of(store, tmp_path) as url:
        app = application(plain_settings(tmp_path / "data").model_copy(update={"engine": url}))
        async with reached(app, worker=False) as api:
            answers = await asyncio.gather(*(_asked(api) for _ in range(8)))
            assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
            again = await _asked(api)
            assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
            assert {answer.text for answer in answers} == {again.text}
            assert again.json()["secret"].startswith("whsec_")
            assert {answer.headers["location"] for answer in answers} == {f"/webhooks/{again.json()['id']}"}
            assert await _count(api) == 1
            problem(await _asked(api, description="another"), 422, "idempotency-conflict")
            await api.delete(again.headers["location"])
            problem(await _asked(api), 409, "refused")
            assert await _count(api) == 0


async def test_another_request_under_the_key_is_refused_and_changes_nothing(api: httpx2.AsyncClient) -> None:
    made = (await _asked(api)).json()
    refused = problem(await _asked(api, events=["failed"]), 422, "idempotency-conflict")
    assert (fields(refused), "job_id" in refused) == (["idempotency_key"], False)
    made.pop("secret")
    assert (await api.get("/webhooks")).json() == {"items": [made]}


async def test_keys_are_a_user_s_own_and_without_one_each_request_makes_a_webhook(api: httpx2.AsyncClient) -> None:
    mine, theirs = await _asked(api), await _asked(api, KEY | BOB, description="bob's")
    assert (mine.status_code, theirs.status_code) == (201, 201)
    for _ in range(2):
        assert (await api.post("/webhooks", json={"url": URL})).status_code == 201
    assert await _count(api) == 3


async def test_the_order_of_fields_does_not_matter_and_a_change_meanwhile_neither(api: httpx2.AsyncClient) -> None:
    made = (await _asked(api, description="d", types=["echo"])).json()
    changed = (await api.patch(f"/webhooks/{made['id']}", json={"disabled": True})).json()
    again = await api.post("/webhooks", json={"types": ["echo"], "description": "d", "url": URL}, headers=KEY)
    assert (again.status_code, again.json()) == (200, changed | {"secret": made["secret"]})


async def test_the_secret_is_told_no_more_after_a_while_and_after_a_rotation(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, rotated = (await _asked(api)).json(), (await _asked(api, {"Idempotency-Key": "2"})).json()
    await api.post(f"/webhooks/{rotated['id']}/rotate")
    assert "secret" not in (await _asked(api, {"Idempotency-Key": "2"})).json()
    assert (await _asked(api)).json() == made
    monkeypatch.setattr(service, "TOLD_AGAIN_FOR", timedelta(0))
    again = await _asked(api)
    made.pop("secret")
    assert (again.status_code, again.json()) == (200, made)


async def test_a_repeat_takes_no_place_also_where_the_last_one_is_taken(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST", 1)
    answers = await asyncio.gather(*(_asked(api) for _ in range(4)), _asked(api))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201]
    problem(await _asked(api, {"Idempotency-Key": "another"}), 409, "refused")
    assert (await _asked(api)).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "é"])
async def test_what_is_no_key_is_refused(api: httpx2.AsyncClient, key: str) -> None:
    refused = await api.post("/webhooks", json={"url": URL}, headers={b"Idempotency-Key": key.encode()})
    assert fields(problem(refused, 422, "invalid-input")) == ["idempotency_key"]
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    refused = await api.post("/webhooks", json={"url": URL}, headers=twice)
    assert fields(problem(refused, 422, "invalid-input")) == ["idempotency-key"]
    assert await _count(api) == 0


async def test_a_repeat_counts_against_no_limit(settings: Settings) -> None:
    app = application(settings.model_copy(update={"limit_ip_per_minute": 1}))
    async with reached(app, worker=False) as api:
        assert [(await _asked(api)).status_code for _ in range(3)] == [201, 200, 200]
        problem(await _asked(api, {"Idempotency-Key": "another"}), 429, "rate-limited")
