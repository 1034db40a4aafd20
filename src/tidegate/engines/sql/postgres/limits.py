"""take and give_back: exact sliding windows."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from tidegate.core.verbs import Take, Taken
from tidegate.engines.sql.codec import micros
from tidegate.engines.sql.postgres.store import Store

_TAKE: Final = """
SELECT granted, remaining, frees_in FROM tidegate.take($1, $2, $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
"""
_GIVE_BACK: Final = "DELETE FROM tidegate.grants WHERE nonce = $1"


async def take(store: Store, takes: Sequence[Take], nonce: str) -> list[Taken]:
    """See `ports.Documents.take`."""
    columns = (
        [take.key for take in takes],
        [take.n for take in takes],
        [take.limit for take in takes],
        [micros(take.window) for take in takes],
    )
    rows = await store.rows(tuple[bool, int, int | None], _TAKE, store.now, nonce, *columns)
    return [
        Taken(granted=granted, remaining=remaining, retry_after=_after(take, frees_in))
        for take, (granted, remaining, frees_in) in zip(takes, rows, strict=True)
    ]


def _after(take: Take, frees_in: int | None) -> timedelta:
    return take.window if frees_in is None else timedelta(microseconds=frees_in)


async def give_back(store: Store, nonce: str) -> None:
    """See `ports.Documents.give_back`."""
    await store.fetch(_GIVE_BACK, nonce)
