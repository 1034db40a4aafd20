"""Group endings into few engine calls, and keep trying while the store is away."""

import asyncio

from tidegate.batching import Batcher, Told
from tidegate.core.job import Ending
from tidegate.core.retry import delay
from tidegate.core.verbs import Settled
from tidegate.errors import EngineUnavailable
from tidegate.ports import JobQueue
from tidegate.worker.outage import STORE_BACKOFF, Outage


class Settler:
    """Settles many endings in few calls; an ending that the engine can't take does not spoil those beside it.

    For the loop that it was made on.
    """

    def __init__(self, engine: JobQueue, outage: Outage) -> None:
        self._engine = engine
        self._outage = outage
        self._batcher = Batcher(self._settle)
        self._loop = asyncio.get_running_loop()
        self._closed = False

    async def settle(self, ending: Ending) -> Settled:
        """The store's answer, however long the store is away; raises what the engine raised for this very ending."""
        return await self._batcher.ask(ending)

    def put(self, ending: Ending, told: Told[Settled]) -> None:
        """The same without waiting; `told` gets the answer or the exception."""
        if not self._closed:
            self._batcher.put(ending, told, self._loop)

    def close(self) -> None:
        """Try no more: what the store has not taken by now, it will reclaim."""
        self._closed = True
        self._batcher.close()

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
