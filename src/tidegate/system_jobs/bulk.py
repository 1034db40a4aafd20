"""The job type `tidegate.bulk`: retry, cancel or dismiss every job that fits a filter, batch by batch.

A batch is written down before it is acted on, in a document of the job's own, so a run that goes on after a crash
acts on the very same jobs under the same nonce, which changes nothing where it had been done, and counts them once.

No run holds a worker's slot to wait: where the pace or others of the same user make it wait, it is deferred.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import msgspec

from tidegate.clock import Clock
from tidegate.context import Context
from tidegate.core.job import JobId, Status
from tidegate.core.query import JobQuery
from tidegate.core.verbs import Swap
from tidegate.errors import Defer, EngineUnavailable
from tidegate.handlers import LONGEST_TIMEOUT, Registry
from tidegate.ports import Engine
from tidegate.system_jobs import SYSTEM_PREFIX, SYSTEM_QUEUE
from tidegate.system_jobs.acting import Actor, Effect, nobody
from tidegate.system_jobs.scope import PAGE, Action, Work, matches
from tidegate.telemetry.events import Emitter

NAME: Final = f"{SYSTEM_PREFIX}bulk"
KIND: Final = "bulk"
"""The kind of the documents that say how far bulk jobs are."""

MOST_AT_ONCE: Final = 200
AGAIN: Final = timedelta(seconds=0.5)
"""After which a run that the store failed, or that met another one, is begun anew; no attempt is used."""

LINGER: Final = 1.1
"""Seconds that a run may wait in its slot: as long as it takes until its progress is told."""

TURN: Final = timedelta(seconds=5)
"""After which one that gave way to others of its user asks again."""

_DONE: Final = {Action.RETRY: "retried", Action.CANCEL: "cancelled", Action.DISMISS: "dismissed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReach:
    """What bulk work reaches. `of_a_user` is how many of one user's run at once, 0 any number: the earliest do."""

    engine: Engine
    emit: Emitter
    clock: Clock
    of_a_user: int = 1
    cancelled: Callable[[Sequence[JobId]], Awaitable[None]] = nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How far a bulk job is: `batch` is its `step`th, and the one to act on; the counts are of those before.

    `after` is the cursor behind the batch; `over` when no job lies behind it that is meant. `expected` is how many jobs
    there were to begin with, at least; exactly so many where `exact`.
    """

    step: int = 0
    batch: tuple[JobId, ...] = ()
    after: int | None = None
    over: bool = False
    applied: int = 0
    illegal: int = 0
    unknown: int = 0
    expected: int = 0
    exact: bool = False

    @property
    def seen(self) -> int:
        """How many jobs were acted on."""
        return self.applied + self.illegal + self.unknown

    def past(self, effects: list[Effect]) -> "Stand":
        """The stand behind the batch."""
        return replace(
            self,
            batch=(),
            applied=self.applied + effects.count(Effect.APPLIED),
            illegal=self.illegal + effects.count(Effect.ILLEGAL),
            unknown=self.unknown + effects.count(Effect.UNKNOWN),
        )


_decoder: Final = msgspec.json.Decoder(Stand)


def register(registry: Registry, to: BulkReach) -> None:
    """Add the job type."""

    async def bulk(work: Work, ctx: Context) -> dict[str, object]:
        """Retry, cancel or dismiss every job that fits a filter."""
        try:
            return await _Run(to, work, ctx, own_types(registry)).result()
        except EngineUnavailable as exc:
            raise Defer("the store is away", after=AGAIN) from exc

    registry.add(NAME, bulk, {"queue": SYSTEM_QUEUE, "timeout": LONGEST_TIMEOUT, "retry_on_timeout": True})


def own_types(registry: Registry) -> frozenset[str]:
    """The names of Tidegate's own job types."""
    return frozenset(name for name in registry.names if name.startswith(SYSTEM_PREFIX))


