"""The PostgreSQL engine: `ports.Engine` on one schema of one database."""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Self

import asyncpg

from tidegate.clock import Clock
from tidegate.core.job import Body, Ending, Job, JobId, NewJob, Owner
from tidegate.core.query import HistoryEntry, JobQuery, Page, Stats, WorkerInfo
from tidegate.core.verbs import (
    Beat,
    Cancellation,
    Claimed,
    ClaimRequest,
    Dismissal,
    Document,
    Feed,
    Health,
    Receipt,
    Reclaimed,
    ReclaimRequest,
    Renewal,
    Revival,
    Settled,
    Swap,
    Swapped,
    Take,
    Taken,
)
from tidegate.engines.bell import Bell
from tidegate.engines.sql.drafting import draft
from tidegate.engines.sql.postgres import (
    administering,
    claiming,
    finding,
    following,
    limits,
    papers,
    presence,
    pruning,
    reading,
    reclaiming,
    renewing,
    settling,
    submitting,
)
from tidegate.engines.sql.postgres.address import address
from tidegate.engines.sql.postgres.counting import Counter
from tidegate.engines.sql.postgres.opening import check, open_store
from tidegate.engines.sql.postgres.pool import Connection
from tidegate.engines.sql.postgres.store import Store
from tidegate.errors import EngineUnavailable, InvalidInput

_NOT_OPEN: Final = "this store is not open: enter the engine with `async with` first"


