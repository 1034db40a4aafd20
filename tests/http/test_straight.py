"""Plain requests pass the framework by, and nobody can tell from the answers."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx2
import pytest

from tests.http.calls import ADA, problem
from tests.http.handlers import application
from tests.http.raw import LAST, a_submit, answers_in, submitted, wired
from tests.http.reach import served
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.job import NewJob
from tidegate.core.verbs import Receipt
from tidegate.engines.memory import MemoryEngine
from tidegate.errors import InvalidInput
from tidegate.http import protocol
from tidegate.http.app import create_app
from tidegate.http.straight import TOGETHER

JOB = b'{"type":"echo","payload":{"text":"hi"},"idempotency_key":"k-%d"}'
JSON = {"Content-Type": "application/json"}
LONG_WAY = {"Origin": "https://elsewhere.example"}
OURS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}")
"""What differs from answer to answer: ids."""

REQUESTS: dict[str, tuple[dict[str, str], bytes]] = {
    "a new job": (ADA | JSON, b'{"type":"echo"}'),
    "a replay": (ADA | JSON, JOB % 1),
    "no user": (JSON, b'{"type":"echo"}'),
    "a user that is none": ({"X-User-ID": "*", **JSON}, b'{"type":"echo"}'),
    "a conflict": (ADA | JSON | {"Idempotency-Key": "k-1"}, b'{"type":"echo"}'),
    "another key in the header": (ADA | JSON | {"Idempotency-Key": "k-2"}, JOB % 1),
    "another media type": (ADA | {"Content-Type": "text/plain"}, b'{"type":"echo"}'),
    "a compressed body": (ADA | JSON | {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    "no JSON": (ADA | JSON, b'{"type":'),
    "no body": (ADA | JSON, b""),
    "a name twice": (ADA | JSON, b'{"type":"echo","type":"echo"}'),
    "wrong fields": (ADA | JSON, b'{"type":3,"prioritty":1}'),
    "a wrong payload": (ADA | JSON, b'{"type":"echo","payload":{"count":"3"}}'),
    "an unknown type": (ADA | JSON, b'{"type":"nobody"}'),
    "a type of Tidegate's own": (ADA | JSON, b'{"type":"tidegate.webhook"}'),
    "a request id": (ADA | JSON | {"X-Request-ID": "mine"}, b'{"type":"echo"}'),
    "a body that is large": (ADA | JSON, b'{"type":"echo","payload":{"text":"%b"}}' % (b"a" * 300_000)),
    "a body that is too large": (ADA | JSON, b'{"type":"echo","payload":{"text":"%b"}}' % (b"a" * 1_500_000)),
}


@asynccontextmanager
async def _both(app: Tidegate, settings: Settings) -> AsyncIterator[tuple[httpx2.AsyncClient, httpx2.AsyncClient]]:
    """Clients of one application: as our server serves it, and by the framework alone."""
    framework = httpx2.ASGITransport(app=create_app(app, worker=False), raise_app_exceptions=False)
    async with served(app, settings) as server, httpx2.AsyncClient(transport=framework, base_url="http://here") as asgi:
        server.headers.pop("X-User-ID")
        yield server, asgi


def _seen(response: httpx2.Response) -> tuple[int, dict[str, str], str]:
    """An answer, its ids left out, and what a server adds; only the long way may leave a body unread."""
    told = {name: value for name, value in response.headers.items() if name not in ("date", "connection")}
    headers = {name: OURS.sub("-", value) for name, value in told.items()}
    return response.status_code, headers, OURS.sub("-", response.text)


@pytest.mark.parametrize("hsts", [0, 3600])
async def test_an_answer_is_the_framework_s(settings: Settings, hsts: int) -> None:
    settings = settings.model_copy(update={"hsts": timedelta(seconds=hsts)})
    app, different = application(settings), {}
    async with _both(app, settings) as (server, framework):
        await framework.post("/jobs", headers=ADA | JSON, content=JOB % 1)
        for name, (headers, body) in REQUESTS.items():
            answers = [_seen(await way.post("/jobs", headers=headers, content=body)) for way in (server, framework)]
            if answers[0] != answers[1]:
                different[name] = answers
    assert not different


async def test_who_shows_no_key_where_there_is_one_is_refused(app: Tidegate, settings: Settings) -> None:
    async with _both(app, settings) as (server, framework):
        made = await server.post("/keys", json={"name": "ops", "role": "admin"})
        assert made.status_code == 201, made.text
        looker = await server.post("/keys", json={"name": "eyes", "role": "reader"}, headers=_bearer(made))
        for shown, status, kind in (
            ({}, 401, "unauthenticated"),
            ({"Authorization": "Bearer tg_wrong"}, 401, "unauthenticated"),
            ({"Authorization": "Basic YTpi"}, 401, "unauthenticated"),
            (_bearer(looker), 403, "access-denied"),
        ):
            answers = [
                await way.post("/jobs", headers=ADA | shown, json={"type": "echo"}) for way in (server, framework)
            ]
            assert _seen(answers[0]) == _seen(answers[1])
            problem(answers[0], status, kind)
        assert (await server.post("/jobs", headers=ADA | _bearer(made), json={"type": "echo"})).status_code == 201


def _bearer(made: httpx2.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {made.json()['key']}"}


async def test_a_key_that_is_revoked_opens_nothing_any_more(app: Tidegate, settings: Settings) -> None:
    async with served(app, settings) as server:
        made = await server.post("/keys", json={"name": "ops", "role": "admin"})
        other = await server.post("/keys", json={"name": "other", "role": "writer"}, headers=_bearer(made))
        assert (await server.post("/jobs", headers=_bearer(other), json={"type": "echo"})).status_code == 201
        await server.delete(f"/keys/{other.json()['id']}", headers=_bearer(made))
        problem(await server.post("/jobs", headers=_bearer(other), json={"type": "echo"}), 401, "unauthenticated")


async def test_a_fault_is_told_as_one_and_logged(
    app: Tidegate, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(app, settings) as server:
        monkeypatch.setattr(app.registry, "get", None)
        with caplog.at_level(logging.ERROR):
            answer = await server.post("/jobs", json={"type": "echo"})
    said = problem(answer, 500, "internal-error")
    assert f"http.fault request_id={said['request_id']}" in caplog.text


async def test_both_ways_are_counted_alike(server: httpx2.AsyncClient) -> None:
    for headers, body in (({}, {"type": "echo"}), (LONG_WAY, {"type": "echo"}), ({}, {}), (LONG_WAY, {})):
        await server.post("/jobs", headers=headers, json=body)
    shown = (await server.get("/metrics")).text
    counted = re.findall(r"^tidegate_http_requests_total\{(.*)\} (.*)$", shown, re.MULTILINE)
    assert sorted(counted) == [
        ('method="POST",route="/jobs",status="2xx"', "2.0"),
        ('method="POST",route="/jobs",status="4xx"', "2.0"),
    ]


WAYS = {"POST /jobs": 1, "POST /jobs?": 1, "POST /jobs?wait=1": 0, "GET /jobs": 0, "POST /jobs/": 0, "PUT /jobs": 0}


@pytest.mark.parametrize("way", WAYS)
async def test_only_a_plain_request_to_a_plain_route_goes_straight(
    server: httpx2.AsyncClient, taken: list[bytes], way: str
) -> None:
    method, _, path = way.partition(" ")
    await server.request(method, path, headers=JSON, content=b'{"type":"echo"}')
    assert len(taken) == WAYS[way]


@pytest.mark.parametrize("also", [LONG_WAY, {"Expect": "100-continue"}])
async def test_what_the_short_way_has_no_answer_to_goes_the_long_one(
    server: httpx2.AsyncClient, taken: list[bytes], also: dict[str, str]
) -> None:
    assert (await server.post("/jobs", headers=JSON | also, content=b'{"type":"echo"}')).status_code == 201
    assert not taken


async def test_a_body_may_come_after_its_head(server: httpx2.AsyncClient, taken: list[bytes]) -> None:
    async with wired(server) as wire:
        request = a_submit(b'{"type":"echo"}', LAST)
        for piece in (request[:60], request[60:-8], request[-8:-3], request[-3:]):
            await wire.send(piece)
            await asyncio.sleep(0.05)
        [(status, _)] = answers_in(await wire.rest())
    assert status == 201
    assert taken == [b'{"type":"echo"}']


async def test_a_body_that_keeps_us_waiting_goes_the_long_way_and_is_cut_off_there(
    settings: Settings, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"http_receive_timeout": timedelta(seconds=3)})
    monkeypatch.setattr(protocol, "MOMENT", 0.1)
    app = application(settings)
    async with served(app, settings) as server, wired(server) as wire, wired(server) as late:
        request = a_submit(b'{"type":"echo"}', LAST)
        await wire.send(request[:-3])
        await late.send(request[:-3])
        await asyncio.sleep(0.5)
        await late.send(request[-3:])
        assert [answers_in(await one.rest())[0][0] for one in (wire, late)] == [408, 201]
    assert not taken


async def test_requests_sent_ahead_are_answered_in_their_order_whichever_way_they_go(
    server: httpx2.AsyncClient,
) -> None:
    bodies = [b'{"type":"echo","priority":%d}' % (number % 10) for number in range(11)]
    requests = [a_submit(body, b"X-Request-ID: r-%d" % n) for n, body in enumerate(bodies)]
    requests[3] = a_submit(bodies[3], b"X-Request-ID: r-3", b"Origin: https://elsewhere.example")
    requests[5] = a_submit(b"{", b"X-Request-ID: r-5")
    requests[-1] = a_submit(bodies[-1], b"X-Request-ID: r-10", LAST)
    async with wired(server) as wire:
        said = await wire.ask(b"".join(requests))
    assert re.findall(rb"x-request-id: r-(\d+)", said) == [b"%d" % number for number in range(11)]
    assert [status for status, _ in answers_in(said)] == [201] * 5 + [400] + [201] * 5


async def test_each_of_many_that_come_at_once_has_its_own_answer(server: httpx2.AsyncClient) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(server, number)) for number in range(4 * TOGETHER)]
    statuses = [task.result()[0] for task in asked]
    assert statuses == [201 if number % 4 else 422 for number in range(4 * TOGETHER)]
    made = {str(answer["job_id"]) for status, answer in (task.result() for task in asked) if status == 201}
    assert len(made) == 3 * TOGETHER
    listed = await server.get("/jobs", params={"limit": 100})
    assert {job["job_id"] for job in listed.json()["items"]} == made


async def _ask(server: httpx2.AsyncClient, number: int) -> tuple[int, dict[str, object]]:
    """Every second request has a key, and every fourth is refused."""
    said = {"type": "echo"} if number % 4 else {"type": "nobody"}
    key = [b"Idempotency-Key: k-%d" % number] if number % 2 else []
    async with wired(server) as wire:
        return answers_in(await wire.ask(a_submit(json.dumps(said).encode(), LAST, *key)))[0]


async def test_what_the_store_refuses_of_one_is_nobody_elses_answer(
    server: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = MemoryEngine.submit

    async def picky(engine: MemoryEngine, jobs: Sequence[NewJob]) -> list[Receipt]:
        if any(job.spec.priority == 7 for job in jobs):
            raise InvalidInput("priority", "not 7")
        return await submit(engine, jobs)

    monkeypatch.setattr(MemoryEngine, "submit", picky)
    bodies = [b'{"type":"echo","priority":%d}' % number for number in range(10)]
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(submitted(server, body)) for body in bodies]
    assert [task.result() for task in asked] == [201] * 7 + [422] + [201] * 2
