"""Behind a transaction pooler: no call relies on the session of the one before.

The clauses are those of the conformance suite, on a store that is reached through a pooler only.
"""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.conformance.build import claim, new_job, submit
from tests.conformance.clauses import Clause, clauses
from tests.conformance.harness import Harness
from tests.conformance.postgres_store import opened
from tests.engines.postgres.pooler import Pooler, pooler
from tests.servers.postgres import port_of, shared

CLAUSES: Final = list({clause.name: clause for clause in clauses() if "race" not in clause.name}.values())
"""One case of each."""


@pytest.fixture
async def before() -> AsyncIterator[Pooler]:
    """A pooler before the server that all tests share."""
    async with pooler(port_of(shared())) as made:
        yield made


@pytest.fixture
async def pooled(before: Pooler) -> AsyncIterator[Harness]:
    """A store that is reached through the pooler only."""
    async with opened(
        lambda url: f"{url.replace(f':{port_of(url)}', f':{before.port}')}?pooler=transaction"
    ) as harness:
        yield harness


async def test_a_client_has_all_connections_of_the_pooler_in_turn(before: Pooler, pooled: Harness) -> None:
    for _ in range(10):
        await submit(pooled, new_job())
    assert len((await claim(pooled)).leases) == 10
    assert all(line.turns > 5 for line in before.lines)


@pytest.mark.slow
@pytest.mark.parametrize("clause", CLAUSES, ids=[clause.name for clause in CLAUSES])
async def test_behind_a_pooler(clause: Clause, pooled: Harness) -> None:
    await clause.run(pooled)
