"""What users' schedules may make: their ticks count as their requests do, in one window an hour.

What an application's code declares is its own affair, and counts for nobody.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from tidegate.core.cron import tick_key
from tidegate.core.quota import enqueued
from tidegate.ports import Documents
from tidegate.schedules import Origin, Plan, Standing


class Allowance:
    """Asks the store for one worker; `limit` jobs of a user an hour, 0 for any number."""

    def __init__(self, engine: Documents, limit: int) -> None:
        self._engine = engine
        self.limit = limit
        self._spent: dict[str, datetime] = {}

    async def take(self, standing: Standing, ticks: Sequence[datetime], now: datetime) -> Sequence[datetime]:
        """Of the ticks, oldest first, those that may make a job; of the others `wait` tells. Raises EngineUnavailable.

        A tick counts once, whichever worker asks, and however often.
        """
        if not self.limit or standing.origin is Origin.CODE:
            return ticks
        user = standing.plan.user_id
        for number, tick in enumerate(ticks):
            if self.wait(user, now) or not await self._counted(standing.plan, tick, now):
                return ticks[:number]
        return ticks

    def wait(self, user_id: str, now: datetime) -> timedelta:
        """How long that user has nothing left, as far as is known without asking."""
        return max(self._spent.get(user_id, now) - now, timedelta(0))

    async def give_back(self, standing: Standing, tick: datetime) -> None:
        """A tick made no job."""
        if self.limit and standing.origin is Origin.API:
            await self._engine.give_back(_nonce(standing.plan, tick))

    async def _counted(self, plan: Plan, tick: datetime, now: datetime) -> bool:
        self._spent.pop(plan.user_id, None)
        [taken] = await self._engine.take(enqueued(plan.user_id, self.limit), _nonce(plan, tick))
        if not taken.granted:
            self._spent[plan.user_id] = now + taken.retry_after
        return taken.granted


def _nonce(plan: Plan, tick: datetime) -> str:
    """The same for every worker, so that they take one grant between them."""
    return hashlib.sha256(f"{plan.user_id}\n{tick_key(plan.name, tick)}".encode()).hexdigest()[:32]
