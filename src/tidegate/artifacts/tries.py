"""The three tries of every call to an artifact store (REQUIREMENTS E2)."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from tidegate.artifacts.faults import STORE_FAULTS, Errand, artifact_error
from tidegate.core.retry import Backoff, delay
from tidegate.errors import ArtifactUnavailable

T = TypeVar("T")


class Tries:
    """At most `attempts` tries with `backoff` between them; `dice` in [0, 1) picks the jitter."""

    def __init__(
        self,
        attempts: int,
        backoff: Backoff,
        *,
        dice: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._attempts = attempts
        self._backoff = backoff
        self._dice = dice
        self._sleep = sleep

    async def run(self, errand: Errand, call: Callable[[], Awaitable[T]]) -> T:
        """The answer of `call`, which starts from the beginning each time; raises ArtifactError."""
        for attempt in count(1):
            try:
                return await call()
            except STORE_FAULTS as fault:
                await self.pause(attempt, errand, fault)
        raise AssertionError("count() never ends")

    async def pause(self, attempt: int, errand: Errand, fault: Exception) -> None:
        """Wait before the try after number `attempt`; raises ArtifactError when there shall be none."""
        error = artifact_error(fault, errand, attempt)
        if attempt >= self._attempts or not isinstance(error, ArtifactUnavailable):
            raise error from fault
        await self._sleep(delay(self._backoff, attempt, dice=self._dice()).total_seconds())
