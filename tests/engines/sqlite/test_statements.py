"""A fault at any statement of any verb changes nothing, and the same call afterwards does all of it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.engines.sqlite.desk import desk
from tests.engines.sqlite.worlds import VERBS, Step, World, check_books, world
from tidegate.errors import EngineUnavailable

MOST_STATEMENTS = 60


def content(path: Path) -> list[str]:
    """Everything that is committed, as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.iterdump())


class Breaker:
    """Breaks the statement with this number, and counts them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.met = 0

    def __call__(self, _: str) -> bool:
        self.met += 1
        return self.met == self.number


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
async def test_a_fault_at_any_statement_changes_nothing(verb: Callable[[World], Step], store: Path) -> None:
    with desk(store) as to:
        step = verb(await world(to))
        before, number = content(store), 0
        while number < MOST_STATEMENTS:
            number += 1
            breaker = to.connection.breaks = Breaker(number)
            try:
                await to.writer.do(step)
            except EngineUnavailable:
                assert content(store) == before, f"statement {number} failed, and something is left"
            if breaker.met < number:
                break
        assert 3 < number < MOST_STATEMENTS
        assert content(store) != before, "without a fault it does what it shall"
    check_books(store)
