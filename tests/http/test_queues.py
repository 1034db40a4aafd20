"""Queues are paused by their names: with little said, and before any job has named them."""

import httpx2

from tests.http.calls import fields, problem


async def test_a_pause_without_a_body_lasts_until_it_is_resumed(api: httpx2.AsyncClient) -> None:
    paused = (await api.post("/queues/low/pause")).json()
    assert (paused["paused"], paused["resumes_at"]) == (True, None)
    assert not (await api.post("/queues/low/resume")).json()["paused"]


async def test_a_queue_is_there_once_it_is_named(api: httpx2.AsyncClient) -> None:
    problem(await api.get("/queues/later"), 404, "not-found")
    assert (await api.post("/queues/later/pause", json={"seconds": 60})).json()["resumes_at"]
    assert (await api.get("/queues/later")).json()["paused"]


async def test_what_is_wrong_with_a_pause_is_told_by_field_and_in_words_of_json(api: httpx2.AsyncClient) -> None:
    for body, field in (({"seconds": "long"}, "seconds"), ({"seconds": 0}, "seconds"), ({"minutes": 1}, "minutes")):
        refused = await api.post("/queues/low/pause", json=body)
        assert fields(problem(refused, 422, "invalid-input")) == [field]
    listed = await api.post("/queues/low/pause", json=[])
    untold = await api.post("/queues/low/pause", content=b'{"seconds": 60}')  # which says nothing of what it is
    for answer in (listed, untold):
        assert answer.json()["errors"] == [{"field": "", "message": "send an object, as application/json"}]
