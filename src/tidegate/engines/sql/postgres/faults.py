"""What may go wrong between us and the server, told as this package's errors.

A message names the kind of the fault and its SQLSTATE. The server's own words are repeated only where they are
about the connection: those about data may hold a payload.
"""

from typing import Final

import asyncpg

from tidegate.engines.sql.postgres.address import Address
from tidegate.errors import ConfigError, EngineUnavailable, InvalidInput, SchemaMismatch, TidegateError

DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)
"""All that a call may raise; TimeoutError is an OSError."""

TRY_AGAIN: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Transactions that the server gave up to let another go on: nothing of them is left."""

_ABOUT_THE_CONNECTION: Final = ("08", "25", "28", "3D", "53", "57")
_RIGHTS: Final = "docs/how-to/run-on-postgresql.md lists the rights it needs (Give it a role)"
_SSL_MODES: Final = "disable, allow, prefer, require, verify-ca, verify-full"
_ABOUT_THE_SCHEMA: Final = ("3F000", "42P01", "42703", "42883")


def told(exc: BaseException) -> TidegateError:
    """The error that stands for what a call raised; its outcome is unknown unless the error says otherwise."""
    match exc:
        case asyncpg.CharacterNotInRepertoireError() | asyncpg.UntranslatableCharacterError():
            return InvalidInput("", "PostgreSQL keeps no text with a NUL character in it")
        case asyncpg.DataError():
            return InvalidInput("", f"a value is out of what PostgreSQL can keep ({_name(exc)})")
        case asyncpg.InterfaceError() if isinstance(exc, ValueError):
            return InvalidInput("", f"a value is out of what PostgreSQL can keep ({_name(exc)})")
        case asyncpg.ProgramLimitExceededError():
            return InvalidInput("", "a name, key or id is too long for PostgreSQL to look up: keep each under 2 kB")
        case asyncpg.ForeignKeyViolationError():
            return EngineUnavailable("the store has lost lanes that this process remembered: try again")
        case asyncpg.PostgresError():
            return _answered(exc)
        case TimeoutError():
            return EngineUnavailable("the store did not answer in time: it is not known whether the call took effect")
        case OSError():
            return EngineUnavailable(f"the store can't be reached ({exc.strerror or _name(exc)})")
        case _:
            return EngineUnavailable(f"the connection to the store was lost ({_name(exc)})")


def _answered(exc: asyncpg.PostgresError) -> TidegateError:
    state = exc.sqlstate or ""
    if state in _ABOUT_THE_SCHEMA:
        return SchemaMismatch(f"the store's schema is not the one this process opened ({_shown(exc)}): restart it")
    if state.startswith("08"):
        return EngineUnavailable("the connection to the store was lost: it is not known whether the call took effect")
    if state == "42501":
        return ConfigError(f"this role may not do what an engine does ({_name(exc)}): {_RIGHTS}")
    return EngineUnavailable(f"the store did not carry out the call ({_shown(exc)}): try again")


def refused(exc: BaseException, where: Address) -> TidegateError:
    """The error that stands for a server that can't be opened: a ConfigError where only its settings can help."""
    return _misset(exc, where) or _unreached(exc, where)


def _misset(exc: BaseException, where: Address) -> TidegateError | None:
    named = ", ".join(sorted(where.options))
    match exc:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return ConfigError(f"PostgreSQL refuses this role or its password ({_shown(exc)})")
        case asyncpg.InvalidCatalogNameError():
            return ConfigError(f"there is no such database ({_shown(exc)}): create it, or name another")
        case asyncpg.UndefinedObjectError() | asyncpg.CantChangeRuntimeParamError():
            return ConfigError(f"the URL has an option that neither Tidegate nor PostgreSQL knows, among: {named}")
        case asyncpg.DataError():
            return ConfigError(f"the URL gives an option a value that PostgreSQL refuses, among: {named}")
        case ValueError() if str(exc).startswith("`sslmode`"):
            return ConfigError(f"sslmode={where.options.get('sslmode')}: must be one of {_SSL_MODES}")
        case ValueError():
            return ConfigError("this PostgreSQL URL can't be read: use postgresql://user:password@host:5432/database")
        case asyncpg.InsufficientPrivilegeError():
            return ConfigError(f"this role may not make or change the store's schema: {_RIGHTS}")
        case _:
            return None


def _unreached(exc: BaseException, where: Address) -> TidegateError:
    match exc:
        case asyncpg.TargetServerAttributeNotMatched():
            return EngineUnavailable(
                f"the store at {where.shown} takes no writes: it is a standby, or default_transaction_read_only is on"
            )
        case TimeoutError():
            return EngineUnavailable(f"the store at {where.shown} did not answer in time")
        case ConnectionError() if "rejected SSL upgrade" in str(exc):
            return _no_tls(where)
        case OSError():
            why = exc.strerror or _name(exc)
            return EngineUnavailable(f"the store at {where.shown} can't be reached ({why}){_hint(where)}")
        case _:
            return told(exc)


def _hint(where: Address) -> str:
    """An @ that is not written as %40 ends the password, and the host begins behind it."""
    return ": write %40 for @ in a password" if where.dsn.partition("?")[0].count("@") > 1 else ""


def _no_tls(where: Address) -> TidegateError:
    """What answers says anything but yes where it is asked for TLS; PostgreSQL would say yes or no."""
    mode = where.options.get("sslmode", "prefer")
    if mode in ("prefer", "allow"):
        return ConfigError(f"what is at {where.shown} did not answer as PostgreSQL does")
    return ConfigError(f"the server at {where.shown} does not speak TLS (sslmode={mode})")


def _name(exc: BaseException) -> str:
    return type(exc).__name__


def _shown(exc: asyncpg.PostgresError) -> str:
    state = exc.sqlstate or "no SQLSTATE"
    words = str(exc.args[0]) if state.startswith(_ABOUT_THE_CONNECTION) and exc.args else _name(exc)
    return f"{words}, {state}"
