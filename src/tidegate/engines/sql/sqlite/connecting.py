"""Opening connections: the settings that make SQLite durable, and fit for one writing thread.

Only the writer's thread writes and checkpoints, which is also what keeps SQLite before 3.51.3 clear of its
WAL-reset defect: that needs two connections to do so at once.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tidegate.errors import ConfigError, EngineUnavailable, SchemaMismatch

OLDEST_SQLITE: Final = (3, 38, 0)
"""The first with JSON always built in; UPDATE ... FROM came with 3.33."""

CHECKED_UP_TO: Final = 256 * 1024 * 1024
"""Bytes of a store that is checked after a crash: a second or so; larger ones would keep the service down."""

_WRITER: Final = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA synchronous = FULL",
    "PRAGMA mmap_size = 0",
    "PRAGMA cache_size = -65536",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = OFF",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA wal_autocheckpoint = 16384",
)
_READER: Final = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA query_only = ON",
    "PRAGMA mmap_size = 0",
    "PRAGMA cache_size = -16384",
    "PRAGMA temp_store = MEMORY",
)


def check_version(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Raise ConfigError where this Python's SQLite is too old."""
    if version < OLDEST_SQLITE:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, OLDEST_SQLITE))
        raise ConfigError(f"this Python is built with SQLite {found}: {needed} or newer is needed")


def make_folder(path: Path) -> None:
    """Make the folder that a store shall be in; raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"the folder of {path} can't be made ({exc.strerror}): name another place") from exc


def create(path: Path) -> None:
    """Make an empty store that only its owner may read, in write-ahead mode; leave one that exists."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as exc:
        raise ConfigError(f"the store {path} can't be opened ({exc.strerror}): name another place") from exc
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    except sqlite3.DatabaseError as exc:
        raise SchemaMismatch(f"{path} is no SQLite database ({exc}): name another file, or restore it") from exc
    finally:
        connection.close()


def check_whole(path: Path) -> None:
    """Look for damage, where that is quick; raises SchemaMismatch."""
    if path.stat().st_size > CHECKED_UP_TO:
        return
    connection = _connect(path)
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)").fetchall()]
    except sqlite3.DatabaseError as exc:
        found = [str(exc)]
    finally:
        connection.close()
    if found != ["ok"]:
        raise SchemaMismatch(f"the store {path} is damaged ({found[0]}): restore it from a backup")


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes."""
    return _set(_connect(path), _WRITER)


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads."""
    return _set(_connect(path), _READER)


def _connect(path: Path) -> sqlite3.Connection:
    """`mode=rw`, so that a store that was taken away is not made anew, empty."""
    uri = f"file:{quote(str(path))}?mode=rw"
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=512)
    except sqlite3.Error as exc:
        raise EngineUnavailable(f"the store {path} can't be opened ({exc})") from exc


def _set(connection: sqlite3.Connection, settings: tuple[str, ...]) -> sqlite3.Connection:
    for setting in settings:
        connection.execute(setting).fetchall()
    return connection
