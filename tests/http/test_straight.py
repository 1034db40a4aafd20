"""Plain requests pass the framework by, and nobody can tell from the answers."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.http.calls import ADA, problem
from tidegate.app import Tidegate
from tidegate.errors import TidegateError
from tidegate.http.app import create_app
from tidegate.http.envelope import Envelope
from tidegate.http.problems import Refusal

JOB = b'{"type":"echo","payload":{"text":"hi"},"idempotency_key":"k-%d"}'
JSON = {"Content-Type": "application/json"}
OURS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}")
"""What differs from answer to answer: ids."""

REQUESTS: dict[str, tuple[dict[str, str], bytes]] = {
    "a new job": (ADA | JSON, b'{"type":"echo"}'),
    "a replay": (ADA | JSON, JOB % 1),
    "no user": (JSON, b'{"type":"echo"}'),
    "a user that is none": ({"X-User-ID": " ", **JSON}, b'{"type":"echo"}'),
    "a conflict": (ADA | JSON | {"Idempotency-Key": "k-1"}, b'{"type":"echo"}'),
    "another key in the header": (ADA | JSON | {"Idempotency-Key": "k-2"}, JOB % 1),
    "another media type": (ADA | {"Content-Type": "text/plain"}, b'{"type":"echo"}'),
    "a compressed body": (ADA | JSON | {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    "no JSON": (ADA | JSON, b'{"type":'),
    "a name twice": (ADA | JSON, b'{"type":"echo","type":"echo"}'),
    "wrong fields": (ADA | JSON, b'{"type":3,"prioritty":1}'),
    "a wrong payload": (ADA | JSON, b'{"type":"echo","payload":{"count":"3"}}'),
    "an unknown type": (ADA | JSON, b'{"type":"nobody"}'),
    "an origin": (ADA | JSON | {"Origin": "https://elsewhere.example"}, b'{"type":"echo"}'),
    "a request id": (ADA | JSON | {"X-Request-ID": "mine"}, b'{"type":"echo"}'),
}


class _Through:
    """Somebody's middleware, which does nothing: it keeps all requests in the framework."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@asynccontextmanager
async def _both(app: Tidegate) -> AsyncIterator[tuple[httpx2.AsyncClient, httpx2.AsyncClient]]:
    """Clients of one application: as it is served, and by the framework alone."""
    straight, framework = create_app(app, worker=False), create_app(app, worker=False)
    framework.add_middleware(_Through)
    async with app.connected(), _client(straight) as first, _client(framework) as second:
        yield first, second


