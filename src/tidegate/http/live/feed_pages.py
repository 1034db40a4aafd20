"""The store's feed in pages: each step with whose it is, and with a place that a client can come back with."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tidegate.core.job import JobId
from tidegate.core.query import HistoryEntry
from tidegate.errors import InvalidInput
from tidegate.http.live.streams import message
from tidegate.http.schemas.events import FeedEvent
from tidegate.ports import JobReader

PAGE: Final = 200
"""Steps in one reading: every store has as many at hand, so that a shorter page is the feed's end."""

KNOWN: Final = 20_000
"""Jobs whose owner is remembered."""

_PLACE: Final = re.compile(r"(?P<cursor>[0-9][0-9.-]{0,63})(_(?P<job>[0-9a-f-]{36})_(?P<seq>[0-9]{1,9}))?")

Key = tuple[str, int]
"""What tells a step from all others: its job and its `seq`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Behind `cursor`, and behind that step of the page after it, if one is named.

    `lost`: steps before it may have been missed.
    """

    cursor: str
    behind: Key | None = None
    lost: bool = False

    def __str__(self) -> str:
        """The place as clients are told it."""
        return self.cursor if self.behind is None else f"{self.cursor}_{self.behind[0]}_{self.behind[1]}"


@dataclass(frozen=True, slots=True)
class Owned:
    """Whose a job is, and of which type."""

    user_id: str
    type: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the feed, and the place behind it."""

    entry: HistoryEntry
    of: Owned
    place: Place

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return self.entry.job_id, self.entry.seq

    def event(self) -> bytes:
        """The step as it goes on the wire."""
        entry = self.entry
        shown = FeedEvent(
            job_id=entry.job_id,
            type=self.of.type,
            seq=entry.seq,
            at=entry.at,
            event=entry.event,
            run=entry.run,
            note=entry.note,
        )
        return message(entry.event, shown.model_dump_json(), str(self.place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Steps in the feed's order, without those of jobs pruned since; `next` is the cursor behind them all.

    `full`: there may be more. `reset`: the cursor it was asked for is gone.
    """

    steps: tuple[Step, ...]
    next: str
    full: bool
    reset: bool


class Pages:
    """The feed of one store. Every call raises EngineUnavailable while that is away."""

    def __init__(self, store: Callable[[], JobReader]) -> None:
        self._store = store
        self._owners: dict[JobId, Owned] = {}

    async def read(self, cursor: str) -> Page:
        """The page behind `cursor`."""
        feed = await self._store().events(cursor, PAGE)
        owners = await self._whose(entry.job_id for entry in feed.entries)
        places = [Place(cursor, (entry.job_id, entry.seq)) for entry in feed.entries[:-1]] + [Place(feed.next)]
        steps = tuple(
            Step(entry, owners[entry.job_id], place)
            for entry, place in zip(feed.entries, places, strict=False)
            if entry.job_id in owners
        )
        return Page(steps=steps, next=feed.next, full=len(feed.entries) >= PAGE, reset=feed.reset)

    async def place(self, given: str | None) -> Place:
        """Where a client is that comes with that place: at the present where it has none, or one that is gone."""
        present = (await self._store().events(None)).next
        if given is None:
            return Place(present)
        found = _PLACE.fullmatch(given)
        if found is None or _beyond(found["cursor"], present):
            return Place(present, lost=True)
        try:
            known = not (await self._store().events(found["cursor"], 1)).reset
        except (InvalidInput, ValueError):  # of another kind of store; one in memory takes it for a number
            known = False
        behind = None if found["job"] is None else (found["job"], int(found["seq"]))
        return Place(found["cursor"], behind) if known else Place(present, lost=True)

    async def _whose(self, job_ids: Iterable[JobId]) -> dict[JobId, Owned]:
        """Whose these jobs are; those that were pruned are not among them."""
        wanted = list(dict.fromkeys(job_ids))
        owners = {job_id: self._owners.pop(job_id) for job_id in wanted if job_id in self._owners}
        self._owners |= owners  # those asked for now are the newest
        missing = [job_id for job_id in wanted if job_id not in owners]
        for job in await self._store().get(missing) if missing else ():
            if job is not None:
                owners[job.id] = self._owners[job.id] = Owned(job.spec.user_id, job.spec.type)
        while len(self._owners) > KNOWN:
            del self._owners[next(iter(self._owners))]
        return owners


def _beyond(cursor: str, present: str) -> bool:
    """Whether a cursor that is a plain number is ahead of the present: it belongs to a store that is no more."""
    return cursor.isdigit() and present.isdigit() and int(cursor) > int(present)
