"""Every refusal is a problem with a stable type; what is ours to know is not told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.http.calls import PROBLEM, post, problem
from tidegate import errors
from tidegate.app import Tidegate
from tidegate.client import Client
from tidegate.core.job import Job
from tidegate.errors import TidegateError
from tidegate.http.problems import KINDS, refusal_of

SECRET = "postgres://user:secret@db"

EXAMPLES = [
    errors.InvalidInput("a", "is wrong"),
    errors.UnknownJobType("type", "is unknown"),
    errors.TooLarge("payload", "is large", limit=3),
    errors.UploadTooLarge("file", "is large", limit=3),
    errors.NotData("no table"),
    errors.JobNotFound("x"),
    errors.IdempotencyConflict("k", "x"),
    errors.IllegalTransition("x", "queued", "retried"),
    errors.RateLimited("slow down", retry_after=timedelta(seconds=1.2), limit=3),
    errors.UpstreamOpen("openrouter", retry_after=timedelta(seconds=1.2)),
    errors.BudgetSpent("openrouter", retry_after=timedelta(seconds=1.2), until=datetime(2026, 1, 2, tzinfo=UTC)),
    errors.StoreOwned(SECRET, 1),
    errors.WebhookError(SECRET, code="refused"),
    errors.JobFailed("x", "code", "message"),
    errors.JobCancelled("x"),
    errors.ResultTimeout("x", "queued"),
    errors.RetryLater(SECRET, after=timedelta(seconds=1)),
    errors.GiveUp(SECRET),
    errors.Defer(SECRET),
    errors.OutOfBudget(SECRET, datetime(2026, 1, 2, tzinfo=UTC), "$2.00 a day"),
]
MADE = {type(example) for example in EXAMPLES}


def _tree(root: type[TidegateError]) -> Iterator[type[TidegateError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


def test_every_error_of_the_tree_has_its_kind() -> None:
    assert set(KINDS) == set(_tree(TidegateError))


def test_every_error_can_be_told() -> None:
    plain = [cls(SECRET) for cls in _tree(TidegateError) if cls not in MADE]
    for error in [*EXAMPLES, *plain]:
        refusal = refusal_of(error)
        assert 400 <= refusal.kind.status < 600
        assert refusal.kind.status < 500 or SECRET not in refusal.detail


def test_kinds_of_one_slug_are_one() -> None:
    assert len({kind.slug for kind in KINDS.values()}) == len(set(KINDS.values()))


def test_an_error_made_elsewhere_is_its_nearest_ancestors_kind() -> None:
    class Special(errors.JobNotFound):
        """A user's own."""

    assert refusal_of(Special("x")).kind is KINDS[errors.JobNotFound]


@pytest.mark.parametrize("path", ["/nothing", "/jobs/", "/jobs/x/y/z", "/%00", "/j%C3%B6bs"])
async def test_an_unknown_place_is_a_problem_too(shared: httpx2.AsyncClient, path: str) -> None:
    problem(await shared.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/jobs", "GET, HEAD, POST"),
        ("DELETE", "/jobs/x", "GET, HEAD"),
        ("GET", "/uploads", "POST"),
        ("GET", "/jobs/x/cancel", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("GET", "/jobs/bulk", "POST"),
    ],
)
async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(
    shared: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await shared.request(method, path)
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allowed


async def test_a_fault_of_ours_tells_nothing_and_is_logged(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Client, job_id: str, *, user_id: str | None = None) -> Job:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(Client, "get", broken)
    response = await api.get("/jobs/x/status")
    said = problem(response, 500, "internal-error")
    assert "secret" not in response.text
    [record] = caplog.records
    assert str(said["request_id"]) in record.getMessage()
    assert record.exc_info is not None


async def test_a_store_that_is_away_is_worth_another_try(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise errors.EngineUnavailable(SECRET)

    monkeypatch.setattr(app.system.engine, "submit", away)
    response = await api.post("/jobs", json={"type": "echo"})
    problem(response, 503, "store-unavailable")
    assert response.headers["retry-after"] == "2"
    assert "secret" not in response.text


# headers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/jobs", "/nothing", "/jobs/x", "/openapi.json"])
async def test_every_answer_is_private_and_can_be_traced(shared: httpx2.AsyncClient, path: str) -> None:
    headers = (await shared.get(path, headers={"X-Request-ID": "trace-1"})).headers
    assert headers["x-request-id"] == "trace-1"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "a_b", "a\tb", "é"])
async def test_a_request_id_of_another_shape_is_replaced(shared: httpx2.AsyncClient, given: str) -> None:
    response = await shared.get("/health", headers={b"X-Request-ID": given.encode()})
    assert len(response.headers["x-request-id"]) == 32


async def test_every_request_has_an_id_of_its_own(shared: httpx2.AsyncClient) -> None:
    ids = [(await shared.get("/health")).headers["x-request-id"] for _ in range(10)]
    assert len(set(ids)) == 10


async def test_what_a_request_held_can_always_be_told(shared: httpx2.AsyncClient) -> None:
    body = '{"type": "\\u202e<script>\\u0000\\u001b[31m\\r\\nX: y", "payload": {}}'
    response = await shared.post("/jobs", content=body)
    problem(response, 422, "unknown-job-type")
    assert "<script>" in response.json()["detail"]
    assert response.headers["content-type"] == PROBLEM


async def test_a_connection_survives_a_refusal_whose_request_was_read(server: httpx2.AsyncClient) -> None:
    response = await server.post("/jobs", json={"type": "no-such-type"})
    assert "connection" not in response.headers
    await post(server)
