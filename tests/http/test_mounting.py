"""In somebody else's application: our routes keep their promises there, and nothing of its own is touched."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse

from tests.http.calls import ADA, fields, post, problem, run
from tidegate.app import Tidegate
from tidegate.errors import JobNotFound, TidegateError
from tidegate.http import acting_as, create_app, tidegate_lifespan, tidegate_router

PREFIX = "/jobs-api"


def _host(app: FastAPI) -> FastAPI:
    """Give an application a route and answers of its own."""

    @app.get("/orders/{number}")
    async def order(number: int) -> dict[str, int]:
        if number == 0:
            raise JobNotFound("none of yours")
        if number < 0:
            raise RuntimeError("a fault of the host's")
        return {"number": number}

    @app.exception_handler(TidegateError)
    async def ours(request: Request, exc: Exception) -> JSONResponse:
        return JSONResponse({"host": type(exc).__name__}, 418)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: Exception) -> JSONResponse:
        return JSONResponse({"host": "invalid"}, 499)

    @app.exception_handler(404)
    async def missing(request: Request, exc: Exception) -> PlainTextResponse:
        return PlainTextResponse("host: nothing here", 404)

    @app.exception_handler(Exception)
    async def fault(request: Request, exc: Exception) -> PlainTextResponse:
        return PlainTextResponse("host: sorry", 500)

    return app


@asynccontextmanager
async def _opened(host: FastAPI, root: str = "", **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=host, raise_app_exceptions=False, root_path=root)
    async with (
        host.router.lifespan_context(host),
        httpx2.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client,
    ):
        yield client


def _included(app: Tidegate) -> FastAPI:
    host = _host(FastAPI(title="Host"))
    host.include_router(tidegate_router(app), prefix=PREFIX)
    return host


def _mounted(app: Tidegate) -> FastAPI:
    host = _host(FastAPI(title="Host", lifespan=tidegate_lifespan(app)))
    host.mount(PREFIX, create_app(app))
    return host


@pytest.fixture(params=[_included, _mounted], ids=["included", "mounted"])
async def hosted(app: Tidegate, request: pytest.FixtureRequest) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of a host."""
    async with _opened(request.param(app), **ADA) as client:
        yield client


