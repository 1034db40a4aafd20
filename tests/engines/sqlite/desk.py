"""A writer on a store whose connection a test can watch and break."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from tidegate.clock import FakeClock
from tidegate.engines.bell import Bell
from tidegate.engines.sql.sqlite.ledger import Ledger
from tidegate.engines.sql.sqlite.present import Present
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import Value
from tidegate.engines.sql.sqlite.writer import Writer


class Fragile(sqlite3.Connection):
    """A connection on which the statements that `breaks` names fail, as on a broken disk."""

    breaks: Callable[[str], bool] = staticmethod(lambda _: False)

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        """Execute `sql`, unless it is one to fail; ROLLBACK always works."""
        if sql != "ROLLBACK" and self.breaks(sql):
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, cast(Sequence[Value], parameters))


class Desk:
    """A writer, its connection, and the statements that it executed."""

    def __init__(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Fragile)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        self.connection = connection
        self.statements: list[str] = []
        connection.set_trace_callback(self.statements.append)
        self.clock = FakeClock()
        self.bell = Bell()
        self.session = Session(connection, Ledger(connection))
        self.writer = Writer(self.session, Present(self.clock, 0), self.bell)

    @property
    def commits(self) -> int:
        """How many transactions were committed."""
        return self.statements.count("COMMIT")


@contextmanager
def desk(path: Path) -> Iterator[Desk]:
    """A desk at work."""
    made = Desk(path)
    made.writer.start()
    try:
        yield made
    finally:
        made.writer.close()
