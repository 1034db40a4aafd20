"""Opening and closing a store, step by step: own, check, migrate, connect, recall."""

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.clock import Clock
from tidegate.engines.bell import Bell
from tidegate.engines.sql.sqlite import connecting, owning
from tidegate.engines.sql.sqlite.ledger import Ledger
from tidegate.engines.sql.sqlite.migrating import migrate
from tidegate.engines.sql.sqlite.owning import Ownership
from tidegate.engines.sql.sqlite.present import Present
from tidegate.engines.sql.sqlite.readers import Readers
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.writer import Writer
from tidegate.errors import EngineUnavailable

_NEWEST: Final = "SELECT at FROM history ORDER BY feed DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store."""

    pid: int
    ownership: Ownership
    writer: Writer
    readers: Readers

    def close(self) -> None:
        """Finish what is under way and let go; the readers first, so that the writer's is the last connection."""
        self.readers.close()
        self.writer.close()
        self.ownership.release()


def open_store(path: Path, clock: Clock, bell: Bell) -> Opened:
    """Open the store at `path`; raises StoreOwned, SchemaMismatch, ConfigError and EngineUnavailable."""
    connecting.check_version()
    path = path.absolute()
    connecting.make_folder(path)
    path = path.resolve()
    owning.refuse_network(path)
    ownership = owning.take(path)
    try:
        return _open(path, clock, bell, ownership)
    except sqlite3.Error as exc:
        ownership.release()
        raise EngineUnavailable(f"the store {path} can't be opened ({exc})") from exc
    except BaseException:
        ownership.release()
        raise


def _open(path: Path, clock: Clock, bell: Bell, ownership: Ownership) -> Opened:
    connecting.create(path)
    if ownership.crashed:
        connecting.check_whole(path)
    migrate(path)
    connection = connecting.connect_writer(path)
    newest = max((int(at) for (at,) in connection.execute(_NEWEST).fetchall()), default=0)
    present = Present(clock, newest)
    writer = Writer(Session(connection, Ledger(connection)), present, bell)
    readers = Readers(path, present.now)
    writer.start()
    return Opened(os.getpid(), ownership, writer, readers)
