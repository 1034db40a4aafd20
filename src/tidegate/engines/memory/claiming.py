"""The claim, spelled out: promote what is due, then take from admitted lines in order."""

import math
from collections.abc import Iterable
from datetime import datetime

from tidegate.core import fairness, steps
from tidegate.core.job import Job, JobId, Lease, Owner, Status
from tidegate.core.query import Event
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.memory.state import GateRow, Line, Record, State

SWEEP = 1_000
"""Jobs promoted by one claim at most, and the most that `overdue` counts, so that a claim's cost has a bound."""

PLENTY = 1 << 60
"""More than any claim asks for: no bound of its own."""


class Claim:
    """One claim over the state, at one instant; made, asked once and thrown away."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        self._state = state
        self._request = request
        self._nonce = nonce
        self._now = now
        self._taken: list[Lease] = []
        self._held = dict(request.held)
        self._left_due = False

    def answer(self) -> Claimed:
        """Do it."""
        if self._nonce in self._state.nonces:
            leases = tuple(self._state.lease(record, held) for record, held in self._state.under(self._nonce))
        else:
            self._calm()
            self._promote()
            self._take()
            leases = tuple(self._taken)
        return Claimed(
            at=self._now,
            leases=leases,
            more=self._left_due or any(self._room(line, capped=False) for line in self._all_in_turn()),
            wake_at=self._wake_at(),
            cancelling=self._cancelling(self._request.owner),
            overdue=self._overdue(),
            version=self._state.last_version,
        )

    def _calm(self) -> None:
        """What a clock set back, or a slower pace, left ahead of a whole burst shuts no gate for longer than that."""
        for row in self._state.gates.values():
            if row.gate.pace is not None and row.paced_until is not None:
                row.paced_until = min(row.paced_until, self._now + row.gate.pace.burst * row.gate.pace.period)

    def _promote(self) -> None:
        queued = self._state.with_status(Status.QUEUED)
        due = [r for r in queued if not r.ready and r.job.run_at <= self._now and not waited(r.job, self._now)]
        due.sort(key=lambda record: (record.job.run_at, record.job.seq))
        for record in due[:SWEEP]:
            self._state.queue(record, self._now)
        self._left_due = len(due) > SWEEP

    def _take(self) -> None:
        request = self._request
        for turn in request.turns:
            self._serve(turn.queue, turn.quota, capped=True)
        for capped in (True, False):
            for turn in request.turns:
                self._serve(turn.queue, request.limit, capped=capped)
        if self._taken:
            self._state.remember(self._nonce, self._now, self._request.lease_for)

    def _serve(self, queue: str, wanted: int, *, capped: bool) -> None:
        wanted = min(wanted, self._request.limit - len(self._taken))
        while wanted > 0:
            lanes = [line for line in self._in_turn(queue) if self._room(line, capped=capped)]
            before = wanted
            for place, line in enumerate(lanes):
                even = fairness.share(wanted, len(lanes) - place)
                wanted -= self._draw(line, min(even, self._room(line, capped=capped)))
            if wanted == before:
                return

    def _draw(self, line: Line, wanted: int) -> int:
        drawn = self._in_line(line)[:wanted]
        for record in drawn:
            self._lease(record)
            line.virtual = max(line.virtual, record.rank or 0.0)
        if drawn:
            self._state.last_turn += 1
            line.turn = self._state.last_turn
            self._charge(line, len(drawn))
        return len(drawn)

    def _lease(self, record: Record) -> None:
        record.job = steps.claimed(record.job, self._now)
        record.ready = False
        until = self._now + self._request.lease_for
        held = self._state.hold(record, self._nonce, len(self._taken), self._request.owner, until)
        held.eras = {row.gate.name: row.gate.era for row in self._gates(record.job.lane.gates)}
        held.limited = frozenset(
            row.gate.name for row in self._gates(record.job.lane.gates) if row.gate.limit is not None
        )
        self._state.note(record, self._now, Event.CLAIMED)
        self._taken.append(self._state.lease(record, held))

    def _charge(self, line: Line, n: int) -> None:
        if line.lane.upstream is not None:
            self._held[line.lane.upstream] = self._held.get(line.lane.upstream, 0) + n
        for row in self._gates(line.lane.gates):
            if row.gate.pace is not None:
                row.paced_until = max(row.paced_until or self._now, self._now) + n * row.gate.pace.period

    def _in_turn(self, queue: str) -> list[Line]:
        lines = [line for line in self._state.lines.values() if line.lane.queue == queue]
        return sorted((line for line in lines if self._in_line(line)), key=lambda line: (line.turn, line.order))

    def _all_in_turn(self) -> list[Line]:
        return [line for turn in self._request.turns for line in self._in_turn(turn.queue)]

    def _in_line(self, line: Line) -> list[Record]:
        if line.type not in self._request.types:
            return []
        ready = [
            record
            for record in self._state.with_status(Status.QUEUED)
            if record.ready and self._state.line(record.job) is line and not waited(record.job, self._now)
        ]
        return sorted(ready, key=lambda record: (record.rank or 0.0, record.job.seq))

    def _room(self, line: Line, *, capped: bool) -> int:
        """How many this lane may give now."""
        room = PLENTY
        if capped and self._request.share is not None and line.lane.upstream is not None:
            room = min(room, self._request.share - self._held.get(line.lane.upstream, 0))
        for row in self._gates(line.lane.gates):
            room = min(room, self._admits(row))
        return max(room, 0)

    def _admits(self, row: GateRow) -> int:
        gate = row.gate
        if gate.not_before is not None and gate.not_before > self._now:
            return 0
        room = PLENTY
        if gate.limit is not None:
            room = min(room, gate.limit - self._running_in_era(row))
        if gate.pace is not None:
            ahead = max(row.paced_until or self._now, self._now) - self._now
            room = min(room, math.floor((gate.pace.burst * gate.pace.period - ahead) / gate.pace.period))
        return room

    def _running_in_era(self, row: GateRow) -> int:
        leases = [record.held for record in self._state.with_status(Status.RUNNING) if record.held is not None]
        name, era = row.gate.name, row.gate.era
        return sum(1 for lease in leases if name in lease.limited and lease.eras[name] == era)

    def _gates(self, names: Iterable[str]) -> list[GateRow]:
        return [self._state.gates[name] for name in names if name in self._state.gates]

    # the news ---------------------------------------------------------------------------------------------

    def _cancelling(self, owner: Owner) -> tuple[JobId, ...]:
        running = sorted(self._state.with_status(Status.RUNNING), key=lambda record: record.job.seq)
        return tuple(
            record.job.id
            for record in running
            if record.job.cancel_requested_at and record.held and record.held.owner == owner
        )

    def _overdue(self) -> int:
        lost = sum(1 for r in self._state.with_status(Status.RUNNING) if r.held and r.held.expires_at <= self._now)
        late = sum(1 for record in self._state.with_status(Status.QUEUED) if waited(record.job, self._now))
        return min(lost + late, SWEEP)

    def _wake_at(self) -> datetime | None:
        instants: list[datetime] = []
        for record in self._state.records.values():
            job = record.job
            if record.held is not None:
                instants.append(record.held.expires_at)
            if job.status is Status.QUEUED:
                instants += [] if record.ready else [job.run_at]
                instants += [job.expires_at] if job.expires_at else []
        instants += [self._opens_at(line) for line in self._all_in_turn() if self._may_open(line)]
        return max(min(instants), self._now) if instants else None

    def _may_open(self, line: Line) -> bool:
        """A gate at its limit opens by a settle, at no instant that is known now."""
        return all(
            row.gate.limit is None or row.gate.limit > self._running_in_era(row) for row in self._gates(line.lane.gates)
        )

    def _opens_at(self, line: Line) -> datetime:
        instants = [self._now]
        for row in self._gates(line.lane.gates):
            if row.gate.not_before is not None:
                instants.append(row.gate.not_before)
            if row.gate.pace is not None and row.paced_until is not None:
                burst = (row.gate.pace.burst - 1) * row.gate.pace.period
                instants.append(row.paced_until - burst)
        return max(instants)


def waited(job: Job, now: datetime) -> bool:
    """Whether a queued job is at or past its `expires_at`."""
    return job.status is Status.QUEUED and job.expires_at is not None and job.expires_at <= now
