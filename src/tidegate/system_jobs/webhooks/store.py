"""The documents of webhooks, changed by compare-and-swap."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tidegate.core.verbs import Document, Swap
from tidegate.errors import EngineUnavailable
from tidegate.ports import Documents
from tidegate.system_jobs.webhooks.endpoint import KIND, Endpoint, decode, encode

PAGE: Final = 200

MOST_TRIES: Final = 20
"""Swaps lost in a row before the store counts as not to be reached: each was lost to one that won."""

Change = Callable[[Endpoint], Endpoint]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the store has of webhooks. Every call raises EngineUnavailable."""

    engine: Documents
    nonce: Callable[[], str]

    async def all(self) -> list[Endpoint]:
        """All of them, by id."""
        found: list[Document] = []
        while len(page := await self.engine.scan(KIND, found[-1].key if found else "", PAGE)) == PAGE:
            found += page
        known = (decode(document.key, document.value) for document in found + page)
        return [endpoint for endpoint in known if endpoint is not None]

    async def get(self, webhook_id: str) -> Endpoint | None:
        """One of them."""
        found, _ = await self.seen(webhook_id)
        return found

    async def seen(self, webhook_id: str) -> tuple[Endpoint | None, bool]:
        """One of them, and whether there ever was one of that id."""
        [document] = await self.engine.load(KIND, [webhook_id])
        return decode(webhook_id, document.value), document.version > 0

    async def add(self, endpoint: Endpoint) -> bool:
        """Keep a new one; False where there was ever one of that id, which is left as it is."""
        swap = Swap(kind=KIND, key=endpoint.id, value=encode(endpoint), expected=0, nonce=self.nonce())
        return (await self.engine.swap(swap)).won

    async def change(self, webhook_id: str, change: Change) -> Endpoint | None:
        """The one that `change` makes of what is stored, whatever else happens to it meanwhile; None if it is gone."""
        [document] = await self.engine.load(KIND, [webhook_id])
        for _ in range(MOST_TRIES):
            before = decode(webhook_id, document.value)
            if before is None:
                return None
            after = change(before)
            if after == before:
                return before
            swapped = await self.engine.swap(self._swap(document, encode(after)))
            if swapped.won:
                return after
            document = swapped.document
        raise EngineUnavailable("this webhook is being changed by too many at once; try again")

    async def remove(self, webhook_id: str) -> None:
        """Forget one, if it is there."""
        [document] = await self.engine.load(KIND, [webhook_id])
        for _ in range(MOST_TRIES):
            if document.value is None:
                return
            swapped = await self.engine.swap(self._swap(document, None))
            if swapped.won:
                return
            document = swapped.document
        raise EngineUnavailable("this webhook is being changed by too many at once; try again")

    def _swap(self, document: Document, value: bytes | None) -> Swap:
        return Swap(kind=KIND, key=document.key, value=value, expected=document.version, nonce=self.nonce())
