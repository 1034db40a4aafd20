"""Group endings into few engine calls, and keep trying while the store is away."""

import asyncio

from tidegate.core.job import Ending
from tidegate.core.retry import delay
from tidegate.core.verbs import Settled
from tidegate.errors import EngineUnavailable
from tidegate.ports import JobQueue
from tidegate.worker.outage import STORE_BACKOFF, Outage

BATCH = 500
"""Endings in one call: enough to share a commit, few enough not to hold up others' calls."""


class Settler:
    """One engine call at a time; endings that come meanwhile share the next. Alone, an ending waits for nothing."""

    def __init__(self, engine: JobQueue, outage: Outage) -> None:
        self._engine = engine
        self._outage = outage
        self._waiting: list[tuple[Ending, asyncio.Future[Settled]]] = []
        self._task: asyncio.Task[None] | None = None

    async def settle(self, ending: Ending) -> Settled:
        """The store's answer, however long the store is away; raises what the engine raised for this very ending."""
        answer: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._waiting.append((ending, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="tidegate-settler")
        return await answer

    def close(self) -> None:
        """Try no more: what the store has not taken by now, it will reclaim."""
        if self._task is not None:
            self._task.cancel()

    async def _drain(self) -> None:
        await asyncio.sleep(0)  # lets every run that ends in this turn of the loop join the first call
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                answers = await self._answers([ending for ending, _ in batch])
                for (_, waiting), answer in zip(batch, answers, strict=True):
                    if not waiting.done():
                        _tell(waiting, answer)
        finally:
            self._task = None

    async def _answers(self, endings: list[Ending]) -> list[Settled | Exception]:
        """One answer each. An ending that the engine can't take must not spoil those beside it."""
        try:
            return [*await self._settle(endings)]
        except Exception as exc:
            if len(endings) == 1:
                return [exc]
        return [answer for ending in endings for answer in await self._answers([ending])]

    async def _settle(self, endings: list[Ending]) -> list[Settled]:
        attempt = 0
        while True:
            try:
                answers = await self._engine.settle(endings)
            except EngineUnavailable as exc:
                attempt += 1
                self._outage.met("settle", exc)
                await asyncio.sleep(delay(STORE_BACKOFF, attempt, dice=0.5).total_seconds())
            else:
                self._outage.answered("settle")
                return answers


def _tell(waiting: asyncio.Future[Settled], answer: Settled | Exception) -> None:
    if isinstance(answer, Exception):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
