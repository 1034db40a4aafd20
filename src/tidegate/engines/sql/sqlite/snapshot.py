"""Asking SQLite so that the answer comes in one step.

Every step of a statement lets go of the interpreter's lock, and a busy event loop may then keep it for
milliseconds. So nothing here steps once a row: rows go in as the VALUES of one statement and come out as one
JSON text, and the number of steps does not grow with the batch (but for one step each 256 rows).
Text always goes in as a parameter, for SQLite ends the strings of a JSON text at a NUL.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")

Value: TypeAlias = int | str | bytes | None
Row: TypeAlias = Sequence[Value]

MOST_ROWS: Final = 256
"""Rows in one statement; with up to 40 columns they stay far below SQLite's 32,766 parameters."""


class Snapshot:
    """A connection inside a transaction; `now` is the present of the verb that runs, in microseconds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.now = 0

    def read(self, decoder: "msgspec.json.Decoder[T]", sql: str, *parameters: Value) -> T:
        """The one JSON text that `sql` selects."""
        return decoder.decode(_only(self.connection.execute(sql, parameters)))

    def read_each(self, decoder: "msgspec.json.Decoder[list[T]]", sql: str, rows: Sequence[Row]) -> list[T]:
        """The JSON lists that `sql` selects for each lot of `rows`, as one; `{rows}` stands for VALUES."""
        found: list[T] = []
        for size, flat in chunks(rows):
            found += decoder.decode(_only(self.connection.execute(filled(sql, len(rows[0]), size), flat)))
        return found

    def rows(self, kind: type[T], sql: str, *parameters: Value) -> list[T]:
        """All rows as values, where they are few or hold bytes, which JSON can't carry."""
        return [msgspec.convert(row, kind) for row in self.connection.execute(sql, parameters).fetchall()]


def _only(cursor: sqlite3.Cursor) -> str:
    ((text,),) = cursor.fetchall()
    assert isinstance(text, str)
    return text


def numbers(values: Iterable[int]) -> str:
    """Whole numbers as the JSON list that `json_each` reads."""
    return f"[{','.join(map(str, values))}]"


@lru_cache(maxsize=1_024)
def filled(sql: str, width: int, rows: int) -> str:
    """`sql` with room for so many rows; the same object each time, so that the driver finds it prepared."""
    row = f"({', '.join('?' * width)})"
    return sql.replace("{rows}", "VALUES " + ", ".join([row] * rows))


def chunks(rows: Sequence[Row]) -> Iterator[tuple[int, list[Value]]]:
    """Lots of 256, 128, 64 ... rows: few sizes, so that few statements are ever prepared."""
    done, left = 0, len(rows)
    while left:
        size = min(MOST_ROWS, 1 << (left.bit_length() - 1))
        yield size, list(chain.from_iterable(rows[done : done + size]))
        done, left = done + size, left - size
