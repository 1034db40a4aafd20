"""`tidegate dlq`: without a server, and beside one that does the work."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tidegate.app import Tidegate
from tidegate.cli import dlq
from tidegate.cli.dlq import How, Letters
from tidegate.cli.jobs import Where
from tidegate.cli.service import reach
from tidegate.config import Settings, load
from tidegate.core.job import JobId, Phase
from tidegate.core.query import JobQuery
from tidegate.errors import ConfigError, GiveUp, InvalidInput, JobFailed
from tidegate.http.server import Server
from tidegate.requests import JobRequest
from tidegate.telemetry.events import Submitted

HERE = Where(user="ada")
AS_JSON = Where(user="ada", as_json=True)
ELSEWHERE = ("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL", "TIDEGATE_URL", "TIDEGATE_ARTIFACTS", "TIDEGATE_APP")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


def _application(settings: Settings) -> Tidegate:
    """One that breaks every letter, and every parcel."""
    app = Tidegate(settings)
    for name in ("letter", "parcel"):

        @app.job(name)
        async def broken() -> None:
            """Fail for good."""
            raise GiveUp("the address is gone")

    return app


async def _fill(app: Tidegate, letters: int, parcels: int) -> None:
    """Make dead letters of Ada's; the application must run a worker."""
    for name, count in (("letter", letters), ("parcel", parcels)):
        for _ in range(count):
            accepted = await app.client.submit(JobRequest(type=name, user_id="ada", max_attempts=1))
            with pytest.raises(JobFailed):
                await app.client.result(accepted.job_id, timedelta(seconds=10))


@pytest.fixture
def store(folder: Path) -> Path:
    """An embedded store with two dead letters and a dead parcel, which nobody serves."""

    async def make() -> None:
        async with (app := _application(load())):
            await _fill(app, 2, 1)

    asyncio.run(make())
    return folder


def _dead() -> Sequence[str]:
    """The types of the dead letters that are in the store now; what bulk jobs there are is done first."""

    async def look() -> Sequence[str]:
        async with reach(None, "ada") as service:
            page = await service.get("/jobs", status="dead_letter")
        found = page["items"]
        assert isinstance(found, list)
        return sorted(item["type"] for item in found)

    return asyncio.run(look())


def test_dead_letters_are_listed_and_sifted(store: Path, said: Callable[[], str]) -> None:
    assert dlq.list_letters(where=HERE) == 0
    assert [line.split()[1] for line in said().splitlines()[1:]] == ["parcel", "letter", "letter"]
    dlq.list_letters(which=Letters(type="letter", error="ADDRESS"), where=AS_JSON)
    assert [item["type"] for item in json.loads(said())["items"]] == ["letter", "letter"]
    dlq.list_letters(which=Letters(queue="low"), where=HERE)
    assert said() == "no jobs match\n"


def test_a_page_says_how_to_go_on(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dlq.list_letters(limit=2, where=HERE)
    cursor = capsys.readouterr().err.split()[-1]
    dlq.list_letters(limit=2, cursor=cursor, where=AS_JSON)
    assert len(json.loads(capsys.readouterr().out)["items"]) == 1


def test_a_dry_run_says_how_many_and_leaves_them(store: Path, said: Callable[[], str]) -> None:
    assert dlq.retry(which=Letters(type="letter"), how=How(dry_run=True), where=HERE) == 0
    assert said() == "2 dead letters match\n"
    dlq.dismiss(how=How(every=True, dry_run=True), where=AS_JSON)
    told = json.loads(said())
    assert (told["action"], told["matches"], told["exact"], len(told["sample"])) == ("dismiss", 3, True, 3)
    assert _dead() == ["letter", "letter", "parcel"]


def test_without_a_server_the_work_waits_for_a_worker(store: Path, said: Callable[[], str]) -> None:
    assert dlq.dismiss(which=Letters(type="letter"), where=HERE) == 0
    job_id = said().strip()
    assert _dead() == ["letter", "letter", "parcel"]

    async def work() -> int:
        async with (app := _application(load())):
            assert await app.handle(job_id).result(timeout=10) == {
                "matched": 2,
                "applied": 2,
                "refused": {"illegal": 0, "unknown": 0},
            }
            return len((await app.client.find(JobQuery(phase=Phase.DEAD_LETTER))).jobs)

    assert asyncio.run(work()) == 1


def test_nobody_waits_for_a_worker_that_can_t_be(store: Path) -> None:
    with pytest.raises(InvalidInput, match="no server runs on this store"):
        dlq.retry(how=How(every=True, wait=True), where=HERE)
    assert _dead() == ["letter", "letter", "parcel"]


@pytest.mark.parametrize("how", [How(), How(every=True)])
def test_all_is_said_where_no_filter_is_and_only_there(how: How, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="--all"):
        dlq.retry(which=Letters(type="letter") if how.every else Letters(), how=how, where=HERE)


def test_looking_and_retrying_where_no_store_is_make_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no store here"):
        dlq.list_letters(where=HERE)
    with pytest.raises(ConfigError, match="no store here"):
        dlq.retry(how=How(every=True), where=HERE)
    assert not folder.exists()


@pytest.fixture
async def beside(folder: Path) -> AsyncIterator[tuple[Tidegate, Where]]:
    """A server with a worker and three dead letters, and how commands reach it."""
    settings = load(engine="memory://", port=0, grace=5, limit_user_per_hour=0, limit_ip_per_minute=0)
    app = _application(settings)
    server = Server(app, settings, worker=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        async with asyncio.timeout(60):
            await server.started.wait()
        await _fill(app, 2, 1)
        yield app, Where(url=server.url, user="ada")
        server.stop()


async def test_waiting_shows_what_came_of_it(beside: tuple[Tidegate, Where], said: Callable[[], str]) -> None:
    app, where = beside
    which, how = Letters(type="letter"), How(wait=True, per_second=1_000, limit=5)
    assert await asyncio.to_thread(dlq.retry, which=which, how=how, where=where) == 0
    assert said() == "2 of 2 retried\n"
    as_json = Where(url=where.url, user="ada", as_json=True)
    assert await asyncio.to_thread(dlq.dismiss, which=Letters(type="parcel"), how=How(wait=True), where=as_json) == 0
    assert json.loads(said())["applied"] == 1
    runs = [job.counters.runs for job in (await app.client.find(JobQuery(type="letter"))).jobs]
    assert len(runs) == 2


async def test_work_that_was_cancelled_is_a_failure(
    beside: tuple[Tidegate, Where], capsys: pytest.CaptureFixture[str]
) -> None:
    app, where = beside
    how, submitted = How(every=True, wait=True, per_second=0.01), asyncio.Queue[JobId]()
    app.emit.subscribe(lambda event: submitted.put_nowait(event.job.job_id) if isinstance(event, Submitted) else None)
    waiting = asyncio.create_task(asyncio.to_thread(dlq.retry, how=how, where=where))
    async with asyncio.timeout(10):
        job_id = await submitted.get()
        await app.client.cancel(job_id)
        assert await waiting == 1
    told = capsys.readouterr().err
    assert told.startswith(f"tidegate: job {job_id} is accepted\n")
    assert "cancelled" in told


def test_what_was_refused_is_said() -> None:
    refused = {"matched": 5, "applied": 2, "refused": {"illegal": 2, "unknown": 1}}
    assert dlq.summary("retry", refused) == "2 of 5 retried; refused: 2 illegal, 1 unknown"