def _client(made: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=made, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://here")


def _seen(response: httpx2.Response) -> tuple[int, dict[str, str], str]:
    """An answer, its ids left out."""
    headers = {name: OURS.sub("-", value) for name, value in response.headers.items()}
    return response.status_code, headers, OURS.sub("-", response.text)


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_an_answer_is_the_framework_s(app: Tidegate, request_name: str) -> None:
    headers, body = REQUESTS[request_name]
    async with _both(app) as (straight, framework):
        await framework.post("/jobs", headers=ADA | JSON, content=JOB % 1)
        answers = [await way.post("/jobs", headers=headers, content=body) for way in (straight, framework)]
    assert _seen(answers[0]) == _seen(answers[1])


async def test_who_shows_no_key_where_there_is_one_is_refused(app: Tidegate) -> None:
    async with _both(app) as (straight, framework):
        made = await straight.post("/keys", json={"name": "ops", "role": "admin"})
        assert made.status_code == 201, made.text
        answers = [await way.post("/jobs", headers=ADA, json={"type": "echo"}) for way in (straight, framework)]
        shown = {**ADA, "Authorization": f"Bearer {made.json()['key']}"}
        assert (await straight.post("/jobs", headers=shown, json={"type": "echo"})).status_code == 201
    assert _seen(answers[0]) == _seen(answers[1])
    problem(answers[0], 401, "unauthenticated")


async def test_a_fault_is_told_as_one_and_logged(
    app: Tidegate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with _both(app) as (straight, _):
        monkeypatch.setattr(app.registry, "get", None)
        with caplog.at_level(logging.ERROR):
            answer = await straight.post("/jobs", headers=ADA, json={"type": "echo"})
    said = problem(answer, 500, "internal-error")
    assert f"http.fault request_id={said['request_id']}" in caplog.text


async def test_both_ways_are_counted_alike(app: Tidegate) -> None:
    async with _both(app) as (straight, _):
        await straight.post("/jobs", headers=ADA, json={"type": "echo"})
        await straight.post("/jobs?wait=", headers=ADA, json={"type": "echo"})
        shown = (await straight.get("/metrics", headers=ADA)).text
    counted = re.findall(r"^tidegate_http_requests_total\{(.*)\} (.*)$", shown, re.MULTILINE)
    assert sorted(labels for labels, _ in counted) == [
        'method="POST",route="/jobs",status="2xx"',
        'method="POST",route="/jobs",status="4xx"',
    ]


async def _framework(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("this came to the framework")


WAYS = {"POST /jobs": 201, "POST /jobs?wait=1": 500, "GET /jobs": 500, "POST /jobs/": 500}


@pytest.mark.parametrize("way", WAYS)
async def test_only_a_plain_request_to_a_plain_route_passes_the_framework_by(app: Tidegate, way: str) -> None:
    method, _, path = way.partition(" ")
    made = create_app(app, worker=False)
    made.middleware_stack = Envelope(_framework)
    async with app.connected(), _client(made) as client:
        answer = await client.request(method, path, headers=ADA | JSON, content=b'{"type":"echo"}')
    assert answer.status_code == WAYS[way]


async def test_what_its_host_puts_around_the_api_is_around_plain_requests_too(app: Tidegate) -> None:
    made = create_app(app, worker=False)

    @made.middleware("http")
    async def closed(request: Request, _: object) -> Response:
        return Response("closed for today", 418)

    async with app.connected(), _client(made) as client:
        assert (await client.post("/jobs", headers=ADA, json={"type": "echo"})).status_code == 418


def _guarded(made: FastAPI) -> None:
    async def closed() -> None:
        raise HTTPException(418)

    (guard,) = made.router.dependencies
    assert guard.dependency is not None
    made.dependency_overrides[guard.dependency] = closed


def _without_jobs(made: FastAPI) -> None:
    made.router.routes[:] = [route for route in made.routes if not (isinstance(route, Route) and route.path == "/jobs")]


def _below_api(made: FastAPI) -> None:
    made.root_path = "/api"


def _told_otherwise(made: FastAPI) -> None:
    async def teapot(request: Request, exc: Exception) -> Response:
        return Response(status_code=418)

    made.add_exception_handler(TidegateError, teapot)
    made.add_exception_handler(Refusal, teapot)


@pytest.mark.parametrize("change", [_guarded, _without_jobs, _below_api, _told_otherwise])
async def test_what_its_host_changes_of_the_application_holds_for_plain_requests_too(
    app: Tidegate, change: Callable[[FastAPI], None]
) -> None:
    async with _both(app) as (_, framework):
        straight = create_app(app, worker=False)
        for made in (straight, _application(framework)):
            change(made)
        for body in (b'{"type":"echo"}', b'{"type":'):
            answers = [
                await way.post("/jobs", headers=ADA | JSON, content=body) for way in (_client(straight), framework)
            ]
            assert _seen(answers[0]) == _seen(answers[1])


def _application(client: httpx2.AsyncClient) -> FastAPI:
    transport = client._transport
    assert isinstance(transport, httpx2.ASGITransport)
    assert isinstance(transport.app, FastAPI)
    return transport.app


async def test_where_it_is_mounted_the_places_are_told_as_its_clients_reach_them(app: Tidegate) -> None:
    host = FastAPI()
    host.mount("/tg", create_app(app, worker=False))
    async with app.connected(), _client(host) as client:
        answer = await client.post("/tg/jobs", headers=ADA, json={"type": "echo"})
    assert answer.headers["location"] == f"/tg/jobs/{answer.json()['job_id']}"