class _Run:
    """One run of a bulk job."""

    def __init__(self, to: BulkReach, work: Work, ctx: Context, own: frozenset[str]) -> None:
        self._to = to
        self._actor = Actor(engine=to.engine, emit=to.emit, cancelled=to.cancelled)
        self._work = work
        self._ctx = ctx
        self._own = own
        self._version = 0
        self._rests_until = 0.0

    async def result(self) -> dict[str, object]:
        """Do what is left of the work; what came of all of it."""
        stand = await self._begun()
        while True:
            if stand.batch:
                stand = await self._acted(stand)
            self._tell(stand)
            if stand.over:
                break
            stand = await self._next(stand)
        refused = {"illegal": stand.illegal, "unknown": stand.unknown}
        return {"matched": stand.seen, "applied": stand.applied, "refused": refused}

    async def _begun(self) -> Stand:
        """Where the run before this one stood; of the first one, the beginning."""
        [document] = await self._to.engine.load(KIND, [self._ctx.job_id])
        self._version = document.version
        if document.value is not None:
            return _decoder.decode(document.value)
        await self._sweep()
        found = await matches(self._to.engine.find, self._work, self._own)
        limit = self._work.limit
        if limit is not None and found.count >= limit:
            return Stand(expected=limit, exact=True)
        return Stand(expected=found.count, exact=found.exact)

    async def _acted(self, stand: Stand) -> Stand:
        began = self._to.clock.monotonic()
        effects = await self._actor.act(self._work.action, stand.batch, self._nonce(f"act {stand.step}"))
        if self._work.per_second is not None:
            self._rests_until = began + effects.count(Effect.APPLIED) / self._work.per_second
        return stand.past(effects)

    async def _next(self, stand: Stand) -> Stand:
        """The next batch, written down; `over` where nothing is left."""
        most = self._most(stand)
        if most:
            await self._wait(stand, last=stand.exact and stand.expected - stand.seen <= most)
        batch, after, over = tuple[JobId, ...](), stand.after, most == 0
        while not (batch or over):
            page = await self._to.engine.find(replace(self._work.query, after=after, limit=most))
            batch = tuple(job.id for job in page.jobs if self._work.means(job))
            after, over = page.next, page.next is None
            self._ctx.check()
        found = replace(stand, step=stand.step + 1, batch=batch, after=after, over=over)
        await self._save(found)
        return found

    async def _wait(self, stand: Stand, *, last: bool) -> None:
        """As long as the pace demands, and until it is this job's turn; what takes long is waited for in no slot.

        The `last` batch, which for few jobs is the first, waits for no turn: it is soon done.
        """
        rest = max(self._rests_until - self._to.clock.monotonic(), 0.0)
        await asyncio.sleep(min(rest, LINGER))
        if rest > LINGER:
            await self._save(stand, "rest")
            raise Defer("its pace has it rest", after=timedelta(seconds=rest - LINGER))
        if not last and await self._crowded():
            await self._save(stand, "give way")
            raise Defer("its user's earlier bulk jobs go first", after=TURN)

    async def _crowded(self) -> bool:
        """Whether as many bulk jobs of the same user run as may at once, each accepted before this one."""
        running, earlier = JobQuery(type=NAME, user_id=self._ctx.user_id, status=Status.RUNNING, limit=PAGE), 0
        most = self._to.of_a_user
        while most:
            page = await self._to.engine.find(running)
            earlier += sum(job.id < self._ctx.job_id for job in page.jobs)
            if page.next is None or earlier >= most:
                return earlier >= most
            running = replace(running, after=page.next)
        return False

    def _most(self, stand: Stand) -> int:
        """How many jobs the next batch may have: at a pace no more than a second's worth."""
        paced = MOST_AT_ONCE if self._work.per_second is None else max(int(self._work.per_second), 1)
        left = MOST_AT_ONCE if self._work.limit is None else max(self._work.limit - stand.seen, 0)
        return min(MOST_AT_ONCE, paced, left)

    async def _save(self, stand: Stand, why: str = "save") -> None:
        swap = Swap(
            kind=KIND,
            key=self._ctx.job_id,
            value=msgspec.json.encode(stand),
            expected=self._version,
            nonce=self._nonce(f"{why} {stand.step} in run {self._ctx.run}"),
        )
        swapped = await self._to.engine.swap(swap)
        if not swapped.won:
            raise Defer("another run of this job is still at work", after=AGAIN)
        self._version = swapped.document.version

    async def _sweep(self) -> None:
        """Remove what bulk jobs left that are pruned since."""
        documents = await self._to.engine.scan(KIND)
        jobs = await self._to.engine.get([JobId(document.key) for document in documents])
        for document, job in zip(documents, jobs, strict=True):
            if job is None:
                nonce = self._nonce(f"sweep {document.key}")
                gone = Swap(kind=KIND, key=document.key, value=None, expected=document.version, nonce=nonce)
                await self._to.engine.swap(gone)

    def _nonce(self, what: str) -> str:
        """The same for the same thing, whichever run does it."""
        return hashlib.sha256(f"{self._ctx.job_id} {what}".encode()).hexdigest()[:32]

    def _tell(self, stand: Stand) -> None:
        seen, refused = stand.seen, stand.illegal + stand.unknown
        most = f"{stand.expected}" if stand.exact else f"at least {stand.expected}"
        message = f"{stand.applied} of {most} {_DONE[self._work.action]}, {refused} refused"
        fraction = min(seen / stand.expected, 1.0) if stand.exact and stand.expected else None
        self._ctx.progress(fraction, message)
