"""A fleet: API servers and workers as processes of their own, on one store that may fail."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx2

from tests.e2e.process import ROOT, Served
from tests.servers import postgres
from tests.servers.valkey import Valkey, valkey


class Store(Protocol):
    """A real store whose processes the test may hurt."""

    @property
    def url(self) -> str:
        """What TIDEGATE_ENGINE is set to."""
        ...

    def crash(self) -> None:
        """End it without a goodbye, and start it again on what it had written."""
        ...

    def freeze(self) -> None:
        """Let it stand still."""
        ...

    def thaw(self) -> None:
        """Let it go on."""
        ...


@dataclass
class ValkeyStore:
    """Valkey, most often with AOF on every write; `durability` is what is asked of it where it is less."""

    server: Valkey
    durability: str = "fsync"

    @property
    def url(self) -> str:
        return self.server.url(durability=self.durability)

    def crash(self) -> None:
        self.server.kill()
        self.server.start()

    def freeze(self) -> None:
        self.server.freeze()

    def thaw(self) -> None:
        self.server.thaw()


@dataclass
class PostgresStore:
    """PostgreSQL as it comes, fsync on."""

    server: postgres.PostgresServer
    url: str
    _frozen: ExitStack = field(default_factory=ExitStack)

    def crash(self) -> None:
        self.server.stop(signal.SIGQUIT)
        self.server.start()

    def freeze(self) -> None:
        self._frozen.enter_context(self.server.frozen())

    def thaw(self) -> None:
        self._frozen.close()


@contextmanager
def valkey_store() -> Iterator[Store]:
    """A fresh one."""
    with valkey(appendonly="yes", appendfsync="always") as server:
        yield ValkeyStore(server)


@contextmanager
def postgres_store() -> Iterator[Store]:
    """A fresh one."""
    with postgres.running(settings=()) as server:
        yield PostgresStore(server, f"{server.address}/postgres")


STORES: dict[str, Callable[[], AbstractContextManager[Store]]] = {"valkey": valkey_store, "postgres": postgres_store}


class Fleet:
    """`apis` servers without a worker and `workers` without a server, sharing a store and an artifact folder."""

    def __init__(
        self, folder: Path, store: Store, *, apis: int = 1, workers: int = 2, settings: Mapping[str, str] | None = None
    ) -> None:
        self.store = store
        self.folder = folder
        self.settings = {
            "TIDEGATE_ENGINE": store.url,
            "TIDEGATE_ARTIFACTS": str(folder / "artifacts"),
            "TIDEGATE_SLOTS": "10",
            "LEDGER": str(folder / "ledger.txt"),
            **(settings or {}),
        }
        self.apis = [self._api(number) for number in range(apis)]
        self.workers = [Process(self._environment(f"worker-{n}"), folder / f"worker-{n}.log") for n in range(workers)]

    def _api(self, number: int) -> Served:
        folder = self.folder / f"api-{number}"
        folder.mkdir()
        return Served(folder, self.settings, ("serve", "--no-worker"))

    def _environment(self, name: str) -> dict[str, str]:
        (self.folder / name).mkdir()
        return Served(self.folder / name, self.settings).environment

    def start(self, *, workers: bool = True) -> list[str]:
        """Start all of it, or first the servers alone; their addresses."""
        if workers:
            self.start_workers()
        return [api.start() for api in self.apis]

    def start_workers(self) -> None:
        """Start the workers."""
        for worker in self.workers:
            worker.start()

    def close(self) -> None:
        """Make sure that all are gone."""
        for api in self.apis:
            api.close()
        for worker in self.workers:
            worker.kill()

    def traces(self) -> list[list[str]]:
        """What handlers wrote: word, job, run."""
        ledger = self.folder / "ledger.txt"
        return [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []

    def logs(self) -> str:
        """The ends of all logs, for a failing test."""
        return "\n".join(log.read_text()[-3_000:] for log in self.folder.rglob("*.log"))


@dataclass
class Process:
    """`tidegate worker`."""

    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tidegate", "worker"], env=self.environment, stdout=log, stderr=log, cwd=ROOT
            )

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(60)
        self.process = None
        return code


@contextmanager
def fleet(
    folder: Path, store_name: str, *, apis: int = 1, workers: int = 2, settings: Mapping[str, str] | None = None
) -> Iterator[Fleet]:
    """A fleet on a fresh store; gone after the test."""
    with STORES[store_name]() as store:
        ships = Fleet(folder, store, apis=apis, workers=workers, settings=settings)
        try:
            yield ships
        finally:
            ships.close()


def first_trace_after(ships: Fleet, before: int, seconds: float) -> float:
    """Seconds until a handler has written more than `before` lines; fails after so many seconds."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if len(ships.traces()) > before:
            return time.monotonic() - started
        time.sleep(0.02)
    raise AssertionError(f"nothing ran within {seconds} s\n{ships.logs()}")


def client(address: str) -> httpx2.Client:
    """A client of one server, patient while the store is away."""
    return httpx2.Client(base_url=address, timeout=60)
