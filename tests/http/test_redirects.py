"""Results and files by way of the artifact store itself, where it can sign."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from tests.artifacts import servers
from tests.artifacts.servers import S3Server, s3_settings
from tests.http.calls import post, problem, run
from tests.http.handlers import LARGE, PICTURE, application
from tests.http.reach import plain_settings, reached
from tidegate.app import Tidegate
from tidegate.config import load

ASK = {"redirect": "true"}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server that checks signatures."""
    with servers.rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture
def signing(bucket: S3Server, tmp_path: Path) -> Tidegate:
    """An application whose artifacts are in a bucket."""
    s3 = s3_settings(bucket.url)
    plain = plain_settings(tmp_path / "data").model_dump()
    place = {"artifacts": s3.url, "s3_endpoint": s3.endpoint}
    return application(load(**{**plain, **place, "s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}))


@pytest.fixture
async def client(signing: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of it."""
    async with reached(signing, worker=True) as client:
        yield client


async def test_a_large_result_is_had_from_the_store_itself(client: httpx2.AsyncClient, signing: Tidegate) -> None:
    job_id = await run(client, signing, "large")
    with capture_logs() as lines:
        moved = await client.get(f"/jobs/{job_id}/result", params=ASK)
    assert (moved.status_code, moved.content, moved.headers["cache-control"]) == (307, b"", "no-store")
    url = moved.headers["location"]
    assert "X-Amz-Signature=" in url
    assert "X-Amz-Expires=60" in url
    assert url not in str(lines)
    async with httpx2.AsyncClient() as anybody:
        found = await anybody.get(url)
        forged = await anybody.get(url[:-4] + "0000")
    assert (found.status_code, found.json(), found.headers["content-type"]) == (200, "x" * LARGE, "application/json")
    assert forged.status_code == 403


async def test_who_does_not_ask_for_it_is_sent_the_result(client: httpx2.AsyncClient, signing: Tidegate) -> None:
    job_id = await run(client, signing, "large")
    for asked in ({}, {"redirect": "false"}):
        response = await client.get(f"/jobs/{job_id}/result", params=asked)
        assert (response.status_code, response.json()) == (200, "x" * LARGE)


async def test_a_small_result_is_told_at_once(client: httpx2.AsyncClient, signing: Tidegate) -> None:
    response = await client.get(f"/jobs/{await run(client, signing)}/result", params=ASK)
    assert (response.status_code, response.json()["count"]) == (200, 0)


async def test_files_are_had_so_too_and_only_those_that_are_there(
    client: httpx2.AsyncClient, signing: Tidegate
) -> None:
    files = f"/jobs/{await run(client, signing, 'chart')}/artifacts"
    moved = await client.get(f"{files}/charts/trend.png", params=ASK)
    async with httpx2.AsyncClient() as anybody:
        assert (await anybody.get(moved.headers["location"])).content == PICTURE
    problem(await client.get(f"{files}/missing.png", params=ASK), 404, "artifact-not-found")


async def test_a_store_that_can_t_sign_has_its_files_streamed(working: httpx2.AsyncClient, app: Tidegate) -> None:
    response = await working.get(f"/jobs/{await run(working, app, 'large')}/result", params=ASK)
    assert (response.status_code, response.json()) == (200, "x" * LARGE)


@pytest.mark.parametrize("asked", [{"redirect": "1"}, {"redirect": ""}, {"sign": "true"}])
async def test_what_is_no_way_to_ask_is_refused(api: httpx2.AsyncClient, asked: dict[str, str]) -> None:
    problem(await api.get(f"/jobs/{await post(api)}/result", params=asked), 422, "invalid-input")
