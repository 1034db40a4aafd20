"""Every clause runs on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.harness import STORES, Harness


@pytest.fixture(params=STORES)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """A fresh, private store whose clock the test moves."""
    name: str = request.param
    async with STORES[name](tmp_path) as fresh:
        yield fresh
