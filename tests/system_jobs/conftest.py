"""A system whose webhooks may be on loopback, with short times; a test module says on which stores."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system_jobs.hooked import Hooked, open_hooked
from tests.worker.house import url_of


@pytest.fixture(params=["memory"])
async def hooked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hooked]:
    """A fresh system, without a worker; in memory unless a test wants to know of other stores."""
    store: str = request.param
    async with url_of(store, tmp_path) as url, open_hooked(tmp_path, url) as hooked:
        yield hooked
