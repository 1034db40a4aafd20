"""What the conformance suite asks of a store under test: fresh, private, its clock in the test's hand."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tidegate.clock import FakeClock
from tidegate.engines.memory import MemoryEngine
from tidegate.ports import Engine


@dataclass(frozen=True, slots=True)
class Harness:
    """One store: `engine` to drive, `clock` to move.

    `other` opens a second client on the same store, where the engine has such a thing; for engines that
    live in one process it is the same engine again. `reopen` closes the store and opens it again.
    """

    name: str
    engine: Engine
    clock: FakeClock
    other: Callable[[], AbstractAsyncContextManager[Engine]]

    def advance(self, seconds: float) -> None:
        """Let time pass in the store."""
        self.clock.advance(timedelta(seconds=seconds))


@asynccontextmanager
async def memory(path: Path) -> AsyncIterator[Harness]:
    """The executable specification itself."""
    clock = FakeClock()
    async with MemoryEngine(clock) as engine:

        @asynccontextmanager
        async def other() -> AsyncIterator[Engine]:
            yield engine

        yield Harness("memory", engine, clock, other)


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Harness]]] = {"memory": memory}
"""Every engine there is. None may skip, subclass or override a clause."""


def promises() -> frozenset[str]:
    """The names of all promises in `ports.py`."""
    import tidegate.ports

    source = Path(tidegate.ports.__file__).read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\s*\[([a-z]+(?:-[a-z]+)*\.[a-z-]+)\]", source, flags=re.MULTILINE))
