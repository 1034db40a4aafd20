"""Engines: stores of jobs behind the one contract of `ports.py`. `open_engine` chooses by URL."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tidegate.errors import ConfigError
from tidegate.ports import Engine

_FORMS: Final = "use sqlite:///path, postgresql://host/database, redis://host or memory://"


def open_engine(url: str) -> AbstractAsyncContextManager[Engine]:
    """The engine that `url` names, to be entered.

    `sqlite:///data/jobs.db` is a path below the working folder, `sqlite:////var/lib/jobs.db` one from the
    root; `postgresql://role:password@host/database` is a server's database; `redis://`, `rediss://`
    and `unix://` name a Redis or Valkey server; `memory://` lives as long as the process. Raises ConfigError for
    anything else.
    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "memory" if not rest:
            from tidegate.engines.memory import MemoryEngine

            return MemoryEngine()
        case "sqlite":
            from tidegate.engines.sql.sqlite.engine import SqliteEngine

            return SqliteEngine(_path(rest))
        case "postgresql" | "postgres":
            return _postgres(url)
        case "redis" | "rediss" | "unix":
            return _redis(url)
        case _:
            raise ConfigError(f"engine {scheme + '://'!r} is unknown: {_FORMS}")


def _redis(url: str) -> AbstractAsyncContextManager[Engine]:
    try:
        from tidegate.engines.redis.engine import RedisEngine
    except ModuleNotFoundError as exc:
        raise ConfigError(f"Redis needs {exc.name}: pip install 'tidegate[redis]'") from None
    return RedisEngine(url)


def _postgres(url: str) -> AbstractAsyncContextManager[Engine]:
    try:
        from tidegate.engines.sql.postgres.engine import PostgresEngine
    except ModuleNotFoundError as exc:
        raise ConfigError(f"PostgreSQL needs {exc.name}: pip install 'tidegate[postgres]'") from None
    return PostgresEngine(url)


def _path(rest: str) -> Path:
    """The file behind `sqlite://`."""
    name = unquote(rest.removeprefix("/"))
    if not rest.startswith("/") or not name or name == ":memory:" or "\0" in name or name.endswith("/"):
        raise ConfigError("a SQLite engine needs a file, as in sqlite:///data/jobs.db; without one use memory://")
    return Path(name)
