"""Calls that many tests begin with."""

import asyncio
from datetime import timedelta
from itertools import chain, repeat

import httpx2

from tidegate.app import Tidegate
from tidegate.core.job import Job

ADA = {"X-User-ID": "ada"}
BOB = {"X-User-ID": "bob"}
PROBLEM = "application/problem+json"


async def post(api: httpx2.AsyncClient, job_type: str = "echo", **fields: object) -> str:
    """Submit a job, which must be accepted; its id."""
    response = await api.post("/jobs", json={"type": job_type, **fields})
    assert response.status_code == 201, response.text
    return str(response.json()["job_id"])


async def run(api: httpx2.AsyncClient, app: Tidegate, job_type: str = "echo", **fields: object) -> str:
    """Submit a job and wait for its end; its id."""
    job_id = await post(api, job_type, **fields)
    assert (await ended(app, job_id)).status.finished
    return job_id


async def stands(api: httpx2.AsyncClient, job_id: str, phase: str) -> dict[str, object]:
    """The status of the job, once it is in this phase."""
    status: dict[str, object] = {}
    async with asyncio.timeout(60):
        for pause in chain([0.0, 0.01, 0.02], repeat(0.05)):
            await asyncio.sleep(pause)
            status = (await api.get(f"/jobs/{job_id}/status")).json()
            if status["phase"] == phase:
                break
    return status


async def ended(app: Tidegate, job_id: str) -> Job:
    """The job, once it has ended."""
    return await app.client.wait(job_id, timedelta(seconds=20))


def problem(response: httpx2.Response, status: int, slug: str) -> dict[str, object]:
    """The problem that a response must be; every part that all problems share is checked here."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    said: dict[str, object] = response.json()
    assert (said["type"], said["status"]) == (f"/problems/{slug}", status)
    assert (said["instance"], said["request_id"]) == (response.url.path, response.headers["x-request-id"])
    assert said["title"]
    assert said["detail"]
    return said


def fields(said: dict[str, object]) -> list[str]:
    """The fields that a problem names."""
    errors = said["errors"]
    assert isinstance(errors, list)
    return [error["field"] for error in errors]


async def unfinished(server: httpx2.AsyncClient, path: str, length: str, sent: bytes) -> bytes:
    """What the server answers to a POST whose body begins with `sent` and does not end."""
    url = httpx2.URL(server.base_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nX-User-ID: ada\r\n{length}\r\n\r\n".encode() + sent)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        answer = head + await reader.read(65_536)
    writer.close()
    return answer