class PostgresEngine:
    """An `Engine` on the database that `url` names; ConfigError where that can't be read.

    The server's clock is the store's; a test may give a `clock` of its own. The verbs may be called on any event
    loop, and each loop has its own connections.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._address = address(url)
        self._clock = clock
        self._bell = Bell()
        self._counter = Counter()
        self._opened: Store | None = None

    async def __aenter__(self) -> Self:
        """Reach the database and open the store, migrated to this release's schema.

        Raises ConfigError, SchemaMismatch and EngineUnavailable.
        """
        self._opened = await open_store(self._address, self._clock, self._bell)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish what is under way, then close all connections."""
        opened, self._opened = self._opened, None
        if opened is not None and opened.pid == os.getpid():
            await opened.close()

    @property
    def _store(self) -> Store:
        opened = self._opened
        if opened is None:
            raise EngineUnavailable(_NOT_OPEN)
        if os.getpid() != opened.pid:
            raise EngineUnavailable(f"this store was opened by process {opened.pid}: a forked child must open its own")
        return opened

    async def check(self) -> Health:
        """Ask the server whether it takes writes, and how durable they are."""
        return await check(self._store)

    # queue ------------------------------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """See `ports.JobQueue.submit`."""
        drafts = [draft(job) for job in jobs]
        return await submitting.submit(self._store, drafts) if drafts else []

    async def submit_in(self, connection: Connection, jobs: Sequence[NewJob]) -> list[Receipt]:
        """The same inside the transaction that the caller has open on his asyncpg `connection` to this database.

        The jobs exist if and only if he commits. Meanwhile nobody else waits for him: who submits the same id or
        key is told BUSY. Raises InvalidInput outside of a transaction.
        """
        if not isinstance(connection, asyncpg.Connection):
            raise TypeError(f"submit_in() takes an asyncpg connection, not a {type(connection).__name__}")
        drafts = [draft(job) for job in jobs]
        return await submitting.submit_in(self._store, connection, drafts) if drafts else []

    async def known(self, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
        """See `ports.JobQueue.known`."""
        return await submitting.known(self._store, keys) if keys else []

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """See `ports.JobQueue.claim`."""
        return await claiming.claim(self._store, request, nonce)

    async def renew(self, beats: Sequence[Beat], lease_for: timedelta) -> list[Renewal]:
        """See `ports.JobQueue.renew`."""
        return await renewing.renew(self._store, beats, lease_for) if beats else []

    async def settle(self, endings: Sequence[Ending]) -> list[Settled]:
        """See `ports.JobQueue.settle`."""
        for job in (job for ending in endings for job in ending.then):
            if job.spec.idempotency_key is not None:
                raise InvalidInput("then", "a follow-up job has no idempotency key: its ending is its key")
        then = [[draft(job) for job in ending.then] for ending in endings]
        return await settling.settle(self._store, endings, then) if endings else []

    async def reclaim(self, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
        """See `ports.JobQueue.reclaim`."""
        return await reclaiming.reclaim(self._store, request, nonce)

    async def wait(self, topics: Sequence[str], timeout: timedelta) -> None:
        """See `ports.JobQueue.wait`."""
        await self._bell.wait(topics, timeout)

    # admin ------------------------------------------------------------------------------------------------

    async def cancel(self, job_ids: Sequence[JobId], nonce: str) -> list[Cancellation]:
        """See `ports.JobAdmin.cancel`."""
        return await administering.cancel(self._store, job_ids, nonce) if job_ids else []

    async def revive(self, job_ids: Sequence[JobId], nonce: str) -> list[Revival]:
        """See `ports.JobAdmin.revive`."""
        return await administering.revive(self._store, job_ids, nonce) if job_ids else []

    async def dismiss(self, job_ids: Sequence[JobId]) -> list[Dismissal]:
        """See `ports.JobAdmin.dismiss`."""
        return await administering.dismiss(self._store, job_ids) if job_ids else []

    async def prune(self, limit: int) -> list[JobId]:
        """See `ports.JobAdmin.prune`; keys, nonces, grants and workers are forgotten in lots, too."""
        return await pruning.prune(self._store, limit)

    # reading ----------------------------------------------------------------------------------------------

    async def get(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """See `ports.JobReader.get`."""
        return await reading.get(self._store, job_ids) if job_ids else []

    async def bodies(self, job_ids: Sequence[JobId]) -> list[Body | None]:
        """See `ports.JobReader.bodies`."""
        return await reading.bodies(self._store, job_ids) if job_ids else []

    async def find(self, query: JobQuery) -> Page:
        """See `ports.JobReader.find`; `total` comes with the first page."""
        return await finding.find(self._store, query)

    async def history(self, job_id: JobId, after: int = 0, limit: int = 200) -> list[HistoryEntry]:
        """See `ports.JobReader.history`."""
        return await reading.history(self._store, job_id, after, limit)

    async def events(self, after: str | None, limit: int = 1_000) -> Feed:
        """See `ports.JobReader.events`."""
        return await following.events(self._store, after, limit)

    async def stats(self) -> Stats:
        """See `ports.JobReader.stats`."""
        return await self._counter.stats(self._store)

    # documents and presence -------------------------------------------------------------------------------

    async def load(self, kind: str, keys: Sequence[str]) -> list[Document]:
        """See `ports.Documents.load`."""
        return await papers.load(self._store, kind, keys) if keys else []

    async def swap(self, swap: Swap) -> Swapped:
        """See `ports.Documents.swap`."""
        return await papers.swap(self._store, swap)

    async def scan(self, kind: str, after: str = "", limit: int = 200) -> list[Document]:
        """See `ports.Documents.scan`."""
        return await papers.scan(self._store, kind, after, limit)

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        """See `ports.Documents.take`."""
        return await limits.take(self._store, takes, nonce) if takes else []

    async def give_back(self, nonce: str) -> None:
        """See `ports.Documents.give_back`."""
        await limits.give_back(self._store, nonce)

    async def announce(self, worker: WorkerInfo, live_for: timedelta) -> None:
        """See `ports.Presence.announce`."""
        await presence.announce(self._store, worker, live_for)

    async def workers(self) -> list[WorkerInfo]:
        """See `ports.Presence.workers`."""
        return await presence.workers(self._store)

    async def holders(self) -> list[Owner]:
        """See `ports.Presence.holders`."""
        return await presence.holders(self._store)
