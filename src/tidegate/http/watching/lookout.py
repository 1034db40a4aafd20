"""A look at the whole fleet, for those who watch over it."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tidegate.app import Tidegate
from tidegate.core.budget import MICROS, spent
from tidegate.core.job import Status
from tidegate.core.query import JobQuery, Stats, WorkerInfo
from tidegate.core.upstream import gate, shut_until, state
from tidegate.errors import EngineUnavailable
from tidegate.http.watching.throughput import Throughput
from tidegate.ports import Engine
from tidegate.telemetry.fleet import Circuit, Fleet
from tidegate.upstreams import QUEUES, UPSTREAM, Upstreams, gate_of
from tidegate.wiring import System

KEPT: Final = 5.0
"""Seconds for which a look is good for whoever watches: several watchers cost no more than one."""

PAGE: Final = 200
"""Jobs of a queue that are looked at to know its oldest."""

MOST_LOOKED: Final = 20
"""Queues that are looked into for one answer."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How long the oldest ready jobs have been due, and how many jobs ended a minute, by queue; see `Fleet`."""

    ages: Mapping[str, timedelta | None]
    per_minute: Mapping[str, float] | None


class Lookout:
    """What one application's process sees of the fleet."""

    def __init__(self, application: Tidegate) -> None:
        self._application = application
        self._reading, self._looking, self._meeting = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._system: System | None = None
        self._throughput = Throughput()
        self._seen: tuple[float, Fleet] | None = None
        self._met: tuple[float, tuple[WorkerInfo, ...] | None] | None = None

    async def fleet(self) -> Fleet:
        """The fleet as it is, or was up to 5 s ago; raises EngineUnavailable."""
        async with self._looking:
            system = self._open()
            now = system.clock.monotonic()
            if self._seen is None or now - self._seen[0] >= KEPT:
                self._seen = now, await self._look(system)
            return self._seen[1]

    async def workers(self) -> tuple[WorkerInfo, ...] | None:
        """Those at work, as it is or was up to 5 s ago; None where the store does not answer."""
        async with self._meeting:
            system = self._open()
            now = system.clock.monotonic()
            if self._met is None or now - self._met[0] >= KEPT:
                self._met = now, await _workers(system)
            return self._met[1]

    async def flow(self, stats: Stats) -> Flow:
        """What the jobs in `stats` do; raises EngineUnavailable."""
        async with self._reading:
            system = self._open()
            per_minute = await self._throughput.per_minute(system.engine, system.clock.monotonic())
        return Flow(await oldest(system.engine, stats), per_minute)

    def _open(self) -> System:
        """What is open now; what was seen of anything else is forgotten."""
        system = self._application.system
        if system is not self._system:
            self._system, self._throughput, self._seen, self._met = system, Throughput(), None, None
        return system

    async def _look(self, system: System) -> Fleet:
        stats = await system.engine.stats()
        upstreams, now, flow = system.upstreams, system.upstreams.now(), await self.flow(stats)
        return Fleet(
            stats=stats,
            workers=tuple(worker for worker in await system.engine.workers() if worker.lives(now)),
            queues=tuple(queues_of(stats, system.settings.queues, upstreams)),
            paused=_paused(upstreams, now),
            upstreams={name: _circuit(name, upstreams, now) for name in upstreams.all(UPSTREAM)},
            ages=flow.ages,
            per_minute=flow.per_minute,
        )


async def _workers(system: System) -> tuple[WorkerInfo, ...] | None:
    try:
        found = await system.engine.workers()
    except EngineUnavailable:
        return None
    return tuple(worker for worker in found if worker.lives(system.upstreams.now()))


def queues_of(stats: Stats, served: Iterable[str], upstreams: Upstreams) -> list[str]:
    """Every queue that is served, has a breaker, or has jobs, by name."""
    return sorted({*served, *upstreams.all(QUEUES), *(lane.lane.queue for lane in stats.lanes)})


def unserved(stats: Stats, workers: Iterable[WorkerInfo]) -> Mapping[str, int]:
    """The jobs that wait in queues that no worker serves, by queue."""
    served = {queue for worker in workers for queue in worker.queues}
    waiting = Counter[str]()
    for lane in stats.lanes:
        if lane.lane.queue not in served and lane.ready + lane.waiting:
            waiting[lane.lane.queue] += lane.ready + lane.waiting
    return waiting


async def oldest(engine: Engine, stats: Stats) -> Mapping[str, timedelta | None]:
    """How long the oldest ready job of each queue has been due; None where that would take a search.

    The store knows the oldest of all; where several queues have ready jobs, short ones are looked into.
    """
    ready, queued = Counter[str](), Counter[str]()
    for lane in stats.lanes:
        ready[lane.lane.queue] += lane.ready
        queued[lane.lane.queue] += lane.ready + lane.waiting
    standing = [queue for queue in ready if ready[queue]]
    short = [queue for queue in standing if queued[queue] <= PAGE and len(standing) > 1][:MOST_LOOKED]
    found = {queue: await _oldest(engine, queue, stats.at) for queue in short}
    long = [queue for queue in standing if queue not in found]
    whose = long if all(age < stats.oldest_ready_age for age in found.values()) else []
    first = stats.oldest_ready_age if len(whose) == 1 else None
    return {**dict.fromkeys(ready, timedelta(0)), **found, **dict.fromkeys(long, first)}


async def _oldest(engine: Engine, queue: str, now: datetime) -> timedelta:
    page = await engine.find(JobQuery(status=Status.QUEUED, queue=queue, limit=PAGE))
    return max((now - job.run_at for job in page.jobs if job.run_at <= now), default=timedelta(0))


def _paused(upstreams: Upstreams, now: datetime) -> frozenset[str]:
    return frozenset(name for name, known in upstreams.all(QUEUES).items() if shut_until(known, now) is not None)


def _circuit(name: str, upstreams: Upstreams, now: datetime) -> Circuit:
    known, rules = upstreams.known(gate_of(UPSTREAM, name))
    budget = rules.budget
    return Circuit(
        state=state(known, now),
        limit=gate(known, rules, name, now).limit,
        spent=None if budget is None else spent(known.spending, budget, now) / MICROS,
        budget=None if budget is None else budget.micros / MICROS,
    )
