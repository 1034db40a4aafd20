"""Engines that are wrong in one way each: the suite is as good as the bugs that it catches."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from tidegate.clock import Clock
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.claiming import Claim
from tidegate.engines.memory.documents import Papers
from tidegate.engines.memory.state import State


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug, and the promises it breaks: a clause of each must fail."""

    name: str
    promises: tuple[str, ...]
    open: Callable[[Clock], MemoryEngine]


MUTANTS: Final[list[Mutant]] = []
"""All that were planted, filled by `breaks`."""


class Patched(MemoryEngine):
    """The memory engine with one of its parts replaced."""

    def __init__(self, clock: Clock, part: type[Claim] | type[State] | type[Papers]) -> None:
        super().__init__(clock)
        self._claim = part if issubclass(part, Claim) else Claim
        if issubclass(part, State):
            self._state = part()
        self._papers = part(self._state) if issubclass(part, Papers) else Papers(self._state)

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """As ever, by the part that was replaced."""
        with self._lock:
            return self._claim(self._state, request, nonce, self._clock.now()).answer()


Part = TypeVar("Part", bound=type[MemoryEngine] | type[Claim] | type[State] | type[Papers])


def _open(part: type[MemoryEngine] | type[Claim] | type[State] | type[Papers], clock: Clock) -> MemoryEngine:
    return part(clock) if issubclass(part, MemoryEngine) else Patched(clock, part)


def breaks(*promises: str) -> Callable[[Part], Part]:
    """Plant a broken engine, or a part to break one with."""

    def plant(part: Part) -> Part:
        MUTANTS.append(Mutant(part.__name__, promises, partial(_open, part)))
        return part

    return plant
