"""One measurement's ground: an empty store, a folder, a record file, and the commands of one peer on them."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from bench.peers.processes import Broken, Orders, Worker, call
from bench.peers.records import Records
from bench.peers.roster import Peer
from bench.peers.servers import Postgres, Store, valkey

MEMORY: Final = Path("/dev/shm")
CALLERS: Final = 64
BATCH: Final = 1_000
_numbers = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A peer on an empty store."""

    peer: Peer
    store: Store
    orders: Orders
    records: Records

    def enqueue(self, mode: str, jobs: int, *, first: int = 0, kind: str = "noop") -> float:
        """Seconds that submitting `jobs` jobs took: "one" by one, by 64 "callers", or in "bulk"."""
        more = {"mode": mode, "count": jobs, "first": first, "kind": kind, "callers": CALLERS, "batch": BATCH}
        taken = call(self.orders, "enqueue", **more)
        assert isinstance(taken, float)
        return taken

    def pace(self, rate: float, jobs: int, *, first: int) -> list[float]:
        """When each job's call began, at a steady rate; on an embedded store the jobs are run there too."""
        more = {"rate": rate, "count": jobs, "first": first, "kind": "noop", "callers": CALLERS}
        at = call(self.orders, "pace", slots=self.peer.slots, **more)
        assert isinstance(at, list)
        return [float(instant) for instant in at]

    @contextmanager
    def workers(self, number: int, slots: int) -> Iterator[list[Worker]]:
        """So many worker processes, stopped afterwards."""
        started = [Worker(self.orders, slots) for _ in range(number)]
        try:
            yield started
        finally:
            for worker in started:
                worker.stop()

    def wait(self, records: int, seconds: float, workers: list[Worker]) -> bool:
        """Whether so many records are there in time; raises Broken when a worker ends before."""

        def check() -> None:
            for worker in workers:
                worker.check()

        return self.records.wait(records, seconds, check)

    def warm(self, workers: list[Worker]) -> None:
        """Wait until job 0, submitted before, ran: the workers are up. Raises Broken."""
        if not self.wait(1, 60, workers):
            raise Broken("the worker ran nothing within 60 s")


class Ground:
    """Gives trials. PostgreSQL is started once, and each of its peers' schemas made once."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._postgres: Postgres | None = None
        self._made: set[str] = set()

    def close(self) -> None:
        """End the servers."""
        self._stack.close()

    @contextmanager
    def trial(self, peer: Peer) -> Iterator[Trial]:
        """An empty store for this peer, gone afterwards."""
        record = MEMORY / f"tidegate-peers-{os.getpid()}-{next(_numbers)}"
        with tempfile.TemporaryDirectory(prefix="tidegate-peers-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            with self._store(peer, folder) as store:
                orders = Orders(peer=peer, url=store.url, folder=folder, record=record)
                try:
                    yield Trial(peer=peer, store=store, orders=orders, records=Records(record))
                finally:
                    record.unlink(missing_ok=True)

    @contextmanager
    def _store(self, peer: Peer, folder: Path) -> Iterator[Store]:
        match peer.store:
            case "redis":
                with valkey(folder) as store:
                    yield store
            case "postgres":
                postgres = self.postgres()
                self.make(peer, folder)
                with postgres.copy(peer.name) as store:
                    yield store
            case "sqlite":
                yield Store(url=f"sqlite:///{folder / 'bench.db'}")

    def postgres(self) -> Postgres:
        """The cluster, started when first asked for."""
        if self._postgres is None:
            folder = self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="tidegate-peers-", ignore_cleanup_errors=True)
            )
            self._postgres = Postgres(Path(folder))
            self._stack.callback(self._postgres.close)
        return self._postgres

    def make(self, peer: Peer, folder: Path) -> None:
        """The database that a peer's trials are copied from, with its schema."""
        if peer.name in self._made:
            return
        postgres = self.postgres()
        postgres.create(peer.name)
        call(Orders(peer=peer, url=postgres.url(peer.name), folder=folder, record=folder / "none"), "prepare")
        self._made.add(peer.name)
