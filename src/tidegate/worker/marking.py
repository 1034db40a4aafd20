"""Calls that a handler marks by `ctx.upstream`."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from tidegate.context import Spent
from tidegate.core.text import check_name
from tidegate.core.verbs import Pace
from tidegate.errors import UpstreamUnavailable
from tidegate.upstreams import Call
from tidegate.worker.calling import Calls

PATIENCE: Final = 15.0
"""Seconds that a thread waits for what the store is told or asked; that gives up before."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The guard of one run: see `context.Guard`."""

    calls: Calls

    def upstream(self, name: str, parents: tuple[str, ...]) -> "Marked":
        """A call that the handler marks; raises InvalidInput for what is no name."""
        shared = parents or self.calls.to.policies.parents(name)
        return Marked(self.calls, check_name("upstream", name), tuple(check_name("parents", each) for each in shared))


class Marked:
    """One marked call: see `context.UpstreamCall`.

    It is over only when the store knows what it cost, where that may stop others.
    """

    def __init__(self, calls: Calls, name: str, parents: tuple[str, ...]) -> None:
        self._calls = calls
        self._name = name
        self._parents = parents
        self._call: Call | None = None
        self._began = 0.0
        self._gates = Call(upstream=name, parents=parents).gates
        self._owes = False

    def __enter__(self) -> Self:
        self._calls.mark(self._name)
        loop, budgets = None if _on_a_loop() else self._calls.to.keeper.loop, self._calls.to.budgets
        if loop is not None and budgets.concern(self._gates, self._calls.user):
            _wait_for(budgets.check(self._gates, self._calls.user), loop)
        else:
            budgets.refuse(self._gates, self._calls.user)
        try:
            self._call = self._calls.enter(self._name, self._parents)
        except UpstreamUnavailable as refused:
            if refused.until is not None or loop is None:
                raise
            borrowed = asyncio.run_coroutine_threadsafe(self._calls.borrow(self._name, self._parents), loop)
            self._call = borrowed.result()
        return self._entered()

    def _entered(self) -> Self:
        self._began = self._calls.clock.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._left(error)
        loop = self._calls.to.keeper.loop
        if self._owes and loop is not None and not _on_a_loop():
            _wait_for(self._paid(), loop)

    def _left(self, error: BaseException | None) -> None:
        if self._call is not None:
            self._calls.leave(self._call, self._began, error)

    async def _paid(self) -> None:
        if self._call is not None:
            await self._calls.to.budgets.told(self._call, self._calls.user)

    async def __aenter__(self) -> Self:
        self._calls.mark(self._name)
        await self._calls.to.budgets.check(self._gates, self._calls.user)
        try:
            self._call = self._calls.enter(self._name, self._parents)
        except UpstreamUnavailable as refused:
            if refused.until is not None:
                raise
            self._call = await self._calls.borrow(self._name, self._parents)
        return self._entered()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._left(error)
        if self._owes and not isinstance(error, asyncio.CancelledError):
            await self._paid()

    def hint(self, retry_after: timedelta | None, pace: Pace | None) -> None:
        """Pass on what an answer's headers told."""
        if self._call is not None:
            self._calls.to.hinted(self._call, retry_after, pace)

    def may_retry(self) -> bool:
        """Whether the fleet's budget allows one more."""
        return self._call is not None and self._calls.to.may_retry(self._call)

    def spent(self, usage: Spent) -> None:
        """Add to the run's ledger, and count it against budgets."""
        self._calls.spent.append((self._name, usage))
        if self._call is not None:
            self._calls.to.budgets.spent(self._call, self._calls.user, usage.cost)
            self._owes = True


def _wait_for(work: Coroutine[object, object, None], loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop do it; a thread waits no longer for one that has stopped."""
    with suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
