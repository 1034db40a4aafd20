"""Running the migrations on a store."""

import sqlite3
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from tidegate.errors import EngineUnavailable, SchemaMismatch

FOLDER: Final = Path(__file__).parent

_alembic: Final = Lock()
"""Alembic keeps what it works on in globals."""


def config() -> Config:
    """Where Alembic finds the revisions."""
    found = Config()
    found.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return found


def upgrade_sqlite(path: Path) -> None:
    """Bring an SQLite store to the newest revision, in one transaction; the caller owns the store."""
    engine = create_engine("sqlite+pysqlite://", creator=lambda: sqlite3.connect(path), poolclass=NullPool)
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            upgrade(connection)
    except CommandError as exc:
        raise SchemaMismatch(f"the store {path} has a schema that no release had ({exc}): restore it") from exc
    except SQLAlchemyError as exc:
        raise EngineUnavailable(f"the store {path} can't be migrated ({exc}); it is as it was") from exc
    finally:
        engine.dispose()


def written(schema: str, stored: str | None) -> str:
    """What is missing in a PostgreSQL store of the revision `stored` (None: an empty one), as SQL."""
    alembic = config()
    alembic.attributes["schema"] = schema
    alembic.output_buffer = StringIO()
    try:
        with _alembic:
            command.upgrade(alembic, f"{stored or 'base'}:head", sql=True)
    except CommandError as exc:
        raise SchemaMismatch(f"the store has a schema that no release had ({exc}): restore it") from exc
    return alembic.output_buffer.getvalue()


def upgrade(connection: Connection) -> None:
    """Run what is missing on an open connection, inside its transaction."""
    alembic = config()
    alembic.attributes["connection"] = connection
    command.upgrade(alembic, "head")


def _leave_transactions_to_us(connection: sqlite3.Connection, _record: object) -> None:
    """Python's driver would otherwise commit before every CREATE: a crash would leave half a schema."""
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
