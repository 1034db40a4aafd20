"""What calls came to and the store has not heard of yet."""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.core.upstream import MOST_MARKS, NO_ERA, Mark, Seen, Tally
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
class _Sum:
    """A tally that grows: every call of every job is added to one, so nothing is copied until it is handed over."""

    ok: int = 0
    slow: int = 0
    seconds: float = 0.0
    good: tuple[Mark, ...] = ()
    faults: list[Seen] = field(default_factory=list)
    retries: int = 0
    starts: int = 0
    pace: Pace | None = None
    pace_until: datetime | None = None

    def add(self, success: Success) -> None:
        self.ok += 1
        if success.slow:
            self.slow += 1
        else:
            self.seconds += success.lasted.total_seconds()
        self.good = _newest(success.mark, self.good)

    def tally(self, era: int) -> Tally:
        return Tally(
            era=era,
            ok=self.ok,
            slow=self.slow,
            seconds=self.seconds,
            good=self.good,
            faults=tuple(self.faults[-MOST_MARKS:]),
            retries=self.retries,
            starts=self.starts,
            pace=self.pace,
            pace_until=self.pace_until,
        )


@dataclass(slots=True)
class _Book:
    """The sums of one gate, by era; what its calls cost counts in none."""

    eras: dict[int, _Sum] = field(default_factory=dict)
    urgent: bool = False
    spent: int = 0


class Tallies:
    """Collects from any thread, and hands over by gate."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._books: dict[str, _Book] = {}
        self._telling: dict[str, int] = {}
        self._urgent = False

    def good(self, gate: str, era: int, success: Success, *, urgent: bool) -> None:
        """A call succeeded; `urgent` where that may decide something."""
        with self._lock:
            self._sum(gate, era, urgent=urgent).add(success)

    def bad(self, gate: str, era: int, seen: Seen) -> None:
        """A call failed."""
        with self._lock:
            faults = self._sum(gate, era, urgent=True).faults
            faults.append(seen)
            if len(faults) > 2 * MOST_MARKS:
                del faults[:-MOST_MARKS]

    def retried(self, gate: str, era: int) -> None:
        """A call was made again: that is taken from the budget."""
        with self._lock:
            self._sum(gate, era).retries += 1

    def started(self, gate: str, era: int) -> None:
        """A call began that no claim has charged to the gate's pace."""
        with self._lock:
            self._sum(gate, era).starts += 1

    def paced(self, gate: str, era: int, pace: Pace, until: datetime) -> None:
        """An answer asked for a pace."""
        with self._lock:
            asked = self._sum(gate, era, urgent=True)
            asked.pace, asked.pace_until = pace, until

    def spend(self, gate: str, micros: int, *, urgent_from: int) -> None:
        """A call cost so much; it shall be told at once where as much is untold."""
        with self._lock:
            book = self._book(gate)
            book.spent += micros
            if book.spent + self._telling.get(gate, 0) >= urgent_from:
                book.urgent = self._urgent = True

    def untold(self, gate: str) -> int:
        """What calls cost that the store does not know of yet, as far as is known."""
        with self._lock:
            book = self._books.get(gate)
            return self._telling.get(gate, 0) + (book.spent if book else 0)

    def pressing(self, gate: str) -> bool:
        """Whether some of that is on its way, or shall be at once."""
        with self._lock:
            book = self._books.get(gate)
            return gate in self._telling or (book is not None and book.urgent and book.spent > 0)

    def told(self, gate: str) -> None:
        """The store knows of what was taken."""
        with self._lock:
            self._telling.pop(gate, None)

    def owing(self) -> list[str]:
        """Gates whose calls cost something that was not taken yet."""
        with self._lock:
            return [gate for gate, book in self._books.items() if book.spent]

    def retries(self, gate: str) -> int:
        """Retries not handed over yet."""
        with self._lock:
            book = self._books.get(gate)
            return sum(each.retries for each in book.eras.values()) if book else 0

    @property
    def urgent(self) -> bool:
        """Whether some of them may decide something."""
        return self._urgent

    def waiting(self, *, urgent: bool) -> list[str]:
        """Gates with something to hand over."""
        with self._lock:
            return [gate for gate, book in self._books.items() if book.urgent or not urgent]

    def take(self, gate: str) -> list[Tally]:
        """Hand over what a gate has, oldest era first. What was taken before is in the store by now."""
        with self._lock:
            book = self._books.pop(gate, _Book())
            self._urgent = any(book.urgent for book in self._books.values())
            if book.spent:
                self._telling[gate] = book.spent
        spent = [Tally(era=NO_ERA, spent=book.spent)] if book.spent else []
        return [*spent, *(book.eras[era].tally(era) for era in sorted(book.eras))]

    def _book(self, gate: str) -> _Book:
        book = self._books.get(gate)
        if book is None:
            book = self._books[gate] = _Book()
        return book

    def _sum(self, gate: str, era: int, *, urgent: bool = False) -> _Sum:
        book = self._book(gate)
        found = book.eras.get(era)
        if found is None:
            found = book.eras[era] = _Sum()
            if len(book.eras) > MOST_ERAS:
                del book.eras[min(book.eras)]
        if urgent:
            book.urgent = self._urgent = True
        return found


def _newest(mark: Mark, known: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """The newest marks of two different jobs, newest first."""
    if not known:
        return (mark,)
    first = known[0]
    if mark.at >= first.at:
        return (mark, *known[1:]) if mark.job == first.job else (mark, first)
    others = [each for each in known if each.job != mark.job]
    return tuple(sorted((mark, *others), key=lambda each: each.at, reverse=True)[:2])
