"""Cancel, retry and dismiss: done, or refused with 409."""

import httpx2
import pytest

from tests.http.calls import ended, post, problem, run, stands
from tidegate.app import Tidegate


async def test_a_waiting_job_is_cancelled_at_once(api: httpx2.AsyncClient) -> None:
    response = await api.post(f"/jobs/{await post(api)}/cancel")
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert response.json()["finished_at"]


async def test_a_running_job_is_cancelled_soon(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await post(working, "endless")
    await stands(working, job_id, "running")
    assert (await working.post(f"/jobs/{job_id}/cancel")).status_code == 200
    assert (await ended(app, job_id)).status == "cancelled"
    problem(await working.get(f"/jobs/{job_id}/result"), 409, "job-cancelled")


async def test_a_finished_job_is_not_cancelled(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app)
    said = problem(await working.post(f"/jobs/{job_id}/cancel"), 409, "illegal-transition")
    assert (said["job_id"], said["job_status"]) == (job_id, "succeeded")


async def test_a_failed_job_is_queued_again_with_fresh_attempts(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "broken", max_attempts=1)
    response = await working.post(f"/jobs/{job_id}/retry")
    assert (response.status_code, response.json()["status"]) == (200, "queued")
    assert (await ended(app, job_id)).counters.runs == 2
    assert (await working.get(f"/jobs/{job_id}/status")).json()["attempts"] == 1


async def test_a_cancelled_job_is_queued_again(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    await api.post(f"/jobs/{job_id}/cancel")
    assert (await api.post(f"/jobs/{job_id}/retry")).json()["status"] == "queued"


async def test_a_dead_letter_is_dismissed_and_stays_failed(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "broken", max_attempts=1)
    for _ in range(2):
        response = await working.post(f"/jobs/{job_id}/dismiss")
        assert (response.status_code, response.json()["status"], response.json()["phase"]) == (200, "failed", "failed")


@pytest.mark.parametrize("act", ["retry", "dismiss"])
async def test_a_queued_job_is_neither_retried_nor_dismissed(api: httpx2.AsyncClient, act: str) -> None:
    said = problem(await api.post(f"/jobs/{await post(api)}/{act}"), 409, "illegal-transition")
    assert said["job_status"] == "queued"


@pytest.mark.parametrize("act", ["retry", "dismiss"])
async def test_a_succeeded_job_is_neither_retried_nor_dismissed(
    working: httpx2.AsyncClient, app: Tidegate, act: str
) -> None:
    said = problem(await working.post(f"/jobs/{await run(working, app)}/{act}"), 409, "illegal-transition")
    assert said["job_status"] == "succeeded"
