"""Stores on servers of the tests' own, and their keys."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import cast

from tests.conformance.harness import Harness
from tests.servers.valkey import Valkey
from tidegate.clock import FakeClock
from tidegate.engines.redis.address import read_address
from tidegate.engines.redis.connection import Links
from tidegate.engines.redis.engine import RedisEngine
from tidegate.engines.redis.wire import Part, Reply
from tidegate.ports import Engine

_numbers = count(1)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Harness]:
    """An engine at `url` whose clock the test moves."""
    clock = FakeClock()

    @asynccontextmanager
    async def other() -> AsyncIterator[Engine]:
        async with RedisEngine(url, clock) as second:
            yield second

    async with RedisEngine(url, clock) as engine:
        yield Harness("valkey", engine, clock, other, by_given_ranks=True)


def fresh_url(server: Valkey, **options: str) -> str:
    """A namespace that no other test has, and no promise of durability."""
    return server.url(**{"durability": "none", "namespace": f"n{next(_numbers)}", **options})


@dataclass
class Keyspace:
    """What stands in a server, beside the engine's back."""

    links: Links

    async def ask(self, *parts: Part) -> Reply:
        """Any command."""
        return await self.links.here().ask(*parts)

    async def keys(self, pattern: str = "*") -> list[str]:
        """The names of all keys."""
        return sorted(key.decode() for key in cast("list[bytes]", await self.ask("KEYS", pattern)))

    async def dump(self, pattern: str = "*") -> Mapping[str, Reply]:
        """Everything, as the server itself would write it down."""
        return {key: await self.ask("DUMP", key) for key in await self.keys(pattern)}


@asynccontextmanager
async def keyspace(server: Valkey) -> AsyncIterator[Keyspace]:
    """The keys of a server."""
    links = Links(read_address(server.url()), lambda _: None)
    try:
        yield Keyspace(links)
    finally:
        await links.close()
