"""A server for the tests of what this engine alone promises."""

from collections.abc import Iterator

import pytest

from tests.servers.valkey import Valkey, valkey


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    """A server that a module's tests share; who kills it starts its own."""
    with valkey() as running:
        yield running
