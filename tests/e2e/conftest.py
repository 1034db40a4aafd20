"""A server of its own for each end-to-end test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Not started yet; gone after the test."""
    server = Served(tmp_path)
    yield server
    server.close()
