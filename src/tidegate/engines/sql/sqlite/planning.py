"""Choosing for a claim, from what the ledger knows: which lines give how many, in what order."""

from collections.abc import Iterator
from typing import Final

from tidegate.core.fairness import share
from tidegate.core.verbs import ClaimRequest
from tidegate.engines.sql.sqlite.ledger import GateRow, Ledger, Line

_PLENTY: Final = 1 << 60


class Plan:
    """What one claim would take at `now`; changes nothing until its caller writes it down."""

    def __init__(self, ledger: Ledger, request: ClaimRequest, now: int) -> None:
        self._ledger = ledger
        self._request = request
        self._now = now
        self._rooms: dict[str, int] = {}
        self._held = dict(request.held)
        self._spent: dict[str, int] = {}
        self._lent: dict[str, int] = {}
        self._left: dict[int, int] = {}
        self._turns: dict[int, int] = {}
        self._taken = 0
        self.draws: list[tuple[Line, int]] = []

    def draw_all(self) -> None:
        """First every queue up to its quota; then what is left, within the share; then beyond it."""
        limit = self._request.limit
        for turn in self._request.turns:
            self._serve(turn.queue, turn.quota, capped=True)
        for capped in (True, False):
            for turn in self._request.turns:
                self._serve(turn.queue, limit, capped=capped)

    def _serve(self, queue: str, wanted: int, *, capped: bool) -> None:
        wanted = min(wanted, self._request.limit - self._taken)
        while wanted > 0:
            drawn = self._round(queue, wanted, capped=capped)
            if not drawn:
                return
            wanted -= drawn

    def _round(self, queue: str, wanted: int, *, capped: bool) -> int:
        """Let each line with room give its even part of `wanted`, once.

        Lines are looked at only as far as they are needed: where as many as are wanted follow, each gives
        one, however many more there are.
        """
        self._spent.clear()
        self._lent.clear()
        source = (line for line in self._in_turn(queue) if self._room(line, capped=capped, before=True) > 0)
        lines: list[Line] = []
        drawn = place = 0
        while drawn < wanted:
            while len(lines) < place + wanted - drawn and (line := next(source, None)) is not None:
                lines.append(line)
            if place == len(lines):
                break
            line, even = lines[place], share(wanted - drawn, len(lines) - place)
            drawn += self._draw(line, min(even, self._room(line, capped=capped), self._left_in(line)))
            place += 1
        return drawn

    def _draw(self, line: Line, n: int) -> int:
        if n <= 0:
            return 0
        self.draws.append((line, n))
        self._taken += n
        self._left[line.id] = self._left_in(line) - n
        self._turns[line.id] = self._ledger.last_turn + len(self.draws)
        for gate in line.gates:
            self._rooms[gate] -= n
            self._spent[gate] = self._spent.get(gate, 0) + n
        if line.lane.upstream is not None:
            self._held[line.lane.upstream] = self._held.get(line.lane.upstream, 0) + n
            self._lent[line.lane.upstream] = self._lent.get(line.lane.upstream, 0) + n
        return n

    def _in_turn(self, queue: str) -> Iterator[Line]:
        """The queue's lines that have a job for this claim, the least recently served first."""
        ordered = self._ledger.in_turn(queue)
        if self._turns:
            ordered = sorted((self._turns.get(number, turn), number) for turn, number in ordered)
        for _, number in ordered:
            line = self._ledger.lines[number]
            if line.type in self._request.types and self._left_in(line) > 0:
                yield line

    def _left_in(self, line: Line) -> int:
        left = self._left.get(line.id)
        return line.standing if left is None else left

    def _room(self, line: Line, *, capped: bool, before: bool = False) -> int:
        """How many a line may give now, or could `before` this round."""
        room = min(self._gate_room(gate, before=before) for gate in line.gates)
        upstream = line.lane.upstream
        if capped and self._request.share is not None and upstream is not None:
            lent = self._lent.get(upstream, 0) if before else 0
            room = min(room, self._request.share - self._held.get(upstream, 0) + lent)
        return room

    def _gate_room(self, name: str, *, before: bool) -> int:
        room = self._rooms.get(name)
        if room is None:
            gate = self._ledger.gates.get(name)
            room = self._rooms[name] = _PLENTY if gate is None else self._admits(gate)
        return room + self._spent.get(name, 0) if before else room

    def _admits(self, gate: GateRow) -> int:
        if gate.not_before is not None and gate.not_before > self._now:
            return 0
        room = _PLENTY
        if gate.most is not None:
            room = gate.most - gate.running
        if gate.pace_period is not None and gate.pace_burst is not None:
            ahead = max(gate.paced_until or self._now, self._now) - self._now
            room = min(room, (gate.pace_burst * gate.pace_period - ahead) // gate.pace_period)
        return room

    # the news ---------------------------------------------------------------------------------------------------

    def more(self) -> bool:
        """Whether another claim would take a job now."""
        lines = (line for turn in self._request.turns for line in self._in_turn(turn.queue))
        return any(self._room(line, capped=False) > 0 for line in lines)

    def opens_at(self) -> int | None:
        """When a line that is shut now may open, as far as is known."""
        lines = (line for turn in self._request.turns for line in self._in_turn(turn.queue))
        return min((at for line in lines if (at := self._line_opens_at(line)) is not None), default=None)

    def _line_opens_at(self, line: Line) -> int | None:
        """None for one at a gate's limit: that opens by a settle, at no instant that is known now."""
        at = self._now
        for gate in (self._ledger.gates[name] for name in line.gates if name in self._ledger.gates):
            if gate.most is not None and gate.most <= gate.running:
                return None
            at = max(at, gate.not_before or at)
            if gate.pace_period is not None and gate.pace_burst is not None and gate.paced_until is not None:
                at = max(at, gate.paced_until - (gate.pace_burst - 1) * gate.pace_period)
        return at
