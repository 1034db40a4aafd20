"""The worker: owns the tasks of all duties, and stops them in the right order."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence

from tidegate.clock import token
from tidegate.core.job import Lease, Owner
from tidegate.core.query import WorkerInfo
from tidegate.telemetry.events import WorkerStarted, WorkerStopped, WorkerStopping
from tidegate.worker.active import Actives, Stop
from tidegate.worker.crontab import Crontab
from tidegate.worker.deadlines import Deadlines
from tidegate.worker.ending import Ender
from tidegate.worker.identity import identity
from tidegate.worker.intake import Calls, Intake
from tidegate.worker.outage import Outage
from tidegate.worker.performing import Performer
from tidegate.worker.pruner import Pruner
from tidegate.worker.reaper import Reaper
from tidegate.worker.renewal import Heart
from tidegate.worker.run import Runs
from tidegate.worker.runtime import Runtime
from tidegate.worker.settling import Settler
from tidegate.worker.sweeper import Sweeper

_log = logging.getLogger(__name__)


class Worker:
    """Runs jobs from `start` to `stop`, on the event loop that started it.

    An embedded worker and a separate one are the same. `owner` is how the store knows it.
    """

    def __init__(self, to: Runtime, *, version: str) -> None:
        self._to = to
        self._version = version
        self.owner: Owner = identity(token())
        self._started_at = to.clock.now()
        self._actives = Actives(to.held)
        self._duties: list[asyncio.Task[None]] = []
        self._hurried = asyncio.Event()

    async def start(self) -> None:
        """Begin to claim. Returns at once."""
        to = self._to
        self._performer = Performer(to, self.owner)
        await self._performer.open()
        outage = Outage(to.emit, to.clock)
        self._ender = Ender(to, Settler(to.engine, outage))
        self._reaper = Reaper(self.owner, self._ender, outage)
        self._deadlines = Deadlines(self._actives, to.clock)
        self._intake = Intake(self.owner, self._actives, to, outage, Calls(self._begin, self._reaper.ask))
        self._runs = Runs(to, self._actives, self._performer, self._ender, self._deadlines, self._intake.freed)
        self._heart = Heart(to, self._actives, asyncio.get_running_loop(), self._info)
        self._heart.start()
        self._intaking = self._duty(self._intake.work, "intake")
        duties = {"reaper": self._reaper.work, "pruner": Pruner(to).work, "sweeper": Sweeper(to).work}
        duties["crontab"] = Crontab(to).work
        self._duties = [self._duty(work, name) for name, work in duties.items()]
        queues, types = tuple(to.settings.queues), tuple(sorted(to.registry.names))
        to.emit(WorkerStarted(owner=self.owner, slots=to.settings.slots, queues=queues, types=types))

    def hurry(self) -> None:
        """End the grace of a stop under way: what still runs is given back now."""
        self._hurried.set()

    async def stop(self) -> None:
        """Claim no more, let runs finish within their grace, give the others back, stop the heart last.

        Nothing is lost, and no attempt is burned.
        """
        self._to.emit(WorkerStopping(owner=self.owner, running=len(self._actives)))
        self._intake.stop()
        await asyncio.wait([self._intaking], timeout=self._to.settings.lease_for.total_seconds())
        await self._finish(self._to.settings.grace.total_seconds(), until=self._hurried)
        given_back = [active for active in self._actives if not active.ending]
        for active in given_back:
            active.stop(Stop.SHUTDOWN)
        await self._finish(self._to.settings.stop_grace.total_seconds() + 1.0, until=asyncio.Event())
        await _ended([self._intaking, *self._duties])
        self._deadlines.close()
        self._ender.close()  # what it has not settled is anybody's to take over
        self._runs.give_up()
        await self._heart.stop()
        await self._performer.close()
        self._to.emit(WorkerStopped(owner=self.owner, given_back=len(given_back)))

    @property
    def running(self) -> int:
        """How many handlers run now."""
        return self._actives.busy

    def _begin(self, lease: Lease) -> None:
        self._runs.begin(lease)

    async def _finish(self, seconds: float, *, until: asyncio.Event) -> None:
        """Wait for all runs, for so long, or until the event."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._actives.none, until)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        await _ended(waiting)

    def _duty(self, work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(_unfailing(work, name, self._to), name=f"tidegate-{name}")

    def _info(self) -> WorkerInfo:
        to = self._to
        return WorkerInfo(
            owner=self.owner,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at,
            version=self._version,
            slots=to.settings.slots,
            busy=self._actives.busy,
            queues=tuple(to.settings.queues),
            types=tuple(sorted(to.registry.names)),
        )


async def _ended(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _unfailing(work: Callable[[], Awaitable[None]], name: str, to: Runtime) -> None:
    """A duty that breaks is said so and begun again: a worker that silently stopped would be worse."""
    while True:
        try:
            return await work()
        except Exception as exc:
            _log.error("the worker's %s broke, and starts again", name, exc_info=exc)
            await asyncio.sleep(to.settings.poll.total_seconds())
