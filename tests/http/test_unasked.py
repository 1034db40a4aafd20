"""What no route asks for is refused, and acts on nothing; HEAD is answered wherever GET is."""

from collections.abc import Iterator
from typing import Final

import httpx2
import pytest

from tests.http.calls import fields, post, problem, run
from tests.http.raw import asked, statuses
from tidegate.app import Tidegate
from tidegate.http.app import create_app

STREAMS: Final = ("/events", "/jobs/{job_id}/events")


def _operations(*methods: str) -> Iterator[tuple[str, str]]:
    """The (method, path) of every operation of the document, those with these methods."""
    for path, operations in create_app(Tidegate()).openapi()["paths"].items():
        yield from ((method.upper(), path) for method in operations if not methods or method in methods)


def _bodiless() -> Iterator[tuple[str, str]]:
    for path, operations in create_app(Tidegate()).openapi()["paths"].items():
        yield from ((method.upper(), path) for method, told in operations.items() if "requestBody" not in told)


def _place(path: str) -> str:
    """A path of that kind."""
    return path.replace("{", "").replace("}", "")


# parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), list(_operations()))
async def test_a_parameter_that_nobody_knows_is_refused(shared: httpx2.AsyncClient, method: str, path: str) -> None:
    response = await shared.request(method, _place(path), params={"surely_not": "1"})
    assert "surely_not" in fields(problem(response, 422, "invalid-input"))


async def test_a_field_in_the_wrong_place_has_nothing_done(api: httpx2.AsyncClient) -> None:
    job = await post(api)
    sent = {"action": "cancel", "filter": {}, "all": True}
    for query in ("dry_run=true", "dry_run", "%64ry_run="):
        assert fields(problem(await api.post(f"/jobs/actions?{query}", json=sent), 422, "invalid-input")) == ["dry_run"]
    assert fields(problem(await api.post(f"/jobs/{job}/cancel?a=1&b=&a=2"), 422, "invalid-input")) == ["a", "b"]
    [item] = (await api.get("/jobs")).json()["items"]
    assert (item["job_id"], item["status"]) == (job, "queued")


async def test_a_mark_without_a_parameter_asks_for_nothing(shared: httpx2.AsyncClient) -> None:
    assert (await shared.get("/health?")).status_code == 200
    assert (await shared.get("/health?&")).status_code == 200


# bodies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), list(_bodiless()))
async def test_a_body_that_nobody_reads_is_refused(shared: httpx2.AsyncClient, method: str, path: str) -> None:
    response = await shared.request(method, _place(path), json={"reason": "none"})
    assert "" in fields(problem(response, 422, "invalid-input"))


@pytest.mark.parametrize(("body", "status"), [(b"", 200), (b"{}", 200), (b"[]", 422), (b'{"a":1}', 422)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_empty_body_says_nothing(
    server: httpx2.AsyncClient, body: bytes, status: int, *, chunked: bool
) -> None:
    job = await post(server)
    length = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(body)
    sent = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    head = f"POST /jobs/{job}/cancel HTTP/1.1\r\nHost: localhost\r\nX-User-ID: ada\r\nConnection: close\r\n".encode()
    said = await asked(server, head + length + b"\r\n" + (sent + b"0\r\n\r\n" if chunked else body))
    assert statuses(said) == [status]


# HEAD ------------------------------------------------------------------------------------------------------


async def test_head_is_answered_as_get_is_but_for_the_body(server: httpx2.AsyncClient) -> None:
    for path in [_place(path) for _, path in _operations("get") if path not in STREAMS]:
        shown, headed = await server.get(path), await server.head(path)
        assert (headed.status_code, headed.content) == (shown.status_code, b""), path
        assert headed.headers["content-type"] == shown.headers["content-type"]


@pytest.mark.parametrize("path", STREAMS)
async def test_head_is_not_for_streams(shared: httpx2.AsyncClient, path: str) -> None:
    response = await shared.head(_place(path))
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


async def test_another_method_is_told_of_head(shared: httpx2.AsyncClient) -> None:
    response = await shared.put("/jobs")
    assert problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


async def test_head_of_a_file_tells_its_length_and_the_connection_goes_on(
    app: Tidegate, server: httpx2.AsyncClient
) -> None:
    job_id = await post(server)
    head = f"HEAD /jobs/{job_id} HTTP/1.1\r\nHost: localhost\r\nX-User-ID: ada\r\n".encode()
    whole = len((await server.get(f"/jobs/{job_id}")).content)
    said = await asked(server, head + b"\r\n" + head + b"Connection: close\r\n\r\n")
    assert statuses(said) == [200, 200]
    assert said.count(b"content-length: %d\r\n" % whole) == 2
    assert said.endswith(b"\r\n\r\n")


async def test_head_of_an_artifact_sends_none_of_it(app: Tidegate, working: httpx2.AsyncClient) -> None:
    place = f"/jobs/{await run(working, app, 'chart')}/artifacts/charts/trend.png"
    shown, headed = await working.get(place), await working.head(place)
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == shown.headers["content-length"] == str(len(shown.content))
