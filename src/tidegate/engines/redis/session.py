"""Several calls over one connection, whose lines' numbers hold for all of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.engines.redis.codec import Kinds
from tidegate.engines.redis.lines import Lines
from tidegate.engines.redis.records import lines_of
from tidegate.engines.redis.scripts import Answer, Scripts
from tidegate.engines.redis.wire import Part, Wire
from tidegate.errors import EngineUnavailable, SchemaMismatch

_MOST_ASKED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, once it is open; when it is lost meanwhile, the rest of the calls fails."""

    scripts: Scripts
    wire: Wire

    @property
    def lines(self) -> Lines:
        """What the connection was told of lines."""
        return self.wire.lines

    async def run(self, name: str, *args: Part) -> Answer:
        """The answer of one verb's script."""
        return await self.scripts.run_on(self.wire, name, *args)

    async def values(self, *names: str) -> Answer:
        """What stands at these keys."""
        return await self.scripts.values_on(self.wire, *names)

    async def tell_lines(self, name: str, args: Callable[[Lines], Sequence[Part]]) -> Answer:
        """The answer of a script that is told lines, by number where that is known; by name once it denies one."""
        answer = await self.run(name, self.lines.life, *args(self.lines))
        while answer == [b"lines"]:
            self.lines.forget()
            answer = await self.run(name, self.lines.life, *args(self.lines))
        return answer

    async def kinds(self, life: bytes | None, records: Iterable[bytes]) -> Kinds:
        """At least the lines that these records name, read together with the store's life."""
        known = self.lines.heed(life)
        wanted = {number for data in records for number in lines_of(data)}
        if wanted <= known.keys():
            return known
        return await self._learn(life, sorted(wanted - known.keys()))

    async def up_to(self, life: bytes | None, count: int) -> Kinds:
        """At least the first so many lines."""
        known = self.lines.heed(life)
        if len(known) >= count:
            return known
        return await self._learn(life, [number for number in range(1, count + 1) if number not in known])

    async def _learn(self, life: bytes | None, numbers: list[int]) -> Kinds:
        known: Kinds = self.lines.known
        for first in range(0, len(numbers), _MOST_ASKED):
            asked = numbers[first : first + _MOST_ASKED]
            told, *names = await self.run("lines", *asked)
            if (told or b"") != (life or b""):
                raise EngineUnavailable("the store lost its jobs during the call")
            known = self.lines.heed(told)
            for number, name in zip(asked, names, strict=True):
                if name is None:
                    raise SchemaMismatch(f"the store is damaged: it does not know its line {number}")
                self.lines.add(number, name)
        return known


async def reading(scripts: Scripts) -> Session:
    """A session that only reads."""
    return Session(scripts, await scripts.wire(writes=False))


async def writing(scripts: Scripts) -> Session:
    """A session that may write."""
    return Session(scripts, await scripts.wire(writes=True))
