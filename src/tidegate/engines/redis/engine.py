"""The Redis engine: `ports.Engine` on one Redis or Valkey server, shared by any number of processes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Self

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
from tidegate.engines.redis import (
    administering,
    claiming,
    finding,
    opening,
    papers,
    presence,
    reading,
    reclaiming,
    renewing,
    settling,
    submitting,
)
from tidegate.engines.redis.address import read_address
from tidegate.engines.redis.opening import Opened, open_store
from tidegate.engines.redis.scripts import Scripts
from tidegate.errors import EngineUnavailable

_NOT_OPEN: Final = "this store is not open: enter the engine with `async with` first"


class RedisEngine:
    """An `Engine` on the server that `url` names; `now` is the server's, or `clock`'s where there is one."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._address = read_address(url)
        self._clock = clock
        self._opened: Opened | None = None

    async def __aenter__(self) -> Self:
        """Reach the server and check it; raises EngineUnavailable, ConfigError and SchemaMismatch."""
        self._opened = await open_store(self._address, self._clock)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish what is under way, then close every connection."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    def _store(self) -> Opened:
        if self._opened is None:
            raise EngineUnavailable(_NOT_OPEN)
        return self._opened

    @property
    def _scripts(self) -> Scripts:
        return self._store().scripts

    async def check(self) -> Health:
        """Ask what the server can be held to now; less than was asked for is EngineUnavailable, too."""
        return await opening.health(self._store())

    # queue ------------------------------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """See `ports.JobQueue.submit`."""
        return await submitting.submit(self._scripts, jobs) if jobs else []

    async def known(self, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
        """See `ports.JobQueue.known`."""
        return await submitting.known(self._scripts, keys) if keys else []

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """See `ports.JobQueue.claim`."""
        opened = self._store()
        opened.hints.listen(opened.links)
        return await claiming.claim(self._scripts, request, nonce)

    async def renew(self, beats: Sequence[Beat], lease_for: timedelta) -> list[Renewal]:
        """See `ports.JobQueue.renew`."""
        return await renewing.renew(self._scripts, beats, lease_for) if beats else []

    async def settle(self, endings: Sequence[Ending]) -> list[Settled]:
        """See `ports.JobQueue.settle`."""
        return await settling.settle(self._scripts, endings) if endings else []

    async def reclaim(self, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
        """See `ports.JobQueue.reclaim`."""
        return await reclaiming.reclaim(self._scripts, request, nonce)

    async def wait(self, topics: Sequence[str], timeout: timedelta) -> None:
        """See `ports.JobQueue.wait`; other processes' doings end it, too, as long as the connection lasts."""
        opened = self._store()
        await opened.hints.wait(opened.links, topics, timeout)

    # admin ------------------------------------------------------------------------------------------------

    async def cancel(self, job_ids: Sequence[JobId], nonce: str) -> list[Cancellation]:
        """See `ports.JobAdmin.cancel`."""
        return await administering.cancel(self._scripts, job_ids, nonce)

    async def revive(self, job_ids: Sequence[JobId], nonce: str) -> list[Revival]:
        """See `ports.JobAdmin.revive`."""
        return await administering.revive(self._scripts, job_ids, nonce)

    async def dismiss(self, job_ids: Sequence[JobId]) -> list[Dismissal]:
        """See `ports.JobAdmin.dismiss`."""
        return await administering.dismiss(self._scripts, job_ids)

    async def prune(self, limit: int) -> list[JobId]:
        """See `ports.JobAdmin.prune`; keys, nonces and grants are forgotten in lots, too."""
        return await administering.prune(self._scripts, limit)

    # reading ----------------------------------------------------------------------------------------------

    async def get(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """See `ports.JobReader.get`."""
        return await reading.get(self._scripts, job_ids)

    async def bodies(self, job_ids: Sequence[JobId]) -> list[Body | None]:
        """See `ports.JobReader.bodies`."""
        return await reading.bodies(self._scripts, job_ids)

    async def find(self, query: JobQuery) -> Page:
        """See `ports.JobReader.find`; a page ends after so many jobs looked at."""
        return await finding.find(self._scripts, query)

    async def history(self, job_id: JobId, after: int = 0, limit: int = 200) -> list[HistoryEntry]:
        """See `ports.JobReader.history`."""
        return await reading.history(self._scripts, job_id, after, limit)

    async def events(self, after: str | None, limit: int = 1_000) -> Feed:
        """See `ports.JobReader.events`."""
        return await reading.events(self._scripts, after, limit)

    async def stats(self) -> Stats:
        """See `ports.JobReader.stats`."""
        return await reading.stats(self._scripts)

    # documents and presence -------------------------------------------------------------------------------

    async def load(self, kind: str, keys: Sequence[str]) -> list[Document]:
        """See `ports.Documents.load`."""
        return await papers.load(self._scripts, kind, keys)

    async def swap(self, swap: Swap) -> Swapped:
        """See `ports.Documents.swap`."""
        return await papers.swap(self._scripts, swap)

    async def scan(self, kind: str, after: str = "", limit: int = 200) -> list[Document]:
        """See `ports.Documents.scan`."""
        return await papers.scan(self._scripts, kind, after, limit)

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        """See `ports.Documents.take`."""
        return await papers.take(self._scripts, takes, nonce) if takes else []

    async def give_back(self, nonce: str) -> None:
        """See `ports.Documents.give_back`."""
        await papers.give_back(self._scripts, nonce)

    async def announce(self, worker: WorkerInfo, live_for: timedelta) -> None:
        """See `ports.Presence.announce`."""
        await presence.announce(self._scripts, worker, live_for)

    async def workers(self) -> list[WorkerInfo]:
        """See `ports.Presence.workers`."""
        return await presence.workers(self._scripts)

    async def holders(self) -> list[Owner]:
        """See `ports.Presence.holders`."""
        return await presence.holders(self._scripts)
