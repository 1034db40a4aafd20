"""Bringing a store to this release's schema; Alembic is loaded only where there is something to do."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from tidegate.engines.sql.revision import HEAD
from tidegate.errors import SchemaMismatch

_STORED: Final = "SELECT version_num FROM alembic_version"
_TABLES: Final = "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"


def migrate(path: Path) -> None:
    """Bring the store to the newest schema; raises SchemaMismatch for one that is newer, or not ours."""
    stored = _stored(path)
    if stored == HEAD:
        return
    if stored is not None and stored > HEAD:
        raise SchemaMismatch(
            f"the store {path} has schema {stored}, this release knows up to {HEAD}: run a newer release on it"
        )
    from tidegate.engines.sql.migrations.upgrade import upgrade_sqlite

    upgrade_sqlite(path)


def _stored(path: Path) -> str | None:
    """The store's revision, None for an empty one."""
    with closing(sqlite3.connect(path)) as connection:
        ((tables,),) = connection.execute(_TABLES).fetchall()
        if not tables:
            return None
        try:
            rows = connection.execute(_STORED).fetchall()
        except sqlite3.OperationalError as exc:
            raise SchemaMismatch(f"{path} holds tables that are not Tidegate's: name another file") from exc
    return str(rows[0][0]) if rows else None
