"""Engines: stores of jobs behind the one contract of `ports.py`. `open_engine` chooses by URL."""

import re
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from tidegate.errors import ConfigError
from tidegate.ports import Engine

_FORMS: Final = (
    "use sqlite:///path, postgresql://host/database, redis://host, rediss://host, unix:///path/to/socket or memory://"
)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_PORTS: Final = {"redis": ":6379", "rediss": ":6379", "postgresql": ":5432"}


def open_engine(url: str) -> AbstractAsyncContextManager[Engine]:
    """The engine that `url` names, to be entered.

    `sqlite:///data/jobs.db` is a path below the working folder, `sqlite:////var/lib/jobs.db` one from the
    root; `postgresql://role:password@host/database` is a server's database; `redis://`, `rediss://`
    and `unix://` name a Redis or Valkey server; `memory://` lives as long as the process. Raises ConfigError for
    anything else.
    """
    scheme, rest = _split(url)
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
        case _ if scheme.startswith("postgres"):
            raise ConfigError(f"engine '{scheme}://' is unknown: write postgresql://, the driver is chosen for you")
        case _:
            raise ConfigError(f"engine '{scheme}://' is unknown: {_FORMS}")


def shown(url: str) -> str:
    """The store that `url` names, as messages may show it: no user, no password, and the defaults filled in.

    Two URLs of one server, database and namespace give the same, unless they name the host by different names.
    """
    scheme, rest = _split(url)
    place, _, query = rest.partition("?")
    options, place = dict(parse_qsl(query)), place.rpartition("@")[2]
    scheme = "postgresql" if scheme == "postgres" else scheme
    namespace = f", namespace {options.get('namespace', 'tidegate')}"
    match scheme:
        case "sqlite":
            return f"sqlite:///{_path(rest).absolute()}"
        case "unix":
            return f"unix://{place}, database {options.get('db', '0')}{namespace}"
        case "redis" | "rediss":
            host, _, database = place.partition("/")
            return f"{scheme}://{_at_port(host, scheme)}/{options.get('db', database) or '0'}{namespace}"
        case "postgresql":
            host, _, database = place.partition("/")
            return f"{scheme}://{_at_port(host, scheme)}/{database}, schema {options.get('schema', 'tidegate')}"
        case _:
            return f"{scheme}://"


def file_of(url: str) -> Path | None:
    """The file of an embedded store; None for any other store."""
    scheme, rest = _split(url)
    return _path(rest) if scheme == "sqlite" else None


def _at_port(host: str, scheme: str) -> str:
    return host if ":" in host else f"{host}{_PORTS[scheme]}"


def _split(url: str) -> tuple[str, str]:
    """Scheme and rest; where there is no scheme, what stands in its place may be a password."""
    scheme, found, rest = url.partition("://")
    if not found or _SCHEME.fullmatch(scheme) is None:
        raise ConfigError(f"the engine's URL has no scheme: {_FORMS}")
    return scheme, rest


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
