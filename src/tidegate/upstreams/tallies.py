"""What calls came to and the store has not heard of yet."""

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tidegate.core.upstream import MOST_MARKS, Mark, Seen, Tally
from tidegate.core.verbs import Pace

MOST_ERAS = 8
"""Eras of one gate that are tallied apart; calls of older ones change nothing anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """A call that succeeded; `slow` by the rule that held when it began."""

    mark: Mark
    lasted: timedelta
    slow: bool = False


@dataclass(slots=True)
class _Book:
    """The tallies of one gate, by era."""

    eras: dict[int, Tally] = field(default_factory=dict)
    urgent: bool = False


class Tallies:
    """Collects from any thread, and hands over by gate."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._books: dict[str, _Book] = {}
        self._urgent = False

    def good(self, gate: str, era: int, success: Success, *, urgent: bool) -> None:
        """A call succeeded; `urgent` where that may decide something."""
        with self._lock:
            tally = self._tally(gate, era)
            others = [mark for mark in tally.good if mark.job != success.mark.job]
            newest = tuple(sorted((success.mark, *others), key=lambda mark: mark.at, reverse=True)[:2])
            seconds = 0.0 if success.slow else success.lasted.total_seconds()
            more = replace(tally, ok=tally.ok + 1, slow=tally.slow + success.slow, seconds=tally.seconds + seconds)
            self._keep(gate, replace(more, good=newest), urgent=urgent)

    def bad(self, gate: str, era: int, seen: Seen) -> None:
        """A call failed."""
        with self._lock:
            tally = self._tally(gate, era)
            self._keep(gate, replace(tally, faults=(*tally.faults, seen)[-MOST_MARKS:]), urgent=True)

    def retried(self, gate: str, era: int) -> None:
        """A call was made again: that is taken from the budget."""
        with self._lock:
            tally = self._tally(gate, era)
            self._keep(gate, replace(tally, retries=tally.retries + 1), urgent=False)

    def paced(self, gate: str, era: int, pace: Pace, until: datetime) -> None:
        """An answer asked for a pace."""
        with self._lock:
            self._keep(gate, replace(self._tally(gate, era), pace=pace, pace_until=until), urgent=True)

    def retries(self, gate: str) -> int:
        """Retries not handed over yet."""
        with self._lock:
            book = self._books.get(gate)
            return sum(tally.retries for tally in book.eras.values()) if book else 0

    @property
    def urgent(self) -> bool:
        """Whether some of them may decide something."""
        return self._urgent

    def waiting(self, *, urgent: bool) -> list[str]:
        """Gates with something to hand over."""
        with self._lock:
            return [gate for gate, book in self._books.items() if book.urgent or not urgent]

    def take(self, gate: str) -> list[Tally]:
        """Hand over what a gate has, oldest era first."""
        with self._lock:
            book = self._books.pop(gate, _Book())
            self._urgent = any(book.urgent for book in self._books.values())
        return [book.eras[era] for era in sorted(book.eras)]

    def _tally(self, gate: str, era: int) -> Tally:
        book = self._books.setdefault(gate, _Book())
        return book.eras.get(era, Tally(era=era))

    def _keep(self, gate: str, tally: Tally, *, urgent: bool) -> None:
        book = self._books[gate]
        book.eras[tally.era] = tally
        book.urgent = book.urgent or urgent
        self._urgent = self._urgent or urgent
        while len(book.eras) > MOST_ERAS:
            del book.eras[min(book.eras)]
