"""Every claim about the worker holds on every engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.worker.house import STORES, House, open_house, url_of


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A fresh system with short times, without a worker."""
    name: str = request.param
    async with url_of(name, tmp_path) as url, open_house(tmp_path, url) as house:
        yield house
