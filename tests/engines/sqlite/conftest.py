"""SQLite stores for the tests of what this engine alone promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.harness import Harness, migrated, sqlite


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty store at the newest schema, not open."""
    path = tmp_path / "jobs.db"
    path.write_bytes(migrated())
    return path


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """An open store whose clock the test moves."""
    async with sqlite(tmp_path) as fresh:
        yield fresh
