"""Making what a PostgreSQL store has that no other has: its own tables, and functions for the hot verbs.

The texts are in `engines/sql/postgres/sql`. They name no schema: the migration puts the store's own in front, for
its transaction alone, and every function keeps that as its search path.
"""

import re
from pathlib import Path
from typing import Final

from alembic import op

_TEXTS: Final = Path(__file__).parent.parent / "postgres" / "sql"
_BIND: Final = re.compile(r"(?<!:):(?=[\w])")
"""What SQLAlchemy takes for a parameter."""

FUNCTIONS: Final = (
    "gates_of",
    "line_of",
    "terms_of",
    "recall",
    "place",
    "accept",
    "enter",
    "submit",
    "promote",
    "admits",
    "unpace",
    "claim",
    "renew",
    "settle",
    "reclaim",
    "ended",
    "cancel",
    "revive",
    "dismiss",
    "prune",
    "swap",
    "take",
)
"""The functions, each after those it needs."""


def make_all() -> None:
    """Make the tables and the functions, in the schema that the version table is in."""
    schema = op.get_context().version_table_schema
    _run(f'SET LOCAL search_path = "{schema or "tidegate"}", pg_temp')
    for statement in (_TEXTS / "tables.sql").read_text(encoding="utf-8").split("\n\n"):
        _run(statement)
    install(*FUNCTIONS)


def install(*names: str) -> None:
    """Make functions, or replace them."""
    for name in names:
        _run((_TEXTS / f"{name}.sql").read_text(encoding="utf-8"))


def _run(statement: str) -> None:
    op.execute(_BIND.sub(r"\\:", statement))
