"""Many requests, one question: what they may, and what they count against, is asked of the store for all that meet."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from tidegate.batching import Batcher
from tidegate.clock import token
from tidegate.core.verbs import Take, Taken
from tidegate.errors import EngineError
from tidegate.ports import Documents


@dataclass(slots=True)
class Held:
    """What the store granted under one nonce, and how many requests hold it."""

    nonce: str
    holders: int = 1


@dataclass(frozen=True, slots=True)
class Counted:
    """What one request's takes came to, each as if the requests had come one after the other."""

    answers: Sequence[Taken]
    held: Held


class Counting:
    """Counts in the store; each method may raise EngineError. A request's takes are counted all, or none."""

    def __init__(self, store: Callable[[], Documents]) -> None:
        self._store = store
        self._together = Batcher(self._count)

    async def take(self, takes: Sequence[Take]) -> Counted:
        """Count a request, in one call with those that come meanwhile."""
        return await self._together.ask(takes)

    async def take_each(self, asked: Sequence[Sequence[Take]]) -> list[Counted | Exception]:
        """What `take` returns or raises for each of several requests that come together."""
        return await self._together.ask_all(asked)

    async def take_once(self, takes: Sequence[Take], nonce: str) -> Counted:
        """Count a request in a call of its own: under one nonce it counts once."""
        return Counted(await self._store().take(takes, nonce), Held(nonce))

    async def give_back(self, held: Held) -> None:
        """Uncount what nobody holds any more; where the store can't, the count goes with its window."""
        held.holders -= 1
        if held.holders == 0:
            with suppress(EngineError):
                await self._store().give_back(held.nonce)

    async def _count(self, asked: Sequence[Sequence[Take]]) -> list[Counted]:
        """Count all together. Where that is too much for some, those are asked for one by one, and the rest again."""
        if len(asked) == 1:
            return [await self.take_once(asked[0], token())]
        wanted, held = _sum(asked), Held(token(), len(asked))
        answers = dict(zip(wanted, await self._store().take(_takes(wanted), held.nonce), strict=True))
        full = {kind for kind, answer in answers.items() if not answer.granted}
        if not full:
            return _in_turn(asked, answers, held)
        rest = [takes for takes in asked if full.isdisjoint(_sum([takes]))]
        others = [takes for takes in asked if not full.isdisjoint(_sum([takes]))]
        alone = iter(await asyncio.gather(*(self.take_once(takes, token()) for takes in others)))
        together = iter(await self._count(rest) if rest else ())
        return [next(together if full.isdisjoint(_sum([takes])) else alone) for takes in asked]


def _sum(asked: Sequence[Sequence[Take]]) -> Counter[Take]:
    """How much is taken of each kind of take, as one of n 0."""
    wanted = Counter[Take]()
    for takes in asked:
        for take in takes:
            wanted[replace(take, n=0)] += take.n
    return wanted


def _takes(wanted: Counter[Take]) -> list[Take]:
    return [replace(take, n=n) for take, n in wanted.items()]


def _in_turn(asked: Sequence[Sequence[Take]], answers: dict[Take, Taken], held: Held) -> list[Counted]:
    """What each is told that was counted with the others: what the next ones took was left when it came."""
    left = {kind: answer.remaining for kind, answer in answers.items()}
    counted = []
    for takes in reversed(asked):
        kinds = [replace(take, n=0) for take in takes]
        counted.append(Counted([replace(answers[kind], remaining=left[kind]) for kind in kinds], held))
        for kind, take in zip(kinds, takes, strict=True):
            left[kind] += take.n
    return counted[::-1]
