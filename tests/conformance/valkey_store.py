"""The store "valkey": one server for each process that runs tests, a fresh namespace for each test."""

import atexit
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import cast

from tests.conformance.harness import Harness
from tests.servers.valkey import chosen, valkey
from tidegate.clock import FakeClock
from tidegate.engines.redis.address import Address, read_address
from tidegate.engines.redis.connection import Links
from tidegate.engines.redis.engine import RedisEngine
from tidegate.ports import Engine

_numbers = count(1)


@cache
def _base_url() -> str:
    """The server of this process: the one that the environment names, or its own."""
    if "://" in chosen():
        return chosen()
    server = ExitStack()
    atexit.register(server.close)
    return server.enter_context(valkey()).url()


@asynccontextmanager
async def namespace() -> AsyncIterator[str]:
    """The URL of a namespace that nobody else has, emptied afterwards."""
    url = f"{_base_url()}?durability=none&timeout=30&namespace=t{os.getpid()}.{next(_numbers)}"
    try:
        yield url
    finally:
        await empty(read_address(url))


@asynccontextmanager
async def store(path: Path) -> AsyncIterator[Harness]:
    """The engine on a namespace of its own."""
    clock = FakeClock()
    async with namespace() as url:

        @asynccontextmanager
        async def other() -> AsyncIterator[Engine]:
            async with RedisEngine(url, clock) as second:
                yield second

        async with RedisEngine(url, clock) as engine:
            yield Harness("valkey", engine, clock, other, by_given_ranks=True)


async def empty(address: Address) -> None:
    """Remove every key of a namespace."""
    links = Links(address, lambda _: None)
    pattern = address.prefix.replace("[", "\\[") + "*"
    cursor = b"0"
    while True:
        reply = await links.here().ask("SCAN", cursor, "MATCH", pattern, "COUNT", 10_000)
        cursor, keys = cast("tuple[bytes, list[bytes]]", reply)
        if keys:
            await links.here().ask("UNLINK", *keys)
        if cursor == b"0":
            return await links.close()
