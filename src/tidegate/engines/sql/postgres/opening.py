"""Opening a store, step by step: reach the server, check it, migrate, connect."""

import asyncio
from functools import partial
from typing import Final

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from tidegate.clock import Clock
from tidegate.core.verbs import Health
from tidegate.engines.bell import Bell
from tidegate.engines.sql.postgres.address import Address
from tidegate.engines.sql.postgres.faults import DRIVER, refused
from tidegate.engines.sql.postgres.migrating import migrate
from tidegate.engines.sql.postgres.pool import Connection
from tidegate.engines.sql.postgres.store import Store
from tidegate.errors import ConfigError, EngineUnavailable

OLDEST: Final = 15
"""The first major version of PostgreSQL that every statement here runs on."""

_CONNECT_SECONDS: Final = 5.0
_ISOLATION: Final = "read committed"
_CHECK: Final = """
SELECT current_setting('server_version'), version_num, pg_is_in_recovery(), current_setting('synchronous_commit'),
    current_setting('synchronous_standby_names') <> '', current_setting('fsync') = 'on'
FROM tidegate.alembic_version
"""


async def open_store(where: Address, clock: Clock | None, bell: Bell) -> Store:
    """Open the store; raises ConfigError, SchemaMismatch and EngineUnavailable."""
    connect = partial(_connect, where)
    try:
        connection = await connect()
        try:
            await _check_server(connection)
            await migrate(connection, where)
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)
    except (*DRIVER, ValueError) as exc:
        raise refused(exc, where) from None
    store = Store(where, connect, clock, bell)
    await store.open()
    return store


async def _connect(where: Address) -> Connection:
    """A connection to a server that takes writes; raises what the driver raises.

    The driver leaves errors behind that nobody hears where it is cancelled here, so it may always finish.
    """
    connecting = asyncio.ensure_future(_dial(where))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await asyncio.wait([connecting])
        if not connecting.cancelled() and connecting.exception() is None:
            connecting.result().terminate()
        raise


async def _dial(where: Address) -> Connection:
    seconds = min(_CONNECT_SECONDS, where.timeout.total_seconds())
    connection = await asyncpg.connect(
        where.dsn,
        timeout=seconds,
        statement_cache_size=0 if where.pooled else 256,
        target_session_attrs=SessionAttribute.any if where.pooled else SessionAttribute.read_write,
        server_settings={"application_name": "tidegate"},
    )
    try:
        if not where.pooled:
            await connection.execute(_session(where), timeout=seconds)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _session(where: Address) -> str:
    """What holds on a connection of our own, whatever the role and the database say.

    A lock orders what comes after it only where each statement sees what was committed before it. And the server goes
    on with a call whose caller has gone: not for longer than he would have waited.
    """
    timeout = int(where.timeout.total_seconds() * 1000)
    return f"SET default_transaction_isolation = '{_ISOLATION}'; SET statement_timeout = {timeout}"


async def _check_server(connection: Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST:
        raise ConfigError(f"this server is PostgreSQL {version.major}: Tidegate needs {OLDEST} or newer")
    if connection.get_settings().server_encoding != "UTF8":
        raise ConfigError("this database is not in UTF-8: create one with ENCODING 'UTF8'")
    isolation = await connection.fetchval("SHOW default_transaction_isolation")
    if isolation != _ISOLATION:  # what a pooler gives can't be chosen here
        raise ConfigError(
            f"transactions are {isolation} behind this pooler: ALTER ROLE … SET default_transaction_isolation = "
            f"'{_ISOLATION}'"
        )


class _Checked(msgspec.Struct, array_like=True):
    version: str
    schema: str
    standby: bool
    commit: str
    replicated: bool
    fsync: bool

    @property
    def durability(self) -> str:
        """What a commit on this server means, as far as its settings tell."""
        if not self.fsync:
            return "none"
        if self.commit == "off":
            return "interval"
        return "replicated" if self.replicated and self.commit != "local" else "fsync"


async def check(store: Store) -> Health:
    """What the store can be held to; raises EngineUnavailable where it takes no writes."""
    (found,) = await store.rows(_Checked, _CHECK)
    if found.standby:
        raise EngineUnavailable("this server is a standby, and takes no writes")
    return Health(engine="postgresql", durability=found.durability, version=found.version, schema=found.schema)
