"""The server as a process: where it says it is, and how it stops."""

import asyncio
import json
import os
import signal
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import ADA, post, stands
from tests.http.handlers import application
from tests.http.reach import served
from tests.repo.tree import ROOT
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.errors import ConfigError
from tidegate.http.server import SERVER_FILE, Server

UPLOAD = 240_000_000
ROOM = 60_000_000
"""Bytes that a process may need for receiving such a file: what the object store's client buffers, above all."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server in a process of its own; `lines` are those of its log so far."""

    process: Process
    client: httpx2.AsyncClient
    data: Path
    lines: list[dict[str, object]]

    async def ended(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(60):
            await self.read()
            return await self.process.wait()

    async def read(self, event: str = "") -> dict[str, object]:
        """Read the log up to the line of this event, or to its end."""
        assert self.process.stderr is not None
        async for text in self.process.stderr:
            self.lines.append(json.loads(text))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        return {}

    def events_of(self, job_id: str) -> list[object]:
        """What the log says of one job."""
        return [line["event"] for line in self.lines if line.get("job_id") == job_id]


@asynccontextmanager
async def _running(data: Path, **settings: str) -> AsyncIterator[Running]:
    told = {"DATA_DIR": str(data), "PORT": "0", "LOG_FORMAT": "json", **settings}
    environment: Mapping[str, str] = {**os.environ, **{f"TIDEGATE_{name}": value for name, value in told.items()}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.http.service", cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE
    )
    try:
        running = Running(process, httpx2.AsyncClient(headers=ADA, timeout=20), data, [])
        async with asyncio.timeout(60), running.client:
            running.client.base_url = httpx2.URL(str((await running.read("server.listening"))["address"]))
            yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.e2e
async def test_it_says_where_it_is_and_takes_that_back_at_its_end(tmp_path: Path) -> None:
    async with _running(tmp_path / "data") as server:
        note = server.data / SERVER_FILE
        noted = json.loads(note.read_text())
        store = f"sqlite:///{server.data / 'tidegate.db'}"
        assert noted == {"url": str(server.client.base_url).rstrip("/"), "pid": server.process.pid, "store": store}
        assert stat.S_IMODE(note.stat().st_mode) == 0o600
        assert (await server.client.get("/health")).json() == {"status": "ok"}
        server.process.send_signal(signal.SIGINT)
        assert await server.ended() == 0
        assert not note.exists()
        assert server.process.stdout is not None
        assert await server.process.stdout.read() == b""


@pytest.mark.e2e
async def test_a_running_job_finishes_before_it_stops(tmp_path: Path) -> None:
    async with _running(tmp_path / "data") as server:
        brief, waiting = await post(server.client, "brief"), await post(server.client, delay=60)
        await stands(server.client, brief, "running")
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
        assert server.events_of(brief) == ["job.enqueued", "job.dequeued", "job.completed"]
        assert server.events_of(waiting) == ["job.enqueued"]


@pytest.mark.e2e
async def test_a_second_signal_ends_the_grace(tmp_path: Path) -> None:
    async with _running(tmp_path / "data", GRACE="60s") as server:
        endless = await post(server.client, "endless")
        await stands(server.client, endless, "running")
        server.process.send_signal(signal.SIGTERM)
        await server.read("worker.stopping")
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
        assert server.events_of(endless)[-1] == "job.deferred"


@pytest.mark.e2e
async def test_a_large_upload_is_never_whole_in_memory(tmp_path: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(UPLOAD // 60_000):
            yield b"x" * 60_000

    async with _running(tmp_path / "data", UPLOAD_LIMIT=str(UPLOAD)) as server:
        await server.client.post("/uploads", content=b"warm")
        before = _peak(server.process.pid)
        response = await server.client.post("/uploads", content=body())
        assert response.json()["size"] == UPLOAD
        assert _peak(server.process.pid) - before < ROOM


def _peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) * 1024


async def test_a_port_that_is_taken_is_a_clear_error(server: httpx2.AsyncClient, settings: Settings) -> None:
    taken = settings.model_copy(update={"port": httpx2.URL(server.base_url).port})
    with pytest.raises(ConfigError, match=f"127.0.0.1:{taken.port}"):
        await Server(application(taken), taken).run()


async def test_it_listens_on_ipv6_too(app: Tidegate, settings: Settings) -> None:
    async with served(app, settings.model_copy(update={"host": "::1"})) as client:
        assert str(client.base_url).startswith("http://[::1]:")
        assert (await client.get("/health")).status_code == 200


async def test_the_note_of_a_server_that_came_after_is_left_alone(app: Tidegate, settings: Settings) -> None:
    note = settings.data_dir / SERVER_FILE
    async with served(app, settings):
        note.write_text('{"url": "http://elsewhere", "pid": 1}')
    assert note.exists()


async def test_the_note_of_a_server_that_goes_on_comes_back_when_this_one_ends(
    app: Tidegate, settings: Settings
) -> None:
    note = settings.data_dir / SERVER_FILE
    note.parent.mkdir(parents=True, exist_ok=True)
    other = {"url": "http://elsewhere", "pid": os.getppid(), "store": "redis://h:6379/0, namespace tidegate"}
    note.write_text(json.dumps(other))
    async with served(app, settings):
        assert json.loads(note.read_text())["pid"] == os.getpid()
    restored = json.loads(note.read_text())
    assert {name: restored[name] for name in other} == other


async def test_a_stop_before_it_listens_is_a_stop(app: Tidegate, settings: Settings) -> None:
    server = Server(app, settings)
    server.stop()
    async with asyncio.timeout(10):
        await server.run()
    assert not (settings.data_dir / SERVER_FILE).exists()
