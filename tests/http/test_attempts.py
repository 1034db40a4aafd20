"""A job's runs, one by one."""

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx2
import msgspec
import pytest

from tests.http.calls import BOB, post, problem, run, stands
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import STORES, url_of
from tidegate.app import Tidegate
from tidegate.clock import token
from tidegate.config import Settings
from tidegate.core.failure import Failure
from tidegate.core.fairness import Turn
from tidegate.core.job import Ending, Owner, Retry
from tidegate.core.ledger import USAGE, Entry
from tidegate.core.verbs import ClaimRequest
from tidegate.errors import ArtifactUnavailable

AT_ONCE = {"policy": "steps", "delays": [0.001]}
ONE = ClaimRequest(
    owner=Owner("w"),
    turns=(Turn(queue="default", quota=1),),
    types=frozenset({"echo"}),
    limit=1,
    lease_for=timedelta(seconds=60),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A worker that looks often, so that retries don't wait for it."""
    return plain_settings(tmp_path / "data").model_copy(update={"poll": timedelta(seconds=0.02)})


async def _attempts(client: httpx2.AsyncClient, job_id: str) -> list[dict[str, object]]:
    items: list[dict[str, object]] = (await client.get(f"/jobs/{job_id}/attempts")).json()["items"]
    return items


@pytest.mark.parametrize("store", STORES)
async def test_each_run_tells_how_it_ended_and_that_it_counts(store: str, settings: Settings, tmp_path: Path) -> None:
    async with url_of(store, tmp_path) as url:
        app = application(settings.model_copy(update={"engine": url}))
        async with reached(app, worker=True) as client:
            job_id = await run(client, app, "broken", max_attempts=2, retry=AT_ONCE)
            first, second = await _attempts(client, job_id)
            whole = (await client.get(f"/jobs/{job_id}")).json()
    assert (first["run"], first["outcome"], first["note"]) == (1, "retried", "processing_error")
    assert (second["run"], second["outcome"], second["note"]) == (2, "failed", "processing_error")
    assert [one["counted"] for one in (first, second)] == [True, True]
    assert str(first["started_at"]) <= str(first["ended_at"]) <= str(second["started_at"])
    assert (second["started_at"], second["ended_at"]) == (whole["started_at"], whole["finished_at"])
    assert second["usage"] == []


async def test_a_run_under_way_is_shown_as_running(working: httpx2.AsyncClient) -> None:
    job_id = await post(working, "brief")
    await stands(working, job_id, "running")
    [one] = await _attempts(working, job_id)
    assert (one["outcome"], one["ended_at"], one["counted"], one["reclaimed"]) == ("running", None, None, False)


async def test_a_job_that_waits_has_none(api: httpx2.AsyncClient) -> None:
    assert await _attempts(api, await post(api)) == []


async def test_each_run_tells_what_it_spent(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "broken", max_attempts=2, retry=AT_ONCE)
    spent = Entry(run=2, upstream="openrouter", input_tokens=7, output_tokens=3, cost=None)
    await app.system.artifacts.put(
        f"jobs/{job_id}/2-abcdefgh/{USAGE}", msgspec.json.encode([spent]), content_type="application/json"
    )
    first, second = await _attempts(working, job_id)
    assert first["usage"] == []
    assert second["usage"] == [
        {"run": 2, "upstream": "openrouter", "input_tokens": 7, "output_tokens": 3, "cost": None}
    ]


async def test_without_the_artifact_store_runs_are_shown_and_what_they_spent_is_not(
    working: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await run(working, app)

    async def away(_: object) -> list[Entry]:
        raise ArtifactUnavailable("it is away")

    monkeypatch.setattr(app.client, "spent", away)
    [one] = await _attempts(working, job_id)
    assert (one["outcome"], one["usage"]) == ("succeeded", None)


async def test_a_long_history_is_read_to_its_end(api: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id, engine = await post(api), app.system.engine
    for _ in range(110):
        [lease] = (await engine.claim(ONE, token())).leases
        again = Retry(delay=timedelta(0), failure=Failure(code="boom", message=""))
        await engine.settle([Ending(job_id=lease.job.id, token=lease.token, settlement=again)])
    history = (await api.get(f"/jobs/{job_id}/history")).json()
    assert history["next"] is not None
    assert [one["run"] for one in await _attempts(api, job_id)] == list(range(1, 111))


async def test_another_user_s_job_is_unknown(api: httpx2.AsyncClient) -> None:
    problem(await api.get(f"/jobs/{await post(api)}/attempts", headers=BOB), 404, "job-not-found")


async def test_runs_of_many_jobs_don_t_mix(working: httpx2.AsyncClient, app: Tidegate) -> None:
    ids = await asyncio.gather(*(run(working, app) for _ in range(3)))
    assert [len(await _attempts(working, job_id)) for job_id in ids] == [1, 1, 1]
