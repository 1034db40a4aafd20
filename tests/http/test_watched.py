"""A separate worker tells its health and its metrics, and nothing else."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.http.calls import ADA, ended, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings
from tests.repo.tree import ROOT
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.errors import ConfigError
from tidegate.http.server import SERVER_FILE
from tidegate.http.watching.serving import Watched
from tidegate.requests import JobRequest


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return plain_settings(tmp_path / "data").model_copy(update={"metrics_port": 0})


@asynccontextmanager
async def watched(app: Tidegate, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a worker that runs."""
    server = Watched(app, settings)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        async with asyncio.timeout(60):
            await server.started.wait()
        async with httpx2.AsyncClient(base_url=server.url, timeout=20) as client:
            yield client
        server.stop()


async def test_a_worker_tells_what_it_ran(settings: Settings) -> None:
    app = application(settings)
    async with watched(app, settings) as client:
        accepted = await app.client.submit(JobRequest(type="echo", user_id="ada"))
        await ended(app, accepted.job_id)
        families = {family.name: family for family in read_text((await client.get("/metrics")).text)}
        [ran] = [one.value for one in families["tidegate_runs_ended"].samples if one.name.endswith("_total")]
        assert (ran, families["tidegate_store_up"].samples[0].value) == (1, 1)


async def test_it_says_that_it_lives_and_is_ready_and_nothing_else(settings: Settings) -> None:
    app = application(settings)
    async with watched(app, settings) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json()["status"] == "ready"
        assert client.base_url.host == "127.0.0.1"
        for path in ("/", "/jobs", "/docs", "/openapi.json", "/workers"):
            problem(await client.get(path, headers=ADA), 404, "not-found")
        problem(await client.post("/metrics"), 405, "method-not-allowed")
        assert not (settings.data_dir / SERVER_FILE).exists()


async def test_where_the_api_asks_for_keys_so_does_it(settings: Settings) -> None:
    key = "a-key-for-administrators"
    locked = Settings.model_validate({**settings.model_dump(), "admin_key": key})
    app = application(locked)
    async with watched(app, locked) as client:
        problem(await client.get("/metrics"), 401, "unauthenticated")
        shown = {"Authorization": f"Bearer {key}"}
        assert [(await client.get(path, headers=shown)).status_code for path in ("/metrics", "/health")] == [200, 200]
        assert (await client.get("/health")).status_code == 200


async def test_without_a_key_it_is_reached_from_this_machine_only(settings: Settings) -> None:
    far = settings.model_copy(update={"metrics_host": "0.0.0.0"})
    with pytest.raises(ConfigError, match=r"TIDEGATE_METRICS_HOST=0\.0\.0\.0 can be reached from elsewhere"):
        await Watched(application(far), far).run()


async def test_the_command_serves_them_and_stops_as_ever(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tidegate", "worker", "--metrics-port", "0"]
    environment = {"TIDEGATE_DATA_DIR": str(tmp_path), "TIDEGATE_LOG_FORMAT": "json", "PATH": "/usr/bin:/bin"}
    process = await asyncio.create_subprocess_exec(*command, stderr=PIPE, cwd=ROOT, env=environment)
    try:
        assert process.stderr is not None
        address = ""
        async with asyncio.timeout(60):
            async for text in process.stderr:
                line = msgspec.json.decode(text, type=dict[str, object])
                if line["event"] == "worker.listening":
                    address = str(line["address"])
                    break
        async with httpx2.AsyncClient(base_url=address, timeout=20) as client:
            assert "tidegate_build" in (await client.get("/metrics")).text
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            async for _ in process.stderr:
                pass
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
