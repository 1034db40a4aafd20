"""Twins wait for one another: requests under one idempotency key go one after the other."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from weakref import WeakValueDictionary

from tidegate.requests import JobRequest


class Turns:
    """The turns of one application, so that twins in a race count against a limit once.

    That holds in this process. Between processes the twins of a single job share one grant; those of a batch may each
    count once more, for as long as the race lasts.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def turn(self, asked: JobRequest) -> AbstractAsyncContextManager[None]:
        """Wait for the twins that came before."""
        if asked.idempotency_key is None:
            return nullcontext()
        return self._lock(asked.user_id, asked.idempotency_key)

    @asynccontextmanager
    async def turns(self, asked: Iterable[JobRequest]) -> AsyncIterator[None]:
        """Wait for the twins of every one of them; taken in one order, so that no two wait for each other."""
        keys = {(one.user_id, one.idempotency_key) for one in asked if one.idempotency_key is not None}
        async with AsyncExitStack() as stack:
            for user_id, key in sorted(keys):
                await stack.enter_async_context(self._lock(user_id, key))
            yield

    def _lock(self, user_id: str, key: str) -> asyncio.Lock:
        return self._locks.setdefault((user_id, key), asyncio.Lock())
