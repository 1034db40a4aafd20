"""Bugs in `claim`: gates."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from tests.conformance.mutants.broken import breaks
from tidegate.core.job import Lane, Lease, Owner, Status
from tidegate.core.verbs import Claimed, ClaimRequest, Swap
from tidegate.engines.memory.claiming import Claim
from tidegate.engines.memory.documents import Papers
from tidegate.engines.memory.state import GateRow, Held, Line, Record, State


@breaks("claim.gate-closed")
class IgnoresTheGatesOfParents(Claim):
    """Only the queue and the upstream itself are asked."""

    def _gates(self, names: Iterable[str]) -> list[GateRow]:
        return super()._gates(list(names)[:2])


@breaks("claim.gate-closed")
class StopsAtAClosedLane(Claim):
    """A closed lane holds up all behind it."""

    def _in_turn(self, queue: str) -> list[Line]:
        lines, shut = super()._in_turn(queue), self._state.shut(self._now)
        first = next((place for place, line in enumerate(lines) if shut & set(line.lane.gates)), len(lines))
        return lines[:first]


@breaks("claim.gate-closed")
class LooksAtTenLanes(Claim):
    """A claim looks at a bounded number of lanes, closed ones among them."""

    def _in_turn(self, queue: str) -> list[Line]:
        return super()._in_turn(queue)[:10]


@breaks("claim.gate-closed")
class OpensAGateAMomentLate(Claim):
    """A gate is open after its instant, not at it."""

    def _admits(self, row: GateRow) -> int:
        return 0 if row.gate.not_before == self._now else super()._admits(row)


@breaks("claim.gate-limit", "settle.release")
class KnowsNoLimit(Claim):
    """Running jobs are not counted."""

    def _running_in_era(self, row: GateRow) -> int:
        return 0


@breaks("claim.gate-limit")
class TakesALimitOf0ForNone(Claim):
    """0 is as good as nothing."""

    def _admits(self, row: GateRow) -> int:
        return self._request.limit if row.gate.limit == 0 else super()._admits(row)


@breaks("claim.gate-limit")
class ReadsTheRoomOnce(Claim):
    """What a gate admits is read when the claim begins, for each of its lanes anew."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        super().__init__(state, request, nonce, now)
        self._read: dict[str, int] = {}

    def _admits(self, row: GateRow) -> int:
        return self._read.setdefault(row.gate.name, super()._admits(row))


class _CountsRunning(Claim):
    """Counts whatever runs in the lanes of a gate, not the leases that it admitted."""

    lane: Lane | None = None

    def _running_in_era(self, row: GateRow) -> int:
        lanes = [record.job.lane for record in self._state.with_status(Status.RUNNING)]
        return sum(1 for lane in lanes if row.gate.name in lane.gates and self.lane in (None, lane))


@breaks("claim.gate-limit")
class LimitsEachLaneAlone(_CountsRunning):
    """Lanes that share a gate have its limit each."""

    def _room(self, line: Line, *, capped: bool) -> int:
        self.lane = line.lane
        return super()._room(line, capped=capped)


@breaks("claim.gate-limit", "claim.gate-era")
class CountsEveryRunningJob(_CountsRunning):
    """Jobs that waited too long, and leases of older eras, take places too."""


@breaks("claim.gate-limit", "claim.gate-era")
class ForgetsTheGatesOfAReclaimedRun(State):
    """A reaper's lease counts against no gate and tells no era."""

    def hold(self, record: Record, nonce: str, place: int, owner: Owner, until: datetime) -> Held:
        """See `State.hold`."""
        held = super().hold(record, nonce, place, owner, until)
        held.eras, held.limited = {}, frozenset()
        return held


@breaks("claim.gate-era")
class TellsTheErasOfNow(State):
    """A lease tells its gates as they are, not as they were."""

    def lease(self, record: Record, held: Held) -> Lease:
        """See `State.lease`."""
        names = [name for name in record.job.lane.gates if name in self.gates]
        return replace(super().lease(record, held), eras={name: self.gates[name].gate.era for name in names})


@breaks("claim.gate-pace")
class BeginsThePaceWithEachClaim(Claim):
    """A burst is admitted by every claim."""

    def answer(self) -> Claimed:
        """See `Claim.answer`."""
        for row in self._state.gates.values():
            row.paced_until = None
        return super().answer()


@breaks("claim.gate-pace")
class TrustsEveryInstant(Claim):
    """What a wrong clock or a slower pace left stands, however far ahead."""

    def _calm(self) -> None:
        """Nothing."""


@breaks("claim.gate-pace")
class SavesUpTheBurstWithoutEnd(Claim):
    """Slots that nobody used in the past are all used later."""

    def _admits(self, row: GateRow) -> int:
        pace, until = row.gate.pace, row.paced_until
        saved = 0 if pace is None or until is None else max((self._now - until) // pace.period, 0)
        return super()._admits(row) + saved


@breaks("claim.gate-pace")
class PacesEachLaneAlone(Claim):
    """A claim looks at a gate's pace before it draws, and notes it when all is drawn."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        super().__init__(state, request, nonce, now)
        self._drawn: list[tuple[Line, int]] = []

    def _charge(self, line: Line, n: int) -> None:
        self._drawn.append((line, n))

    def _take(self) -> None:
        super()._take()
        for line, n in self._drawn:
            super()._charge(line, n)


@breaks("claim.gate-pace")
class ForgetsThePaceWhenAGateChanges(Papers):
    """A changed gate begins its pace anew."""

    def _set_gates(self, swap: Swap) -> None:
        super()._set_gates(swap)
        for gate in swap.gates:
            if gate.name in self._state.gates:
                self._state.gates[gate.name].paced_until = None
