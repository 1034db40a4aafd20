"""One lease, from claim to settlement: begin → perform → keep → decide → settle → close. Read this file first.

A run's task is its handler's. What has to wait for I/O after it (artifacts to keep, an `error.json`, a folder to
remove) has a task of its own; a handler that returns nothing needs none.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.core.job import Cancelled, Interrupted, Lease, Outcome, TimedOut
from tidegate.telemetry.events import Claimed, EndingLost, ref
from tidegate.worker.active import Active, Actives, Stop
from tidegate.worker.calling import Calls, watched
from tidegate.worker.deadlines import Deadlines
from tidegate.worker.ending import Ender
from tidegate.worker.keeping import keep, told, wants_keeping
from tidegate.worker.ledger import book
from tidegate.worker.performing import Performer, calls_of
from tidegate.worker.producing import GaveWay, Made, Produced
from tidegate.worker.runtime import Runtime

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one worker. `slot_freed` is called whenever there may be room for another."""

    to: Runtime
    actives: Actives
    performer: Performer
    ender: Ender
    deadlines: Deadlines
    slot_freed: Callable[[], None]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def begin(self, lease: Lease) -> None:
        """Start a run. It is over when its handler has ended and its ending is settled, or lost."""
        active = Active(lease, self.to.clock.monotonic(), self._stopped)
        if watched(lease, self.to.upstreams):
            active.calls = calls_of(active, self.to)
        self.actives.add(active)
        self.deadlines.watch(active)
        active.task = self.loop.create_task(self._run(active))

    async def _run(self, active: Active) -> None:
        """The handler's task. What the handler does to its task can't reach what comes after: none of that waits."""
        self._announce(active.lease)
        made = await self.performer.perform(active)
        if active.closed:
            return
        self.actives.performed(active)
        self.slot_freed()
        try:
            self._performed(active, made)
            self._close(active)
        except Exception as exc:
            self._broke(active, exc)

    def _performed(self, active: Active, made: Made) -> None:
        """Keep what the handler made, unless it was made to end."""
        if active.why is not None:
            self._conclude(active, stopped(active, self.to))
        elif isinstance(made, GaveWay):
            calls = active.calls or calls_of(active, self.to)
            self._conclude(active, calls.gave_way(made))
        elif wants_keeping(made):
            self.ender.spawn(self._keep(active, made))
        else:
            self._conclude(active, told(made))

    async def _keep(self, active: Active, made: Produced) -> None:
        try:
            self._conclude(active, await keep(active.lease, made, self.to))
        except Exception as exc:
            self._broke(active, exc)

    def _conclude(self, active: Active, outcome: Outcome) -> None:
        """Decide what becomes of the job and settle it, unless somebody did."""
        if active.ending:
            return
        active.ending = True
        calls = active.calls
        if calls is not None:
            outcome = calls.judge(outcome)
        if active.why is Stop.LOST:
            self.to.emit(EndingLost(job=ref(active.lease.job)))
            self._settled(active)
            return
        active.took = self.to.clock.monotonic() - active.started
        if calls is not None and calls.spent:
            self.ender.spawn(self._booked(active, calls, outcome))
        else:
            self.ender.end(active, outcome, self._settled)

    async def _booked(self, active: Active, calls: Calls, outcome: Outcome) -> None:
        """Keep what the run spent, then end it: whoever sees that it ended finds its account."""
        await book(self.to, active.lease, calls.spent)
        self.ender.end(active, outcome, self._settled)

    def _settled(self, active: Active) -> None:
        active.settled = True
        self._close(active)

    def _close(self, active: Active) -> None:
        """Forget a run that is over."""
        if active.closed or not (active.performed and active.settled):
            return
        active.closed = True
        folder = self.performer.left(active)
        if folder is None:
            self._forget(active)
        else:
            self.ender.spawn(self._discard(active, folder))

    async def _discard(self, active: Active, folder: Path) -> None:
        try:
            await self.performer.remove(folder)
        finally:
            self._forget(active)

    def _forget(self, active: Active) -> None:
        self.actives.remove(active)
        self.slot_freed()

    def give_up(self) -> None:
        """Let go of every run: the worker has stopped, and what was not settled will be reclaimed."""
        for active in self.actives:
            active.ending = active.closed = True
            if active.interrupt is not None:
                active.interrupt()
            self.actives.remove(active)

    def _broke(self, active: Active, error: Exception) -> None:
        """A fault of ours: the lease is let go, so that another worker may have better luck."""
        _log.error("the run of job %s broke", active.lease.job.id, exc_info=error)
        if not active.closed:
            active.ending = active.settled = active.closed = True
            self._forget(active)

    # a run that shall end before its handler does ---------------------------------------------------------------

    def _stopped(self, active: Active) -> None:
        """It was asked to: where it has not within its grace, it is settled on its behalf."""
        grace = self.to.settings.stop_grace.total_seconds()
        self.loop.call_later(grace, self._abandon, active)

    def _abandon(self, active: Active) -> None:
        self._conclude(active, stopped(active, self.to))

    def _announce(self, lease: Lease) -> None:
        if self.to.emit.hears(Claimed):
            job = lease.job
            due_for = (job.started_at - job.run_at) if job.started_at is not None else None
            self.to.emit(Claimed(job=ref(job), latency=due_for))


def stopped(active: Active, to: Runtime) -> Outcome:
    """The outcome of a run that was made to end."""
    match active.why:
        case Stop.TIMEOUT:
            return TimedOut()
        case Stop.CANCELLED:
            return Cancelled()
        case _:
            return Interrupted(fatal=to.registry.get(active.lease.job.spec.type).fail_on_shutdown)
