"""One lease, from claim to settlement: perform → keep → decide → settle. Read this file first."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from tidegate.core.job import Cancelled, Interrupted, Lease, Outcome, TimedOut
from tidegate.telemetry.events import Claimed, EndingLost, ref
from tidegate.worker.active import Active, Stop
from tidegate.worker.ending import Ender
from tidegate.worker.keeping import keep
from tidegate.worker.performing import Performer
from tidegate.worker.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Tools:
    """What runs share in one worker."""

    to: Runtime
    performer: Performer
    ender: Ender
    slot_freed: Callable[[], None]


async def run(active: Active, tools: Tools) -> None:
    """Carry one lease to its end. Returns when the handler has ended and its ending is settled or lost."""
    _announce(active.lease, tools.to)
    try:
        with Deadline(active, tools) as deadline:
            outcome = await perform(active, tools)
        await deadline.settled()
        await conclude(active, outcome, tools)
    finally:
        await tools.performer.discard(active)


async def perform(active: Active, tools: Tools) -> Outcome:
    """Run the handler and keep what it made; never raises."""
    made = await tools.performer.perform(active)
    active.performed = True
    tools.slot_freed()
    if active.why is not None:
        return stopped(active, tools.to)
    return await keep(active.lease, made, tools.to)


async def conclude(active: Active, outcome: Outcome, tools: Tools) -> None:
    """Decide what becomes of the job and settle it, unless somebody did."""
    if active.ending:
        return
    active.ending = True
    try:
        if active.why is Stop.LOST:
            tools.to.emit(EndingLost(job=ref(active.lease.job)))
            return
        latency = timedelta(seconds=tools.to.clock.monotonic() - active.started)
        await tools.ender.settle(active.lease, outcome, latency)
    finally:
        active.settled = True


def stopped(active: Active, to: Runtime) -> Outcome:
    """The outcome of a run that was made to end."""
    match active.why:
        case Stop.TIMEOUT:
            return TimedOut()
        case Stop.CANCELLED:
            return Cancelled()
        case _:
            return Interrupted(fatal=to.registry.get(active.lease.job.spec.type).fail_on_shutdown)


class Deadline:
    """Ends a run at its timeout, and settles on its behalf when it won't end within its grace."""

    def __init__(self, active: Active, tools: Tools) -> None:
        self._active = active
        self._tools = tools
        self._loop = asyncio.get_running_loop()
        self._abandoning: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        timeout = self._active.lease.job.spec.timeout.total_seconds()
        self._timer = self._loop.call_later(timeout, self._active.stop, Stop.TIMEOUT)
        self._active.on_stop = self._stopped
        return self

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()
        self._active.on_stop = None

    async def settled(self) -> None:
        """Return when nothing is being settled on the run's behalf."""
        if self._abandoning is not None:
            await self._abandoning

    def _stopped(self) -> None:
        self._timer.cancel()
        grace = self._tools.to.settings.stop_grace.total_seconds()
        self._timer = self._loop.call_later(grace, self._abandon)

    def _abandon(self) -> None:
        outcome = stopped(self._active, self._tools.to)
        self._abandoning = self._loop.create_task(conclude(self._active, outcome, self._tools))


def _announce(lease: Lease, to: Runtime) -> None:
    job = lease.job
    due_for = (job.started_at - job.run_at) if job.started_at is not None else None
    to.emit(Claimed(job=ref(job), latency=due_for))
