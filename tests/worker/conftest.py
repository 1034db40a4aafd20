"""Every claim about the worker holds on every engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.worker.house import URLS, House, open_house


@pytest.fixture(params=URLS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A fresh system with short times, without a worker."""
    name: str = request.param
    async with open_house(tmp_path, URLS[name]) as house:
        yield house
