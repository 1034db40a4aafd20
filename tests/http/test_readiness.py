"""`/readyz` when something is missing."""

import asyncio
import shutil

import httpx2
import pytest

from tests.http.calls import problem
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.verbs import Health
from tidegate.errors import EngineUnavailable
from tidegate.http.routes import health


async def _away() -> Health:
    raise EngineUnavailable("postgres://user:secret@db is away")


async def _hung() -> Health:
    await asyncio.Event().wait()
    raise AssertionError


async def test_without_its_artifact_folder_it_is_not_ready(api: httpx2.AsyncClient, settings: Settings) -> None:
    shutil.rmtree(settings.artifacts_url)
    (settings.data_dir / "artifacts").write_text("no folder")
    said = problem(await api.get("/readyz"), 503, "not-ready")
    checks = said["checks"]
    assert isinstance(checks, dict)
    assert checks["engine"] == "ok"
    assert checks["artifacts"].startswith("Artifact")


async def test_the_artifact_check_is_made_once_in_a_while(
    api: httpx2.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await api.get("/readyz")).status_code == 200
    shutil.rmtree(settings.artifacts_url)
    (settings.data_dir / "artifacts").write_text("no folder")
    assert (await api.get("/readyz")).status_code == 200  # it wrote its probe a moment ago
    monkeypatch.setattr(health, "ARTIFACT_CHECK_KEPT", 0.0)
    problem(await api.get("/readyz"), 503, "not-ready")


async def test_without_its_engine_it_is_not_ready_and_tells_no_secret(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.system.engine, "check", _away)
    response = await api.get("/readyz")
    assert problem(response, 503, "not-ready")["checks"] == {"engine": "EngineUnavailable", "artifacts": "ok"}
    assert "secret" not in response.text
    assert (await api.get("/health")).status_code == 200


async def test_a_check_that_hangs_is_a_check_that_failed(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.system.engine, "check", _hung)
    monkeypatch.setattr(health, "PATIENCE", 0.05)
    answer = await api.get("/readyz")
    assert problem(answer, 503, "not-ready")["checks"] == {"engine": "TimeoutError", "artifacts": "ok"}
    assert answer.headers["retry-after"] == "2"


async def test_a_store_that_hangs_is_told_of_in_one_patience_though_its_driver_can_t_let_go(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = asyncio.Event()

    async def hung() -> None:
        try:
            await back.wait()
        except asyncio.CancelledError:
            await back.wait()  # as drivers do that tell the server, and wait for it to hear
            raise

    for verb in ("check", "stats", "workers"):
        monkeypatch.setattr(app.system.engine, verb, hung)
    monkeypatch.setattr(health, "PATIENCE", 0.2)
    async with asyncio.timeout(5):
        problem(await api.get("/readyz"), 503, "not-ready")
    back.set()