@pytest.fixture
async def included(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of a host that includes the router."""
    async with _opened(_included(app), **ADA) as client:
        yield client


async def test_a_job_runs_and_every_link_leads_somewhere(hosted: httpx2.AsyncClient, app: Tidegate) -> None:
    accepted = await hosted.post(f"{PREFIX}/jobs", json={"type": "chart"})
    job_id = accepted.json()["job_id"]
    assert accepted.headers["location"] == f"{PREFIX}/jobs/{job_id}"
    assert accepted.json()["status_url"] == f"{PREFIX}/jobs/{job_id}/status"
    job = await app.handle(job_id).result(timeout=20)
    status = (await hosted.get(accepted.json()["status_url"])).json()
    assert status["result_url"].startswith(f"{PREFIX}/jobs/{job_id}/")
    assert (await hosted.get(status["result_url"])).json() == job
    [first, *_] = (await hosted.get(f"{PREFIX}/jobs/{job_id}/artifacts")).json()["items"]
    assert (await hosted.get(first["url"])).status_code == 200


async def test_our_errors_are_problems_whatever_the_host_does_with_its_own(hosted: httpx2.AsyncClient) -> None:
    problem(await hosted.get(f"{PREFIX}/jobs/x"), 404, "job-not-found")
    problem(await hosted.get(f"{PREFIX}/jobs", headers={"X-User-ID": ""}), 400, "user-missing")
    assert fields(problem(await hosted.get(f"{PREFIX}/jobs?limit=0"), 422, "invalid-input")) == ["limit"]
    problem(await hosted.post(f"{PREFIX}/jobs", content=b"{"), 400, "malformed-json")


async def test_bodies_that_the_framework_reads_are_read_as_strictly(hosted: httpx2.AsyncClient) -> None:
    json_type = {"Content-Type": "application/json"}
    pause = f"{PREFIX}/queues/default/pause"
    for body in (b"{", b'{"seconds": NaN}', b'{"seconds": 1, "seconds": 2}', b"[" * 99 + b"]" * 99):
        problem(await hosted.post(pause, content=body, headers=json_type), 400, "malformed-json")
    problem(await hosted.post(pause, content=b" " * 2_000_000, headers=json_type), 413, "too-large")


async def test_our_answers_have_our_headers_and_the_hosts_have_none_of_them(hosted: httpx2.AsyncClient) -> None:
    ours = await hosted.get(f"{PREFIX}/health", headers={"X-Request-ID": "r-1"})
    assert ours.headers["x-request-id"] == "r-1"
    assert ours.headers["cache-control"] == "no-store"
    theirs = await hosted.get("/orders/1", headers={"X-Request-ID": "r-1"})
    assert theirs.json() == {"number": 1}
    assert {"x-request-id", "cache-control", "content-security-policy"}.isdisjoint(theirs.headers)


async def test_the_hosts_own_errors_are_answered_by_the_host(hosted: httpx2.AsyncClient) -> None:
    for path, status, said in (
        ("/orders/0", 418, '{"host":"JobNotFound"}'),
        ("/orders/x", 499, '{"host":"invalid"}'),
        ("/orders/-1", 500, "host: sorry"),
        ("/nothing", 404, "host: nothing here"),
    ):
        answer = await hosted.get(path)
        assert (answer.status_code, answer.text) == (status, said)


async def test_places_that_are_not_ours_are_the_hosts_also_below_the_prefix(included: httpx2.AsyncClient) -> None:
    assert (await included.get(f"{PREFIX}/nothing")).text == "host: nothing here"
    assert (await included.delete(f"{PREFIX}/jobs")).status_code == 405


async def test_our_faults_are_the_hosts_to_answer(
    included: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(type(app.client), "find")
    assert (await included.get(f"{PREFIX}/jobs")).text == "host: sorry"


# who asks --------------------------------------------------------------------------------------------------


def who(request: Request, session: Annotated[str, Header()] = "") -> None:
    """The host's own way to know who asks."""
    if not session:
        raise HTTPException(401, "the host does not know you")
    acting_as(request, session)


@pytest.fixture
async def guarded(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """Nobody's client of a host that checks who asks."""
    host = _host(FastAPI())
    host.include_router(tidegate_router(app), prefix=PREFIX, dependencies=[Depends(who)], tags=["background"])
    async with _opened(host) as client:
        yield client


async def test_who_the_host_does_not_know_is_refused_by_the_host(guarded: httpx2.AsyncClient) -> None:
    answer = await guarded.get(f"{PREFIX}/jobs", headers=ADA)
    assert (answer.status_code, answer.json()) == (401, {"detail": "the host does not know you"})


async def test_who_the_host_knows_is_the_user_and_cannot_be_another(guarded: httpx2.AsyncClient) -> None:
    made = await guarded.post(f"{PREFIX}/jobs", json={"type": "echo"}, headers={"Session": "ada"})
    path = made.headers["location"]
    assert (await guarded.get(path, headers={"Session": "ada"})).json()["user_id"] == "ada"
    problem(await guarded.get(path, headers={"Session": "bob"}), 404, "job-not-found")
    problem(await guarded.get(path, headers={"Session": "bob", "X-User-ID": "ada"}), 403, "access-denied")


async def test_a_user_of_the_hosts_is_no_operator(guarded: httpx2.AsyncClient) -> None:
    answer = await guarded.post(f"{PREFIX}/queues/default/pause", json={}, headers={"Session": "ada"})
    problem(answer, 403, "access-denied")


# life ------------------------------------------------------------------------------------------------------


async def test_a_store_that_the_host_opened_is_opened_once(app: Tidegate) -> None:
    opened: list[object] = []

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with app:
            opened.append(app.system)
            yield
            assert app.system is opened[0]

    host = FastAPI(lifespan=life)
    host.include_router(tidegate_router(app), prefix=PREFIX)
    async with _opened(host, **ADA) as client:
        assert app.system is opened[0]
        await run(_below(client), app)


async def test_without_a_worker_jobs_wait(app: Tidegate) -> None:
    host = FastAPI()
    host.include_router(tidegate_router(app, worker=False), prefix=PREFIX)
    async with _opened(host, **ADA) as client:
        await post(_below(client))
        assert await app.system.engine.workers() == []


def _below(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    client.base_url = httpx2.URL(f"http://here{PREFIX}")
    return client


async def test_a_prefix_with_parameters_and_a_root_path_are_part_of_links(app: Tidegate) -> None:
    host = FastAPI()
    host.include_router(tidegate_router(app), prefix="/of/{tenant}/jobs-api")
    async with _opened(host, "/outside", **ADA) as client:
        answer = await client.post("/of/big corp/jobs-api/jobs", json={"type": "echo"})
    assert answer.headers["location"].startswith("/outside/of/big%20corp/jobs-api/jobs/")


# the document ----------------------------------------------------------------------------------------------


async def test_the_hosts_document_has_our_routes_and_is_whole(app: Tidegate) -> None:
    host = _included(app)
    document = host.openapi()
    alone = create_app(app).openapi()["paths"]
    assert set(document["paths"]) == {"/orders/{number}", *(PREFIX + path for path in alone if path != "/")}
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert named <= set(document["components"]["schemas"])
    submit = document["paths"][f"{PREFIX}/jobs"]["post"]
    assert submit["operationId"] == "tidegate_jobs_submit"
    assert submit["requestBody"]["content"]["application/json"]["schema"]["properties"]["type"]
    assert {"X-User-ID", "Idempotency-Key"} <= {one["name"] for one in submit["parameters"]}
    refused = [answer for status, answer in submit["responses"].items() if status[0] in "45"]
    assert all(list(answer["content"]) == ["application/problem+json"] for answer in refused)


async def test_the_hosts_document_says_how_to_show_a_key_where_one_is_asked_for(app: Tidegate) -> None:
    document, alone = _included(app).openapi(), create_app(app).openapi()
    schemes, ours = document["components"]["securitySchemes"], alone["components"]["securitySchemes"]
    assert schemes == {f"tidegate_{name}": scheme for name, scheme in ours.items()}
    for path, operations in alone["paths"].items():
        for method, operation in operations.items() if path != "/" else ():
            said = document["paths"][PREFIX + path][method].get("security", [])
            assert len(said) == len(operation.get("security", [])), path
            assert {name for way in said for name in way} == (set(schemes) if said else set()), path


async def test_the_hosts_document_tells_retry_policies_apart_without_references(app: Tidegate) -> None:
    submit = _included(app).openapi()["paths"][f"{PREFIX}/jobs"]["post"]["requestBody"]["content"]
    policy = submit["application/json"]["schema"]["properties"]["retry"]["anyOf"][0]
    assert [one["properties"]["policy"]["const"] for one in policy["oneOf"]] == ["steps", "exponential"]
    assert "discriminator" not in policy


async def test_the_hosts_own_operations_are_documented_as_before(app: Tidegate) -> None:
    before = _host(FastAPI(title="Host")).openapi()["paths"]["/orders/{number}"]
    assert _included(app).openapi()["paths"]["/orders/{number}"] == before


async def test_a_router_may_be_included_in_another(app: Tidegate) -> None:
    outer, host = APIRouter(prefix="/v1"), FastAPI()
    outer.include_router(tidegate_router(app), prefix=PREFIX)
    host.include_router(outer)
    async with _opened(host, **ADA) as client:
        answer = await client.post(f"/v1{PREFIX}/jobs", json={"type": "echo"})
        assert (await client.get(answer.headers["location"])).status_code == 200


async def test_head_is_answered_and_what_nobody_asked_for_refused_there_too(hosted: httpx2.AsyncClient) -> None:
    job_id = (await hosted.post(f"{PREFIX}/jobs", json={"type": "echo"})).json()["job_id"]
    headed = await hosted.head(f"{PREFIX}/jobs/{job_id}")
    assert (headed.status_code, headed.content) == (200, b"")
    refused = await hosted.post(f"{PREFIX}/jobs/{job_id}/cancel", params={"dry_run": "true"})
    assert fields(problem(refused, 422, "invalid-input")) == ["dry_run"]
