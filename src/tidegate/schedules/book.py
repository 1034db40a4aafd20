"""The schedules in the store: read, and changed by compare-and-swap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tidegate.core.job import Owner
from tidegate.core.verbs import ClaimRequest, Document, Swap
from tidegate.errors import EngineUnavailable, Refused
from tidegate.ports import Engine
from tidegate.schedules.plans import KIND, Standing, decode, encode, key_of

PAGE: Final = 200

MOST_TRIES: Final = 50
"""Swaps that lose in a row before somebody is told to come again: each was lost to one that won."""

Change = Callable[[Standing | None], Standing | None]
"""Makes what shall be stored of what is; None is no schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A schedule as it was read; `standing` is None where there is none."""

    key: str
    version: int
    standing: Standing | None


class Book:
    """Every method raises EngineUnavailable; after it a change may have been made or not, and may be repeated."""

    def __init__(self, engine: Engine, nonce: Callable[[], str]) -> None:
        self._engine = engine
        self._nonce = nonce

    async def all(self) -> list[Record]:
        """Every schedule, by name and then by user."""
        found: list[Document] = []
        while len(page := await self._engine.scan(KIND, found[-1].key if found else "", PAGE)) == PAGE:
            found += page
        records = [_record(document) for document in found + page]
        return [record for record in records if record.standing is not None]

    async def load(self, keys: Sequence[str]) -> list[Record]:
        """The schedules under these keys."""
        return [_record(document) for document in await self._engine.load(KIND, keys)]

    async def find(self, name: str, user_id: str | None) -> Record | None:
        """That user's schedule; for None anybody's. Raises Refused where that could be several users'."""
        [first] = await self.load([key_of(name, user_id or "")])
        found = [first] if first.standing is not None else []
        if user_id is None:
            after = key_of(name, "")
            page = [_record(document) for document in await self._engine.scan(KIND, after, PAGE)]
            found += [one for one in page if one.key.startswith(after) and one.standing is not None]
        if len(found) > 1:
            raise Refused(f"{len(found)} users have a schedule {name!r}: ask as one of them")
        return found[0] if found else None

    async def change(self, key: str, change: Change, seen: Record | None = None) -> tuple[Record, bool]:
        """What is stored once `change` is made to it, and whether this call changed anything.

        `seen` saves a read where it is still what is stored.
        """
        for _ in range(MOST_TRIES):
            if seen is None:
                [seen] = await self.load([key])
            changed = change(seen.standing)
            if changed == seen.standing:
                return seen, False
            value = None if changed is None else encode(changed)
            swap = Swap(kind=KIND, key=key, value=value, expected=seen.version, nonce=self._nonce())
            swapped = await self._engine.swap(swap)
            seen = _record(swapped.document)
            if swapped.won:
                return seen, True
        raise EngineUnavailable(f"schedule {key!r} changes too fast to be changed")

    async def present(self) -> datetime:
        """The store's present: by its clock schedules begin, and ticks are due."""
        asked = ClaimRequest(
            owner=Owner(self._nonce()), turns=(), types=frozenset(), limit=0, lease_for=timedelta(seconds=1)
        )
        return (await self._engine.claim(asked, self._nonce())).at


def _record(document: Document) -> Record:
    return Record(key=document.key, version=document.version, standing=decode(document.value))
