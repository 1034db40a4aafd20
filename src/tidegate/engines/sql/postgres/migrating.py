"""Bringing a store to this release's schema; Alembic is loaded only where there is something to do.

The driver is asyncpg, which Alembic can't speak: so Alembic writes the revisions down as SQL, and that is run here,
in one transaction, by one process at a time.
"""

import asyncio
from typing import Final

from tidegate.engines.sql.postgres.address import Address
from tidegate.engines.sql.postgres.pool import Connection
from tidegate.engines.sql.revision import HEAD
from tidegate.errors import SchemaMismatch

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('tidegate migrates ' || $1, 0))"
_TABLES: Final = """
SELECT coalesce(array_agg(relname::text), '{}') FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_EXISTS: Final = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)"
_STORED: Final = "SELECT version_num FROM tidegate.alembic_version"
_LONGEST: Final = 600.0
"""Seconds that another process's migration, or our own, may take."""


async def migrate(connection: Connection, where: Address) -> None:
    """Bring the store to the newest schema; raises SchemaMismatch for one that is newer, or not ours."""
    async with asyncio.timeout(where.timeout.total_seconds()):
        stored = await _stored(connection, where)
    if stored == HEAD:
        return
    async with asyncio.timeout(_LONGEST), connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")  # others may migrate for longer than a call lasts
        await connection.execute(_LOCK, where.schema)
        stored = await _stored(connection, where)
        if stored != HEAD:  # nobody else brought it there meanwhile
            await _upgrade(connection, where, stored)


async def _stored(connection: Connection, where: Address) -> str | None:
    """The store's revision, None for an empty one."""
    tables: list[str] = await connection.fetchval(_TABLES, where.schema)
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise SchemaMismatch(
            f"the schema {where.schema} holds tables that are not Tidegate's: name another by ?schema=…"
        )
    stored = await connection.fetchval(where.sql(_STORED))
    if stored is not None and stored > HEAD:
        raise SchemaMismatch(
            f"the store has schema {stored}, this release knows up to {HEAD}: run a newer release on it"
        )
    return None if stored is None else str(stored)


async def _upgrade(connection: Connection, where: Address, stored: str | None) -> None:
    script = await asyncio.to_thread(_written, where.schema, stored)
    if not await connection.fetchval(_EXISTS, where.schema):  # a role that may not create one may use one
        await connection.execute(f'CREATE SCHEMA "{where.schema}"')
    await connection.execute(script)


def _written(schema: str, stored: str | None) -> str:
    from tidegate.engines.sql.migrations.upgrade import written

    return written(schema, stored)
