"""Documents and the gates they imply."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.core.verbs import Document, Swap, Swapped
from tidegate.engines.sql.codec import micros, stamp
from tidegate.engines.sql.postgres.store import Store
from tidegate.errors import InvalidInput

_LOAD: Final = "SELECT key, version, value FROM tidegate.documents WHERE kind = $1 AND key = ANY ($2::text[])"
_SCAN: Final = """
SELECT key, version, value FROM tidegate.documents
WHERE kind = $1 AND key > $2 AND value IS NOT NULL ORDER BY key LIMIT $3
"""
_SWAP: Final = """
SELECT won, version, value, wrong, above FROM tidegate.swap(
    $1, $2, $3, $4, $5, $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[]
)
"""


class _Stored(msgspec.Struct, array_like=True):
    key: str
    version: int
    value: bytes | None


class _Swapped(msgspec.Struct, array_like=True):
    won: bool
    version: int
    value: bytes | None
    wrong: str | None
    above: int | None


async def load(store: Store, kind: str, keys: Sequence[str]) -> list[Document]:
    """See `ports.Documents.load`."""
    rows = await store.rows(_Stored, _LOAD, kind, list(dict.fromkeys(keys)))
    found = {row.key: _document(kind, row) for row in rows}
    return [found.get(key, Document(kind=kind, key=key)) for key in keys]


async def scan(store: Store, kind: str, after: str, limit: int) -> list[Document]:
    """See `ports.Documents.scan`."""
    return [_document(kind, row) for row in await store.rows(_Stored, _SCAN, kind, after, max(limit, 0))]


def _document(kind: str, row: _Stored) -> Document:
    return Document(kind=kind, key=row.key, version=row.version, value=row.value)


async def swap(store: Store, swap: Swap) -> Swapped:
    """See `ports.Documents.swap`."""
    gates = swap.gates
    columns = (
        [gate.name for gate in gates],
        [None if gate.not_before is None else stamp(gate.not_before) for gate in gates],
        [gate.limit for gate in gates],
        [None if gate.pace is None else micros(gate.pace.period) for gate in gates],
        [None if gate.pace is None else gate.pace.burst for gate in gates],
        [gate.era for gate in gates],
    )
    told = (swap.kind, swap.key, swap.value, swap.expected, swap.nonce)
    (row,) = await store.rows(_Swapped, _SWAP, *told, *columns)
    if row.wrong is not None:
        raise InvalidInput("gates", f"{row.wrong} had no limit: it may get one only with an era above {row.above}")
    store.ring({"gates"} if row.won and gates else ())
    return Swapped(row.won, Document(kind=swap.kind, key=swap.key, version=row.version, value=row.value))
