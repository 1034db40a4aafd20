"""Budgets of money: what calls cost is counted for the upstream and for the user, and stops whoever spent all.

A call is over only when the store knows what it cost: so a budget is passed by the calls under way, and no others.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from tidegate.core.budget import MOST_A_CALL, Budget, counted, money, spent
from tidegate.core.upstream import Override, word_at
from tidegate.errors import EngineUnavailable, OutOfBudget
from tidegate.upstreams.keeping import Keeper
from tidegate.upstreams.policies import UPSTREAM, gate_of
from tidegate.upstreams.probes import Call
from tidegate.upstreams.purses import FRESH, Purses

SHARE: Final = 20
"""What a process has not told yet is told at once from a twentieth of what is left on: so twenty pass no budget."""

PRUNE_EVERY: Final = 60
"""Rounds between two looks for purses whose window is over."""

_log = logging.getLogger(__name__)


class Budgets:
    """Told from any thread; asked of users' budgets on the loop, but for `refused`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.purses = Purses(keeper.to.engine, keeper.to.clock, keeper.clock.now, keeper.to.nonce)
        self._warned: set[tuple[str, str]] = set()

    # what calls cost ------------------------------------------------------------------------------------------

    def spent(self, call: Call, user: str, cost: float | None) -> None:
        """A call of one of the user's jobs cost so many micro-dollars; None where nobody knows."""
        for gate in call.gates:
            rules = self._keeper.policies.rules(gate)
            if rules.budget is None and rules.budget_per_user is None:
                continue
            micros = self._known(gate, cost)
            if micros and rules.budget is not None:
                self._charge(gate, rules.budget, micros)
            if micros and rules.budget_per_user is not None and user:
                self.purses.spend(_key(gate, user), micros)

    def _known(self, gate: str, cost: float | None) -> int:
        """What counts of it: nothing where that is not known."""
        micros = counted(cost)
        if micros is not None:
            return micros
        if cost is not None and cost > MOST_A_CALL:
            self._warn(gate, f"a call to %s that is said to cost more than {money(MOST_A_CALL)} does not count")
        else:
            self._warn(gate, "%s has a budget, but what its calls cost is not known: give prices")
        return 0

    def _warn(self, gate: str, message: str) -> None:
        """Once of each gate."""
        if (gate, message) not in self._warned:
            self._warned.add((gate, message))
            _log.warning(message, gate)

    def _charge(self, gate: str, budget: Budget, micros: int) -> None:
        keeper = self._keeper
        left = budget.micros - spent(keeper.board.view(gate).upstream.spending, budget, keeper.clock.now())
        keeper.tallies.spend(gate, micros, urgent_from=left // SHARE)
        if keeper.tallies.urgent:
            keeper.hurry()

    async def told(self, call: Call, user: str) -> None:
        """Return once the store knows what a call cost, where that may stop others; after some seconds in any case."""
        for gate in call.gates:
            if self._keeper.tallies.pressing(gate):
                await self._keeper.told(gate)
        for gate, budget in self._of_users(call.gates, user):
            with suppress(EngineUnavailable):
                await self.purses.tell(_key(gate, user), budget)

    # whom that stops ------------------------------------------------------------------------------------------

    def concern(self, gates: Iterable[str], user: str) -> bool:
        """Whether one of the gates has a budget for each user."""
        return bool(self._of_users(gates, user))

    async def check(self, gates: Iterable[str], user: str) -> None:
        """Raise OutOfBudget where the user has spent a budget; the store is asked, where it answers."""
        for gate, _ in self._of_users(gates, user):
            with suppress(EngineUnavailable):
                await self.purses.read(_key(gate, user))
        self.refuse(gates, user)

    def refuse(self, gates: Iterable[str], user: str) -> None:
        """The same, as far as this process knows: for callers that can't wait."""
        for gate, budget in self._of_users(gates, user):
            until = self.purses.until(_key(gate, user), budget)
            if until is not None:
                raise OutOfBudget(gate.partition(":")[2], until, str(budget))

    async def spent_out(self, gates: Iterable[str], user: str) -> tuple[str, datetime] | None:
        """The upstream for which the user has no money, and until when; as it was a second ago at the most."""
        found = []
        for gate, budget in self._of_users(gates, user):
            with suppress(EngineUnavailable):
                await self.purses.read(_key(gate, user), FRESH)
            until = self.purses.until(_key(gate, user), budget)
            if until is not None:
                found.append((gate.partition(":")[2], until))
        return max(found, key=lambda each: each[1], default=None)

    def _of_users(self, gates: Iterable[str], user: str) -> Sequence[tuple[str, Budget]]:
        """The gates that have a budget for each user, and hold back at all; nobody's jobs have none."""
        if not user or not self._keeper.policies.bounds_users:
            return ()
        now, view = self._keeper.clock.now(), self._keeper.board.view
        budgets = [(gate, self._keeper.policies.rules(gate).budget_per_user) for gate in gates]
        return [
            (gate, budget)
            for gate, budget in budgets
            if budget is not None and word_at(view(gate).upstream, now) is not Override.OFF
        ]

    # duty -----------------------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Tell what could not be told, and forget what is over, until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(self._keeper.to.every.total_seconds())
            rounds += 1
            try:
                await self._tell_all()
                if self._keeper.policies.bounds_users and rounds % PRUNE_EVERY == 0:
                    await self.prune()
            except EngineUnavailable:
                continue
            except Exception as exc:  # a duty that silently ended would lose what is owed
                _log.error("what users spent could not be told, and will be", exc_info=exc)

    async def close(self) -> None:
        """Tell what the store does not know yet, where it answers."""
        for gate in self._keeper.tallies.owing():
            await self._keeper.told(gate)
        with suppress(EngineUnavailable):
            await self._tell_all()

    async def prune(self) -> None:
        """Forget what was spent in windows that are over; raises EngineUnavailable."""
        await self.purses.prune()

    async def _tell_all(self) -> None:
        for key in self.purses.owing():
            budget = self._keeper.policies.rules(gate_of(UPSTREAM, key.partition("/")[0])).budget_per_user
            if budget is not None:
                await self.purses.tell(key, budget)


def _key(gate: str, user: str) -> str:
    """A purse's: no upstream's name has a slash."""
    return f"{gate.partition(':')[2]}/{user}"
