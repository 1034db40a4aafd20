"""The suite catches every planted bug, by a clause of each promise that it breaks, and finds none in the original."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import chain
from pathlib import Path

import pytest

from tests.conformance.clauses import Clause, clauses
from tests.conformance.harness import Harness, promises
from tests.conformance.mutants.broken import MUTANTS, Mutant
from tidegate.clock import FakeClock
from tidegate.engines.memory import MemoryEngine
from tidegate.errors import TidegateError
from tidegate.ports import Engine

for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    if path.stem != Path(__file__).stem:
        import_module(f"tests.conformance.mutants.{path.stem}")

CAUGHT = (AssertionError, pytest.fail.Exception, ValueError, IndexError, TimeoutError, TidegateError)
"""How a clause fails; a mutant that raises anything else is not broken as planted, but just broken."""

PATIENCE = 1.5
"""Seconds after which a clause has failed by hanging; the others take hundredths."""


async def _fails(clause: Clause, engine: MemoryEngine, clock: FakeClock, patience: float) -> bool:
    @asynccontextmanager
    async def other() -> AsyncIterator[Engine]:
        yield engine

    try:
        async with asyncio.timeout(patience), engine:
            await clause.run(Harness("mutant", engine, clock, other))
    except CAUGHT:
        return True
    return False


async def _failing(proofs: Sequence[Clause], mutant: Mutant, patience: float = PATIENCE) -> str | None:
    """The first of the clauses that catches the mutant."""
    for clause in proofs:
        clock = FakeClock()
        if await _fails(clause, mutant.open(clock), clock, patience):
            return clause.name
    return None


@pytest.fixture(scope="module")
def proofs() -> dict[str, list[Clause]]:
    """The clauses of every promise."""
    found: dict[str, list[Clause]] = {name: [] for name in promises()}
    for clause in clauses():
        for name in clause.promises:
            found[name].append(clause)
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
async def test_a_broken_engine_is_caught_by_every_promise_it_breaks(
    mutant: Mutant, proofs: dict[str, list[Clause]]
) -> None:
    caught = {name: await _failing(proofs[name], mutant) for name in mutant.promises}
    assert caught
    assert [name for name, clause in caught.items() if clause is None] == []


async def test_no_clause_that_catches_a_bug_fails_the_original(proofs: dict[str, list[Clause]]) -> None:
    used = {clause.name: clause for clause in chain(*proofs.values())}
    original = Mutant("original", (), MemoryEngine)
    assert await _failing(list(used.values()), original, patience=60) is None


def test_every_promise_is_broken_by_some_engine() -> None:
    assert promises() - {name for mutant in MUTANTS for name in mutant.promises} == set()
    assert {name for mutant in MUTANTS for name in mutant.promises} <= promises()
