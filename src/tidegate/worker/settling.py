"""Group endings into few engine calls, and keep trying while the store is away."""

import asyncio
from datetime import timedelta

from tidegate.clock import Clock
from tidegate.core.job import Ending
from tidegate.core.retry import Exponential, delay
from tidegate.core.verbs import Settled
from tidegate.errors import EngineUnavailable
from tidegate.ports import JobQueue
from tidegate.telemetry.events import Emitter, StoreBack, StoreDown

BATCH = 500
"""Endings in one call: enough to share a commit, few enough not to hold up others' calls."""

STORE_BACKOFF = Exponential(initial=timedelta(seconds=0.1), factor=2.0, cap=timedelta(seconds=2), jitter=0.1)


class Settler:
    """One engine call at a time; endings that come meanwhile share the next. Alone, an ending waits for nothing."""

    def __init__(self, engine: JobQueue, emit: Emitter, clock: Clock) -> None:
        self._engine = engine
        self._emit = emit
        self._clock = clock
        self._waiting: list[tuple[Ending, asyncio.Future[Settled]]] = []
        self._task: asyncio.Task[None] | None = None

    async def settle(self, ending: Ending) -> Settled:
        """The store's answer, however long the store is away."""
        answer: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._waiting.append((ending, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="tidegate-settler")
        return await answer

    async def _drain(self) -> None:
        await asyncio.sleep(0)  # lets every run that ends in this turn of the loop join the first call
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                answers = await self._settle([ending for ending, _ in batch])
            except Exception as exc:  # an engine's bug must not hang every run that waits for its answer
                for _, answer in batch:
                    answer.set_exception(exc)
                continue
            for (_, answer), settled in zip(batch, answers, strict=True):
                if not answer.done():
                    answer.set_result(settled)
        self._task = None

    async def _settle(self, endings: list[Ending]) -> list[Settled]:
        down_since: float | None = None
        attempt = 0
        while True:
            try:
                answers = await self._engine.settle(endings)
            except EngineUnavailable as exc:
                attempt += 1
                if down_since is None:
                    down_since = self._clock.monotonic()
                    self._emit(StoreDown(error_type=type(exc).__name__))
                await asyncio.sleep(delay(STORE_BACKOFF, attempt, dice=0.5).total_seconds())
                continue
            if down_since is not None:
                self._emit(StoreBack(down_for=timedelta(seconds=self._clock.monotonic() - down_since)))
            return answers
