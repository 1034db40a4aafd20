"""What a verb sees while it runs in the writer's transaction."""

import sqlite3
from collections.abc import Sequence

from tidegate.engines.sql.sqlite.ledger import Ledger
from tidegate.engines.sql.sqlite.snapshot import Row, Snapshot, Value, chunks, filled


class Session(Snapshot):
    """The writer's connection and its `ledger`; `touched` gathers the topics to ring for after the commit."""

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger) -> None:
        super().__init__(connection)
        self.ledger = ledger
        self.touched: set[str] = set()

    def run(self, sql: str, *parameters: Value) -> None:
        """Execute one statement."""
        self.connection.execute(sql, parameters)

    def write(self, sql: str, rows: Sequence[Row], *before: Value) -> None:
        """Execute `sql` with `{rows}` for its VALUES; `before` are the parameters in front of them."""
        for size, flat in chunks(rows):
            self.connection.execute(filled(sql, len(rows[0]), size), [*before, *flat])

    def save(self) -> None:
        """Write what the ledger knows and the tables don't yet."""
        self.write(_SAVE_TALLIES, self.ledger.tallies())
        self.write(_SAVE_TURNS, self.ledger.turns())


_SAVE_TALLIES = """
INSERT OR REPLACE INTO tallies
    (line_id, waiting, ready, running, succeeded, dead_letter, failed, cancelled, lapsed) {rows}
"""
_SAVE_TURNS = "UPDATE lines SET reached = v.column2, turn = v.column3 FROM ({rows}) AS v WHERE lines.id = v.column1"
