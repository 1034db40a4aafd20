"""Running the migrations on a store."""

import sqlite3
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from tidegate.errors import EngineUnavailable, SchemaMismatch

FOLDER: Final = Path(__file__).parent


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
