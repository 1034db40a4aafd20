"""announce, workers, holders: who is at work."""

from datetime import timedelta
from typing import Final

import msgspec

from tidegate.core.job import Owner
from tidegate.core.query import WorkerInfo
from tidegate.engines.sql.codec import micros
from tidegate.engines.sql.postgres.store import NOW, Store

_ANNOUNCE: Final = f"""
INSERT INTO tidegate.workers (owner, info, until) VALUES ($2, $3, {NOW} + $4::bigint)
ON CONFLICT (owner) DO UPDATE SET info = excluded.info, until = excluded.until
"""
_WORKERS: Final = f"SELECT info FROM tidegate.workers WHERE until > {NOW} ORDER BY owner"
_HOLDERS: Final = "SELECT DISTINCT owner FROM tidegate.jobs WHERE lease_until IS NOT NULL ORDER BY owner"

_info: Final = msgspec.json.Decoder(WorkerInfo)


async def announce(store: Store, worker: WorkerInfo, live_for: timedelta) -> None:
    """See `ports.Presence.announce`; who is gone for long is forgotten by `prune`."""
    info = msgspec.json.encode(worker).decode()
    await store.fetch(_ANNOUNCE, store.now, worker.owner, info, micros(live_for))


async def workers(store: Store) -> list[WorkerInfo]:
    """See `ports.Presence.workers`."""
    return [_info.decode(info) for (info,) in await store.rows(tuple[str], _WORKERS, store.now)]


async def holders(store: Store) -> list[Owner]:
    """See `ports.Presence.holders`."""
    return [Owner(owner) for (owner,) in await store.rows(tuple[str], _HOLDERS)]
