"""What browsers are told: who may call from where, what a page may load, and that all is TLS."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tidegate.config import load
from tidegate.errors import ConfigError
from tidegate.http.guards.edge import EXPOSED, HEADERS, METHODS

OURS, THEIRS = "https://app.example", "https://evil.example"


@asynccontextmanager
async def _reached(folder: Path, **settings: object) -> AsyncIterator[httpx2.AsyncClient]:
    app = application(plain_settings(folder).model_copy(update=settings))
    async with reached(app, worker=False) as api:
        yield api


@pytest.fixture(scope="module")
async def named(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service that one other origin may call."""
    async with _reached(tmp_path_factory.mktemp("named"), cors_origins=(OURS,)) as api:
        yield api


def _preflight(origin: str, method: str = "POST", headers: str = "content-type") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


# CORS ------------------------------------------------------------------------------------------------------


async def test_no_other_origin_is_let_in_by_default(shared: httpx2.AsyncClient) -> None:
    answer = await shared.get("/health", headers={"Origin": OURS})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    problem(await shared.options("/jobs", headers=_preflight(OURS)), 405, "method-not-allowed")


async def test_a_named_origin_may_send_all_that_the_api_takes(named: httpx2.AsyncClient) -> None:
    for method in METHODS:
        asked = _preflight(OURS, method, ", ".join(name.lower() for name in HEADERS))
        answer = await named.options("/jobs", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == OURS
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "x-request-id" in answer.headers


async def test_a_named_origin_may_read_answers_and_refusals_and_their_headers(named: httpx2.AsyncClient) -> None:
    for path in ("/health", "/jobs/x"):
        answer = await named.get(path, headers={"Origin": OURS})
        assert answer.headers["access-control-allow-origin"] == OURS
        assert answer.headers["access-control-expose-headers"].split(", ") == list(EXPOSED)
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", [THEIRS, f"{OURS}.evil.example", f"{OURS}:8443", "http://app.example", "null"])
async def test_another_origin_is_not_let_in(named: httpx2.AsyncClient, origin: str) -> None:
    refused = await named.options("/jobs", headers=_preflight(origin))
    assert "origin" in str(problem(refused, 400, "bad-request")["detail"])
    answer = await named.get("/health", headers={"Origin": origin})
    for one in (refused, answer):
        assert "access-control-allow-origin" not in one.headers


@pytest.mark.parametrize("asked", [_preflight(OURS, "TRACE"), _preflight(OURS, headers="x-anything")])
async def test_another_method_or_header_is_refused(named: httpx2.AsyncClient, asked: dict[str, str]) -> None:
    refused = await named.options("/jobs", headers=asked)
    problem(refused, 400, "bad-request")
    assert refused.headers["access-control-allow-origin"] == OURS
    assert refused.headers["vary"].startswith("Origin")


async def test_any_origin_means_without_credentials(tmp_path: Path) -> None:
    async with _reached(tmp_path, cors_origins=("*",)) as api:
        for method, asked in (("OPTIONS", _preflight(THEIRS)), ("GET", {"Origin": THEIRS})):
            answer = await api.request(method, "/jobs", headers=asked)
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers


def test_origins_are_read_with_commas_and_must_be_origins() -> None:
    assert load(cors_origins=f"{OURS}, http://localhost:5173").cors_origins == (OURS, "http://localhost:5173")
    for wrong in (f"{OURS}/", "app.example", "https://*.example", "https://App.example", "null"):
        with pytest.raises(ConfigError, match="CORS_ORIGINS"):
            load(cors_origins=wrong)


# headers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/health", "/jobs", "/jobs/x", "/nothing", "/openapi.json"])
async def test_an_answer_of_the_api_loads_nothing_and_is_nobodys_frame(shared: httpx2.AsyncClient, path: str) -> None:
    headers = (await shared.get(path)).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "strict-transport-security" not in headers


async def test_tls_for_good_is_said_where_it_is_set(tmp_path: Path) -> None:
    async with _reached(tmp_path, hsts=timedelta(days=365)) as api:
        for path, status in (("/health", 200), ("/nothing", 404)):
            answer = await api.get(path)
            assert (answer.status_code, answer.headers["strict-transport-security"]) == (status, "max-age=31536000")


async def test_the_page_about_the_api_runs_no_script_and_loads_nothing(shared: httpx2.AsyncClient) -> None:
    answer = await shared.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
    assert not re.findall(r"<script|<link|<img|<iframe|\son\w+=|\sstyle=|src=|javascript:", answer.text)
    assert {link for link in re.findall(r'href="([^"]*)"', answer.text) if not link.startswith("#")} == {
        "/openapi.json"
    }


async def test_the_page_shows_every_operation_and_links_every_schema(shared: httpx2.AsyncClient) -> None:
    text, document = (await shared.get("/docs")).text, (await shared.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"<b>{method.upper()}</b> <code>{path}</code>" in text
    for name in re.findall(r'href="#([^"]*)"', text):
        assert f'id="{name}"' in text


async def test_the_page_shows_an_example_of_every_body_and_calls_with_it(shared: httpx2.AsyncClient) -> None:
    document, text = (await shared.get("/openapi.json")).json(), unescape((await shared.get("/docs")).text)
    for path in ("/keys", "/jobs", "/webhooks"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        values = [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]
        assert f"-d '{json.dumps(values[0])}'" in text


async def test_no_page_of_the_framework_is_left(shared: httpx2.AsyncClient) -> None:
    for path in ("/redoc", "/docs/oauth2-redirect"):
        problem(await shared.get(path), 404, "not-found")
