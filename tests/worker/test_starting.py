"""What a worker's process loads before its first claim: nothing that only other commands and other jobs need."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.worker.house import STORES, url_of
from tidegate.engines import open_engine

ELSEWHERE = frozenset(
    {
        "alembic",
        "asyncpg",
        "fastapi",
        "hiredis",
        "httpx2",
        "matplotlib",
        "multiprocessing",
        "polars",
        "sentry_sdk",
        "sqlalchemy",
        "starlette",
        "uvicorn",
    }
)
"""Packages that take long to load, or that belong to a store or a face which was not asked for."""

NEEDED = {"valkey": {"hiredis"}, "postgres": {"asyncpg"}}


async def _modules(url: str, folder: Path) -> set[str]:
    """The packages that `tidegate worker` has imported once it says that it has started."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-m", "tidegate", "worker"),
        env={**os.environ, "TIDEGATE_ENGINE": url, "TIDEGATE_DATA_DIR": str(folder), "TIDEGATE_LOG_LEVEL": "info"},
        cwd=folder,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    seen = set[str]()
    async with asyncio.timeout(60):
        async for line in process.stderr:
            text = line.decode()
            if text.startswith("import time:"):
                seen.add(text.rpartition("|")[2].strip().partition(".")[0])
            elif "worker.started" in text:
                process.terminate()
        await process.wait()
    return seen


@pytest.mark.parametrize("store", STORES)
async def test_a_started_worker_has_loaded_nothing_that_it_does_not_use(store: str, tmp_path: Path) -> None:
    async with url_of(store, tmp_path) as url:
        async with open_engine(url):  # so that its schema is there: migrations are loaded to make one
            pass
        seen = await _modules(url, tmp_path)

    assert {"tidegate", "pydantic"} <= seen
    assert seen & ELSEWHERE == NEEDED.get(store, set())
