"""announce, workers, holders: who is at work."""

from datetime import timedelta
from typing import Final

import msgspec

from tidegate.core.job import Owner
from tidegate.core.query import WorkerInfo
from tidegate.engines.redis.codec import micros
from tidegate.engines.redis.scripts import Scripts

_info: Final = msgspec.json.Decoder(WorkerInfo)


async def announce(scripts: Scripts, worker: WorkerInfo, live_for: timedelta) -> None:
    """See `ports.Presence.announce`."""
    await scripts.run("announce", worker.owner, msgspec.json.encode(worker), micros(live_for))


async def workers(scripts: Scripts) -> list[WorkerInfo]:
    """See `ports.Presence.workers`."""
    told = await scripts.run("workers")
    return sorted((_info.decode(text) for text in told if text is not None), key=lambda worker: worker.owner)


async def holders(scripts: Scripts) -> list[Owner]:
    """See `ports.Presence.holders`."""
    return sorted(Owner(owner.decode()) for owner in await scripts.run("holders") if owner is not None)
