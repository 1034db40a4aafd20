"""Keep leases alive from a thread with its own event loop, which no handler on the worker's loop can block.

A handler that holds the GIL stops this thread too, but also everything else in this process, where no reaper
takes leases that are being worked on (`active.Held`). A worker in another process does take them once they have
run out: work that may hold the GIL for longer than a lease belongs into `cpu=True`.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from tidegate.core.query import WorkerInfo
from tidegate.core.verbs import Beat, Renewal
from tidegate.errors import EngineUnavailable
from tidegate.telemetry.events import SlowHeartbeat
from tidegate.worker.active import Active, Actives, Stop
from tidegate.worker.runtime import Runtime

LISTED = timedelta(hours=1)
"""How long a worker is listed after it was last heard of."""

TICK = timedelta(seconds=1)
"""How often, at least, progress is told and the clock is looked at."""

_log = logging.getLogger(__name__)


class Heart:
    """Beats for one worker: announces it, renews its leases, and carries back what the store says of them."""

    def __init__(
        self, to: Runtime, actives: Actives, loop: asyncio.AbstractEventLoop, info: Callable[[], WorkerInfo]
    ) -> None:
        self._to = to
        self._actives = actives
        self._worker_loop = loop
        self._info = info
        self._stopping = threading.Event()
        self._stopped = asyncio.Event()
        self._pause = min(TICK, to.settings.renew_every).total_seconds()
        self._renewed = to.clock.monotonic()

    def start(self) -> None:
        """Begin to beat."""
        threading.Thread(target=self._live, name="tidegate-heart", daemon=True).start()

    async def stop(self) -> None:
        """Beat no more; the last thing a stopping worker does. The worker says so."""
        self._stopping.set()
        await self._stopped.wait()

    def _live(self) -> None:
        with asyncio.Runner() as runner:
            due = 0.0
            while not self._stopping.is_set():
                due = runner.run(self._beat(due))
                self._stopping.wait(self._pause)
            runner.run(self._withdraw())
        self._on_worker_loop(self._stopped.set)

    async def _beat(self, due: float) -> float:
        try:
            return await self._tick(due)
        except Exception as exc:  # a heart that stopped would lose every lease, and nobody would know why
            _log.error("a heartbeat failed, and is tried again", exc_info=exc)
            return due

    async def _withdraw(self) -> None:
        try:
            await self._announce(timedelta(0), stopped=True)
        except Exception as exc:
            _log.error("nobody could be told that the worker stops", exc_info=exc)

    async def _tick(self, due: float) -> float:
        """One look: everything when it is due, else only what has progress to tell. When it is due next."""
        now = self._to.clock.monotonic()
        if now < due:
            await self._renew([active for active in self._actives if active.eager])
            return due
        await self._announce(self._to.settings.lease_for)  # before renewing: see `reaper`
        if await self._renew(list(self._actives)):
            self._check_pace(now)
            return now + self._to.settings.renew_every.total_seconds()
        return due  # the store is away: again at the next tick

    async def _renew(self, actives: list[Active]) -> bool:
        if not actives:
            return True
        beats = {active: active.beat() for active in actives if not active.settled}
        try:
            async with asyncio.timeout(self._to.settings.lease_for.total_seconds()):
                answers = await self._to.engine.renew([*beats.values()], self._to.settings.lease_for)
        except (EngineUnavailable, TimeoutError):
            self._keep_progress(beats)
            return False
        for active, answer in zip(beats, answers, strict=True):
            match answer:
                case Renewal.LOST:
                    self._stop(active, Stop.LOST)
                case Renewal.CANCELLING:
                    self._stop(active, Stop.CANCELLED)
                case Renewal.HELD:
                    pass
        return True

    def _keep_progress(self, beats: Mapping[Active, Beat]) -> None:
        for active, beat in beats.items():
            if beat.progress is not None and not active.eager:
                active.report(beat.progress)

    def _stop(self, active: Active, why: Stop) -> None:
        self._on_worker_loop(lambda: active.stop(why))

    def _on_worker_loop(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # it is closed: nothing of the worker is left
            self._worker_loop.call_soon_threadsafe(call)

    async def _announce(self, live_for: timedelta, *, stopped: bool = False) -> None:
        now = self._to.upstreams.now()
        info = replace(self._info(), seen_at=now, live_until=now + live_for, stopped=stopped)
        try:
            async with asyncio.timeout(self._to.settings.renew_every.total_seconds()):
                await self._to.engine.announce(info, live_for + LISTED)
        except (EngineUnavailable, TimeoutError):
            return  # it is told again at the next beat

    def _check_pace(self, now: float) -> None:
        late = now - self._renewed - 2 * self._to.settings.renew_every.total_seconds()
        if late > 0:
            self._to.emit(SlowHeartbeat(owner=self._info().owner, late=timedelta(seconds=late)))
        self._renewed = now
