"""What is refused before anything is looked at: bodies that are no JSON, or no JSON that means one thing."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.http.calls import fields, post, problem, unfinished
from tidegate.core.job import PAYLOAD_LIMIT
from tidegate.http.requests.reading import BODY_LIMIT, DEEPEST

REFUSED = {
    "nothing": b"",
    "no JSON": b"{type: echo}",
    "cut off": b'{"type": "echo"',
    "two values": b'{"type": "echo"} {}',
    "NaN": b'{"type": "echo", "payload": {"numbers": [NaN]}}',
    "Infinity": b'{"type": "echo", "payload": {"numbers": [-Infinity]}}',
    "a number that overflows": b'{"type": "echo", "payload": {"numbers": [1e400]}}',
    "a whole number without end": b'{"type": "echo", "priority": 1%b}' % (b"0" * 5_000),
    "a repeated field": b'{"type": "echo", "type": "nothing"}',
    "a repeated field within": b'{"type": "echo", "payload": {"count": 1, "count": 2}}',
    "a repeated field, spelled otherwise": b'{"type": "echo", "t\\u0079pe": "nothing"}',
    "invalid UTF-8": b'{"type": "echo", "payload": {"text": "\xff"}}',
    "UTF-16": '{"type": "echo"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"type": "echo"}',
    "half a surrogate pair": b'{"type": "echo", "payload": {"text": "\\ud800"}}',
    "a raw control character": b'{"type": "echo", "payload": {"text": "\n"}}',
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=list(REFUSED))
async def test_a_body_that_is_no_strict_json_is_refused(shared: httpx2.AsyncClient, body: bytes) -> None:
    problem(await shared.post("/jobs", content=body), 400, "malformed-json")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("levels", [DEEPEST, 100_000])
async def test_a_depth_bomb_is_refused(shared: httpx2.AsyncClient, opening: bytes, levels: int) -> None:
    closing = b"]" if opening == b"[" else b"}"
    bomb = opening * levels + b"1" + closing * levels  # one level deeper than allowed, as a payload
    said = problem(await shared.post("/jobs", content=b'{"type": "echo", "payload": %b}' % bomb), 400, "malformed-json")
    assert "64 levels" in str(said["detail"])


async def test_64_levels_are_read(shared: httpx2.AsyncClient) -> None:
    deep = b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1)
    response = await shared.post("/jobs", content=b'{"type": "echo", "payload": %b}' % deep)
    assert fields(problem(response, 422, "invalid-input")) == ["payload"]  # read, and no object


async def test_many_brackets_side_by_side_are_not_deep(shared: httpx2.AsyncClient) -> None:
    await post(shared, payload={"text": "[{" * 100, "numbers": []})


@pytest.mark.parametrize(
    ("way", "path"),
    [
        ("GET", "/jobs?limit=1&limit=2"),
        ("GET", "/jobs?status=failed&user=*&status=failed"),
        ("GET", "/jobs?l%69mit=1&limit=1"),
        ("GET", "/jobs/x/status?wait=1&wait="),
        ("GET", "/jobs/x/history?after=0&after=1"),
        ("GET", "/jobs/x/result?redirect=true&redirect=false"),
        ("GET", "/events?after=1&after=2"),
        ("POST", "/jobs?wait=1&wait=2"),
    ],
)
async def test_a_parameter_that_is_there_twice_is_refused(shared: httpx2.AsyncClient, way: str, path: str) -> None:
    answer = await shared.request(way, path, content=b'{"type": "echo"}' if way == "POST" else b"")
    assert "more than once" in str(problem(answer, 400, "bad-request")["detail"])


@pytest.mark.parametrize("body", [[], "echo", 1, None, True])
async def test_a_body_that_is_no_object_is_refused(shared: httpx2.AsyncClient, body: object) -> None:
    response = await shared.post("/jobs", content=json.dumps(body))
    assert fields(problem(response, 422, "invalid-input")) == [""]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", 1),
        ("priority", "3"),
        ("priority", True),
        ("priority", 3.5),
        ("priority", 10),
        ("priority", -1),
        ("delay", "5"),
        ("delay", False),
        ("delay", -1),
        ("delay", 1e12),
        ("timeout", 0),
        ("timeout", 86_401),
        ("timeout", "10m"),
        ("max_attempts", 0),
        ("max_attempts", 1_001),
        ("max_attempts", False),
        ("queue", "High"),
        ("queue", ""),
        ("idempotency_key", ""),
        ("idempotency_key", "k" * 256),
        ("idempotency_key", "ключ"),
        ("idempotency_key", 7),
        ("tags", "nightly"),
        ("tags", ["t"] * 17),
        ("tags.0", ""),
        ("run_at", "tomorrow"),
        ("run_at", "2026-01-01"),
        ("run_at", "2026-01-01T00:00:00"),
        ("run_at", "2026-W01-1T00:00:00Z"),
        ("run_at", "20260101T000000Z"),
        ("run_at", "0001-01-01T00:00:00+23:59"),
        ("run_at", 1_767_225_600),
        ("run_at", "9999-12-31T23:59:59Z"),
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("retry", "often"),
        ("retry.policy", {"policy": "sometimes"}),
        ("retry.delays", {"policy": "steps"}),
        ("retry.delays.1", {"policy": "steps", "delays": [1, "5"]}),
        ("retry.initial", {"policy": "exponential", "initial": True}),
        ("retry.colour", {"policy": "exponential", "initial": 1, "colour": "red"}),
        ("status", "succeeded"),
        ("attempts", 0),
        ("user_id", "bob"),
    ],
)
async def test_a_field_that_is_wrong_is_refused_by_name(shared: httpx2.AsyncClient, field: str, value: object) -> None:
    name, _, inner = field.partition(".")
    sent = [value] if inner.isdecimal() else value
    response = await shared.post("/jobs", json={"type": "echo", name: sent})
    assert fields(problem(response, 422, "invalid-input")) == [field]


async def test_run_at_and_delay_exclude_one_another(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/jobs", json={"type": "echo", "delay": 1, "run_at": "2027-01-01T00:00:00Z"})
    assert fields(problem(response, 422, "invalid-input")) == ["delay"]


# size, media type ------------------------------------------------------------------------------------------


async def test_a_payload_over_1_mib_is_refused(shared: httpx2.AsyncClient) -> None:
    room = PAYLOAD_LIMIT - len(b'{"text":""}')
    fits = b'{"type":"echo","payload":{"text":"%b"}}' % (b"x" * room)
    over = b'{"type":"echo","payload":{"text":"%b"}}' % (b"x" * (room + 1))
    assert (await shared.post("/jobs", content=fits)).status_code == 201
    said = problem(await shared.post("/jobs", content=over), 413, "too-large")
    assert (fields(said), said["limit"]) == (["payload"], PAYLOAD_LIMIT)


@pytest.mark.parametrize("length", ["Content-Length: 999999999", "Transfer-Encoding: chunked"])
async def test_a_body_that_is_too_large_is_refused_before_it_has_come(server: httpx2.AsyncClient, length: str) -> None:
    chunk = b"" if "999" in length else b"%x\r\n%b\r\n" % (BODY_LIMIT + 1, b" " * (BODY_LIMIT + 1))
    answer = await unfinished(server, "/jobs", length, chunk)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"/problems/too-large" in answer


async def test_whoever_sends_too_much_sees_the_answer(server: httpx2.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(128):
            yield b" " * 65_536

    for _ in range(5):
        response = await server.post("/jobs", content=body())
        assert problem(response, 413, "too-large")["limit"] == BODY_LIMIT
        assert response.headers["connection"] == "close"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_another_media_type_is_refused(shared: httpx2.AsyncClient, media_type: str) -> None:
    response = await shared.post("/jobs", content=b'{"type":"echo"}', headers={"Content-Type": media_type})
    problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
async def test_json_under_any_of_its_names_is_taken(shared: httpx2.AsyncClient, media_type: str) -> None:
    response = await shared.post("/jobs", content=b'{"type":"echo"}', headers={"Content-Type": media_type})
    assert response.status_code == 201


@pytest.mark.parametrize("path", ["/jobs", "/uploads"])
async def test_a_compressed_body_is_refused(shared: httpx2.AsyncClient, path: str) -> None:
    response = await shared.post(path, content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    problem(response, 415, "unsupported-media-type")
