"""Dead letters are a view of jobs."""

import httpx2

from tests.http.calls import BOB, problem, run
from tidegate.app import Tidegate


async def test_dead_letters_are_failed_jobs_that_nobody_dismissed(working: httpx2.AsyncClient, app: Tidegate) -> None:
    dead = [await run(working, app, "broken", max_attempts=1, tags=[tag]) for tag in ("a", "b")]
    dismissed = await run(working, app, "broken", max_attempts=1)
    await run(working, app)
    await working.post(f"/jobs/{dismissed}/dismiss")
    page = (await working.get("/dead-letters")).json()
    assert page == (await working.get("/jobs", params={"status": "dead_letter"})).json()
    assert [item["job_id"] for item in page["items"]] == dead[::-1]
    [second] = (await working.get("/dead-letters", params={"limit": 1, "offset": 1})).json()["items"]
    assert second["job_id"] == dead[0]
    [tagged] = (await working.get("/dead-letters", params={"tag": "b"})).json()["items"]
    assert tagged["job_id"] == dead[1]
    assert (await working.get("/dead-letters", headers=BOB)).json()["items"] == []


async def test_they_have_no_other_status(api: httpx2.AsyncClient) -> None:
    problem(await api.get("/dead-letters", params={"status": "queued"}), 422, "invalid-input")
