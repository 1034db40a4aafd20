"""Documents, the gates they imply, and windows."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from tidegate.core.verbs import Document, Gate, Swap, Swapped, Take, Taken
from tidegate.engines.redis.codec import duration, micros, stamp
from tidegate.engines.redis.scripts import Scripts
from tidegate.engines.redis.wire import Part
from tidegate.errors import InvalidInput

_BATCH: Final = 1_000


async def load(scripts: Scripts, kind: str, keys: Sequence[str]) -> list[Document]:
    """See `ports.Documents.load`."""
    found: list[Document] = []
    for first in range(0, len(keys), _BATCH):
        batch = keys[first : first + _BATCH]
        told = await scripts.run("load", kind, *batch)
        for key, version, value in zip(batch, told[::2], told[1::2], strict=True):
            found.append(Document(kind=kind, key=key, version=int(version or 0), value=value))
    return found


async def scan(scripts: Scripts, kind: str, after: str, limit: int) -> list[Document]:
    """See `ports.Documents.scan`."""
    told = await scripts.run("scan", kind, after, max(limit, 0))
    rows = zip(told[::3], told[1::3], told[2::3], strict=True)
    return [
        Document(kind=kind, key=key.decode(), version=int(version or 0), value=value)
        for key, version, value in rows
        if key is not None
    ]


async def swap(scripts: Scripts, swap: Swap) -> Swapped:
    """See `ports.Documents.swap`."""
    value, has_value = (b"", "0") if swap.value is None else (swap.value, "1")
    gates = [part for gate in swap.gates for part in _gate(gate)]
    told = await scripts.run("swap", swap.kind, swap.key, swap.expected, swap.nonce, has_value, value, *gates)
    if told[0] == b"refused":
        name, era = (part.decode() for part in told[1:] if part is not None)
        raise InvalidInput("gates", f"{name} had no limit: it may get one only with an era above {era}")
    won, version, stored = told
    return Swapped(won == b"1", Document(kind=swap.kind, key=swap.key, version=int(version or 0), value=stored))


def _gate(gate: Gate) -> tuple[Part, ...]:
    """One gate as the script takes it, "" for what it has not."""
    return (
        gate.name,
        "" if gate.not_before is None else stamp(gate.not_before),
        "" if gate.limit is None else gate.limit,
        "" if gate.pace is None else micros(gate.pace.period),
        "" if gate.pace is None else gate.pace.burst,
        gate.era,
    )


async def take(scripts: Scripts, takes: Sequence[Take], nonce: str) -> list[Taken]:
    """See `ports.Documents.take`."""
    asked = [part for take in takes for part in (take.key, take.n, take.limit, micros(take.window))]
    told = await scripts.run("take", nonce, *asked)
    rows = zip(told[::3], told[1::3], told[2::3], strict=True)
    return [
        Taken(granted=granted == b"1", remaining=int(remaining or 0), retry_after=_after(after))
        for granted, remaining, after in rows
    ]


def _after(microseconds: bytes | None) -> timedelta:
    return duration(int(microseconds or 0))


async def give_back(scripts: Scripts, nonce: str) -> None:
    """See `ports.Documents.give_back`."""
    await scripts.run("give_back", nonce)
