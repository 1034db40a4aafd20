"""What jobs made: results and files."""

import json

import httpx2

from tests.http.calls import ended, post, problem, run
from tests.http.handlers import LARGE, PICTURE
from tidegate.app import Tidegate


async def test_a_result_is_the_json_that_was_returned(working: httpx2.AsyncClient, app: Tidegate) -> None:
    response = await working.get(f"/jobs/{await run(working, app, payload={'count': 2})}/result")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"text": "", "count": 2, "numbers": []}


async def test_a_large_result_is_streamed_from_its_artifact(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "large")
    response = await working.get(f"/jobs/{job_id}/result")
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    assert json.loads(response.content) == "x" * LARGE
    assert (await working.get(f"/jobs/{job_id}")).json()["result"] is None


async def test_a_job_that_returned_nothing_has_no_result(working: httpx2.AsyncClient, app: Tidegate) -> None:
    problem(await working.get(f"/jobs/{await run(working, app, 'nothing')}/result"), 404, "no-result")


async def test_a_job_that_has_not_ended_has_no_result_yet(api: httpx2.AsyncClient) -> None:
    said = problem(await api.get(f"/jobs/{await post(api)}/result"), 409, "job-not-finished")
    assert said["job_status"] == "queued"


async def test_a_failed_job_has_its_error_instead_of_a_result(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "broken", max_attempts=1)
    said = problem(await working.get(f"/jobs/{job_id}/result"), 409, "job-failed")
    assert (said["job_id"], said["error"]) == (job_id, "processing_error")
    assert "it is broken" in str(said["detail"])


async def test_files_are_listed_with_their_places(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "chart")
    items = (await working.get(f"/jobs/{job_id}/artifacts")).json()["items"]
    assert [item["path"] for item in items] == ["charts/trend.png", "page.html", "result.json"]
    assert items[0]["size"] == len(PICTURE)
    assert items[0]["url"] == f"/jobs/{job_id}/artifacts/charts/trend.png"


async def test_a_file_comes_as_it_was_saved_for_keeping_not_for_running(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    job_id = await run(working, app, "chart")
    picture = await working.get(f"/jobs/{job_id}/artifacts/charts/trend.png")
    assert (picture.content, picture.headers["content-type"]) == (PICTURE, "image/png")
    assert picture.headers["content-disposition"] == 'attachment; filename="trend.png"'
    page = await working.get(f"/jobs/{job_id}/artifacts/page.html")
    assert page.headers["content-disposition"] == 'attachment; filename="page.html"'
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-security-policy"].startswith("sandbox;")


ESCAPES = [
    "missing.png",
    "charts",
    "",
    "..%2f..%2f..%2fuploads",
    "%2fetc%2fpasswd",
    "charts%2f..%2f..%2fresult.json",
    "charts//trend.png",
    "a%00b",
    "charts%5ctrend.png",
    "%2e",
]


async def test_nothing_outside_the_jobs_folder_is_reached(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "chart")
    for path in ESCAPES:
        problem(await working.get(f"/jobs/{job_id}/artifacts/{path}"), 404, "artifact-not-found")


async def test_another_jobs_files_are_not_reached_through_ones_own(working: httpx2.AsyncClient, app: Tidegate) -> None:
    theirs, mine = await run(working, app, "chart"), await run(working, app, "chart")
    path = (await working.get(f"/jobs/{theirs}/status")).json()["result_path"]
    for escape in (path, f"../../../{path}".replace("/", "%2f"), f"/{path}"):
        response = await working.get(f"/jobs/{mine}/artifacts/{escape}")
        problem(response, 404, "artifact-not-found")


async def test_a_job_that_returned_nothing_has_no_files(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "nothing")
    assert (await working.get(f"/jobs/{job_id}/artifacts")).json() == {"items": []}
    for name in ("result.json", "error.json"):
        problem(await working.get(f"/jobs/{job_id}/artifacts/{name}"), 404, "artifact-not-found")


async def test_a_failed_job_has_the_error_of_its_last_run_and_no_other_file(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    job_id = await run(working, app, "broken", max_attempts=1)
    [error] = (await working.get(f"/jobs/{job_id}/artifacts")).json()["items"]
    assert (error["path"], error["url"]) == ("error.json", f"/jobs/{job_id}/artifacts/error.json")
    told = await working.get(error["url"])
    assert (told.headers["content-type"], len(told.content)) == ("application/json", error["size"])
    assert {**told.json(), "timestamp": ""} == {
        "job_id": job_id,
        "status": "failed",
        "error": "processing_error",
        "message": "it is broken",
        "timestamp": "",
    }
    problem(await working.get(f"/jobs/{job_id}/artifacts/result.json"), 404, "artifact-not-found")
    for other in ("2-deadbeef", "1-deadbeef/a"):  # another run's, and one that a handler saved
        await app.system.artifacts.put(f"jobs/{job_id}/{other}/error.json", b"{}", content_type="application/json")
    assert (await working.get(error["url"])).content == told.content
    await working.post(f"/jobs/{job_id}/retry")
    await ended(app, job_id)
    again = (await working.get(error["url"])).json()
    assert again["timestamp"] > told.json()["timestamp"]


async def test_a_job_that_runs_again_has_no_error_yet(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "broken", max_attempts=1)
    await working.post("/queues/default/pause", json={})
    await working.post(f"/jobs/{job_id}/retry")
    assert (await working.get(f"/jobs/{job_id}/artifacts")).json() == {"items": []}


async def test_a_result_whose_artifact_is_gone_is_not_found(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "large")
    await app.system.artifacts.delete_prefix(f"jobs/{job_id}")
    problem(await working.get(f"/jobs/{job_id}/result"), 404, "artifact-not-found")
