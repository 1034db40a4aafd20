"""Stores for measuring: each empty, and gone afterwards; what else lies on a server is left alone."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from tidegate.config import Settings, load
from tidegate.errors import ConfigError

_NAMES: Final = {"redis": "namespace", "rediss": "namespace", "unix": "namespace", "postgresql": "schema"}


@asynccontextmanager
async def empty(url: str) -> AsyncIterator[str]:
    """The URL of an empty store: `{dir}` is a folder of its own, on a server it is a namespace or schema of its own.

    Raises ConfigError for a URL that names a namespace or schema itself: what is measured is dropped.
    """
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        url = url.format(dir=folder).replace("postgres://", "postgresql://", 1)
        option = _NAMES.get(url.partition("://")[0])
        if option is None:
            yield url
            return
        own = _with_own(url, option)
        try:
            yield own
        finally:
            await (_drop_keys(own) if option == "namespace" else _drop_schema(own))


@asynccontextmanager
async def settings(url: str, *, slots: int) -> AsyncIterator[Settings]:
    """Settings of an application on an empty store, with a data folder of its own."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        async with empty(url) as own:
            yield load(engine=own, data_dir=Path(folder), slots=slots)


def _with_own(url: str, option: str) -> str:
    place, _, query = url.partition("?")
    options = dict(parse_qsl(query))
    if option in options:
        raise ConfigError(f"leave ?{option}= out: each measurement makes one of its own, and drops it")
    return f"{place}?{urlencode({**options, option: f'bench_{uuid4().hex[:12]}'})}"


async def _drop_keys(url: str) -> None:
    from tidegate.engines.redis.address import read_address
    from tidegate.engines.redis.connection import Links

    address = read_address(url)
    links, cursor = Links(address, lambda _: None), b""
    try:
        while cursor != b"0":
            page = await links.here().ask("SCAN", cursor or b"0", "MATCH", f"{address.prefix}*", "COUNT", "1000")
            cursor, keys = cast("tuple[bytes, list[bytes]]", page)
            if keys:
                await links.here().ask("UNLINK", *keys)
    finally:
        await links.close()


async def _drop_schema(url: str) -> None:
    import asyncpg

    from tidegate.engines.sql.postgres.address import address

    where = address(url)
    connection = await asyncpg.connect(where.dsn)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {where.schema} CASCADE")
    finally:
        await connection.close()
