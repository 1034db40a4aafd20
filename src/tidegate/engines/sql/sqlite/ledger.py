"""What the writer knows by heart: lanes, lines, gates and how many jobs stand where.

The tables are the truth. This is their copy in the only process that writes them, so that choosing whom to
serve costs no query; it is thrown away and read again after a transaction that failed.
"""

import sqlite3
import sys
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from tidegate.core.fairness import rank
from tidegate.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Lane
from tidegate.engines.sql.codec import read_tags, write_tags

RANK_UNITS: Final = 512
"""A rank is stored in whole 1/512ths, the smallest step that `fairness.rank` takes."""

STEPS: Final = tuple(
    int(rank(0.0, None, priority) * RANK_UNITS) for priority in range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1)
)
"""How far a job of each priority stands behind the one before it."""


class Stand(IntEnum):
    """Where a job stands, as it is tallied; LAPSED are those of READY that are known to be past expires_at."""

    WAITING = 0
    READY = 1
    RUNNING = 2
    SUCCEEDED = 3
    DEAD_LETTER = 4
    FAILED = 5
    CANCELLED = 6
    LAPSED = 7


@dataclass(slots=True, eq=False)
class Line:
    """The line of one lane and type. `reached` is the highest rank claimed from it, `turn` its last turn."""

    id: int
    lane: Lane
    type: str
    gates: tuple[str, ...]
    reached: int = 0
    turn: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * len(Stand))
    listed: bool = False

    @property
    def standing(self) -> int:
        """How many stand in line and may be claimed, as far as is known."""
        return self.counts[Stand.READY] - self.counts[Stand.LAPSED]


@dataclass(slots=True, eq=False)
class GateRow:
    """One gate, in microseconds; `running` leases of its era count against `most`."""

    name: str
    not_before: int | None
    most: int | None
    pace_period: int | None
    pace_burst: int | None
    era: int
    paced_until: int | None
    running: int = 0


_LAST_SEQ: Final = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'jobs'"
_LAST_VERSION: Final = "SELECT coalesce(max(version), 0) FROM documents"
_LANES: Final = "SELECT id, queue, upstream, parents FROM lanes"
_LINES: Final = "SELECT id, lane_id, type, reached, turn FROM lines ORDER BY id"
_TALLIES: Final = """
SELECT line_id, waiting, ready, running, succeeded, dead_letter, failed, cancelled, lapsed FROM tallies
"""
_GATES: Final = "SELECT name, not_before, most, pace_period, pace_burst, era, paced_until FROM gates"
_RUNNING: Final = "SELECT gate, era, count(*) FROM lease_gates GROUP BY gate, era"
_NEW_LANE: Final = "INSERT INTO lanes (id, queue, upstream, parents) VALUES (?, ?, ?, ?)"
_NEW_LINE: Final = "INSERT INTO lines (id, lane_id, type) VALUES (?, ?, ?)"


class Ledger:
    """All of it, for the writer's thread alone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.load()

    def load(self) -> None:
        """Read everything anew."""
        self._queues: dict[str, list[tuple[int, int]]] = {}
        self._tallied: set[int] = set()
        self._served: set[int] = set()
        self.last_seq = self._number(_LAST_SEQ)
        self.last_version = self._number(_LAST_VERSION)
        self.unpaced()
        self._load_lines()
        self._load_gates()

    def unpaced(self) -> None:
        """From now on it is not known that no gate's `paced_until` is further ahead than its pace has it."""
        self.calm_at = sys.maxsize

    def _number(self, sql: str) -> int:
        ((number,),) = self._connection.execute(sql).fetchall()
        return int(number)

    def _load_lines(self) -> None:
        rows = self._connection.execute(_LANES).fetchall()
        lanes = {row[0]: Lane(queue=row[1], upstream=row[2], parents=read_tags(row[3])) for row in rows}
        self._lane_ids: dict[Lane, int] = {lane: number for number, lane in lanes.items()}
        self.lines: dict[int, Line] = {}
        self.kinds: dict[int, tuple[Lane, str]] = {}
        self._by_kind: dict[tuple[Lane, str], Line] = {}
        for number, lane_id, type_, reached, turn in self._connection.execute(_LINES).fetchall():
            self._know(Line(number, lanes[lane_id], type_, lanes[lane_id].gates, reached, turn))
        self.last_turn = max((line.turn for line in self.lines.values()), default=0)
        for line_id, *counts in self._connection.execute(_TALLIES).fetchall():
            self.lines[line_id].counts = counts
            self._list(self.lines[line_id])

    def _load_gates(self) -> None:
        self.gates = {row[0]: GateRow(*row) for row in self._connection.execute(_GATES).fetchall()}
        self.limited = 0
        for gate, era, count in self._connection.execute(_RUNNING).fetchall():
            self.limited += count
            if gate in self.gates and self.gates[gate].era == era:
                self.gates[gate].running = count

    # lines ------------------------------------------------------------------------------------------------------

    def line(self, lane: Lane, type_: str) -> Line:
        """The line of a lane and type, made at need."""
        known: Line | None = self._by_kind.get((lane, type_))
        if known is not None:
            return known
        line = Line(len(self.lines) + 1, lane, type_, lane.gates)
        self._connection.execute(_NEW_LINE, (line.id, self._lane_id(lane), type_))
        self._know(line)
        return line

    def _lane_id(self, lane: Lane) -> int:
        if lane not in self._lane_ids:
            number = len(self._lane_ids) + 1
            self._connection.execute(_NEW_LANE, (number, lane.queue, lane.upstream, write_tags(lane.parents)))
            self._lane_ids[lane] = number
        return self._lane_ids[lane]

    def _know(self, line: Line) -> None:
        self.lines[line.id] = line
        self.kinds[line.id] = (line.lane, line.type)
        self._by_kind[line.lane, line.type] = line

    def count(self, line: Line, stand: Stand, change: int) -> None:
        """So many more (or fewer) jobs of a line stand there."""
        line.counts[stand] += change
        self._tallied.add(line.id)
        if (line.standing > 0) is not line.listed:
            self._list(line)

    def _list(self, line: Line) -> None:
        """Keep a line among those that its queue may serve iff somebody stands in it."""
        turns = self._queues.setdefault(line.lane.queue, [])
        if line.listed:
            del turns[bisect_left(turns, (line.turn, line.id))]
        line.listed = line.standing > 0
        if line.listed:
            insort(turns, (line.turn, line.id))

    def serve(self, line: Line, reached: int, turn: int) -> None:
        """A line had its turn, and gave jobs up to the rank `reached`."""
        turns = self._queues[line.lane.queue]
        if line.listed:
            del turns[bisect_left(turns, (line.turn, line.id))]
            insort(turns, (turn, line.id))
        line.turn, line.reached = turn, max(line.reached, reached)
        self.last_turn = max(self.last_turn, turn)
        self._served.add(line.id)

    def in_turn(self, queue: str) -> Sequence[tuple[int, int]]:
        """(turn, id) of the queue's lines with somebody in line, the least recently served first."""
        return self._queues.get(queue, ())

    # saving -----------------------------------------------------------------------------------------------------

    def tallies(self) -> list[tuple[int, ...]]:
        """The rows of `tallies` to write; they count as written from now on."""
        rows = [(line_id, *self.lines[line_id].counts) for line_id in self._tallied]
        self._tallied.clear()
        return rows

    def turns(self) -> list[tuple[int, int, int]]:
        """The (line, reached, turn) to write; they count as written from now on."""
        served = [self.lines[line_id] for line_id in self._served]
        self._served.clear()
        return [(line.id, line.reached, line.turn) for line in served]
