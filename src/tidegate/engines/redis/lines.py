"""The lines that this process knows: their numbers never change, and none ever vanishes."""

from collections.abc import Iterable, Sequence

from tidegate.core.job import Lane
from tidegate.engines.redis.codec import Kinds, read_line
from tidegate.engines.redis.records import lines_of
from tidegate.engines.redis.scripts import Scripts
from tidegate.errors import SchemaMismatch

_MOST_ASKED = 1_000


class Lines:
    """The lane and type of every line met so far, by its number."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self.known: dict[int, tuple[Lane, str]] = {}
        self._numbers: dict[bytes, int] = {}

    def number(self, name: bytes) -> int | bytes:
        """The number of a line, or its name where that is not known: the scripts take either."""
        return self._numbers.get(name, name)

    def note(self, told: Sequence[bytes | None]) -> None:
        """Learn names and numbers, by turns, as the scripts tell them."""
        for name, number in zip(told[::2], told[1::2], strict=True):
            if name is not None and number is not None:
                self._add(int(number), name)

    def _add(self, number: int, name: bytes) -> None:
        self.known[number] = read_line(name)
        self._numbers[name] = number

    async def of(self, records: Iterable[bytes]) -> Kinds:
        """At least those that the records name."""
        wanted = {number for data in records for number in lines_of(data)}
        if not wanted <= self.known.keys():
            await self._learn(sorted(wanted - self.known.keys()))
        return self.known

    async def up_to(self, count: int) -> Kinds:
        """At least the first so many."""
        if len(self.known) < count:
            await self._learn([number for number in range(1, count + 1) if number not in self.known])
        return self.known

    async def _learn(self, numbers: list[int]) -> None:
        for first in range(0, len(numbers), _MOST_ASKED):
            asked = numbers[first : first + _MOST_ASKED]
            for number, name in zip(asked, await self._scripts.run("lines", *asked), strict=True):
                if name is None:
                    raise SchemaMismatch(f"the store is damaged: it does not know its line {number}")
                self._add(number, name)
