"""Bugs in `claim`: whose turn it is."""

from dataclasses import replace
from datetime import datetime

from tests.conformance.mutants.broken import breaks
from tidegate.core.fairness import rank
from tidegate.core.job import Ending, Status
from tidegate.core.verbs import ClaimRequest
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.claiming import Claim
from tidegate.engines.memory.state import Line, Record, State


@breaks("claim.fifo")
class LastInFirstOut(Claim):
    """The newest job is taken first."""

    def _in_line(self, line: Line) -> list[Record]:
        return super()._in_line(line)[::-1]


@breaks("claim.fifo")
class BreaksTiesById(Claim):
    """All jobs of a user have one rank, and ids decide backwards."""

    def _in_line(self, line: Line) -> list[Record]:
        return sorted(super()._in_line(line), key=lambda record: record.job.id, reverse=True)


@breaks("claim.fair")
class OneLineForAllUsers(Claim):
    """First come, first served, over all users."""

    def _in_line(self, line: Line) -> list[Record]:
        return sorted(super()._in_line(line), key=lambda record: (-record.job.spec.priority, record.job.seq))


@breaks("claim.fair")
class LetsUsersSaveUpTurns(State):
    """A user's rank counts from his own jobs alone, so that who was away is served alone for long."""

    def queue(self, record: Record, now: datetime) -> None:
        """See `State.queue`."""
        super().queue(record, now)
        if record.ready and record.job.counters.runs == 0:
            record.rank = rank(0.0, self._last_but(record), record.job.spec.priority)

    def _last_but(self, record: Record) -> float | None:
        flow = (record.job.spec.user_id, record.job.spec.priority)
        others = [r for r in self.records.values() if (r.job.spec.user_id, r.job.spec.priority) == flow]
        return max((r.rank for r in others if r is not record and r.rank is not None), default=None)


@breaks("claim.priority")
class IgnoresPriority(State):
    """All jobs weigh the same."""

    def queue(self, record: Record, now: datetime) -> None:
        """See `State.queue`."""
        job = record.job
        record.job = replace(job, spec=replace(job.spec, priority=0))
        super().queue(record, now)
        record.job = job


@breaks("claim.priority")
class StarvesLowPriorities(Claim):
    """A lower priority comes when no higher one is left."""

    def _in_line(self, line: Line) -> list[Record]:
        return sorted(super()._in_line(line), key=lambda record: -record.job.spec.priority)


@breaks("claim.priority")
class WeighsPrioritiesLinearly(State):
    """Priority 1 has twice the share of 0, but 4 only five fourths of 3."""

    def queue(self, record: Record, now: datetime) -> None:
        """See `State.queue`."""
        super().queue(record, now)
        if record.ready and record.rank is not None:
            record.rank += 1.0 / (record.job.spec.priority + 1) - 1.0 / (1 << record.job.spec.priority)


@breaks("claim.rank-kept")
class SendsRetriesToTheEnd(State):
    """A job that comes back stands as a new one."""

    def queue(self, record: Record, now: datetime) -> None:
        """See `State.queue`."""
        record.rank = None
        super().queue(record, now)


@breaks("claim.rank-kept")
class KeepsTheRankOfAnotherLane(MemoryEngine):
    """A job that moves takes its place in line along."""

    def _apply(self, record: Record, ending: Ending) -> None:
        stood = record.rank
        super()._apply(record, ending)
        if record.job.status is Status.QUEUED:
            record.rank = stood


@breaks("claim.weights")
class TakesAllFromTheFirstQueue(Claim):
    """Quotas are not looked at."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        turns = [replace(turn, quota=request.limit) for turn in request.turns]
        super().__init__(state, replace(request, turns=turns), nonce, now)


@breaks("claim.weights")
class LeavesSlotsEmpty(Claim):
    """A queue gives its quota and no more, also where others have nothing."""

    def _take(self) -> None:
        for turn in self._request.turns:
            self._serve(turn.queue, turn.quota, capped=False)


@breaks("claim.weights")
class FillsInTheOrderOfNames(Claim):
    """The turns' own order is lost on the way."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        turns = sorted(request.turns, key=lambda turn: turn.queue)
        super().__init__(state, replace(request, turns=turns), nonce, now)


@breaks("claim.only-queues")
class MatchesQueuesByTheirBeginning(Claim):
    """A queue is looked up as a pattern."""

    def _in_turn(self, queue: str) -> list[Line]:
        lines = [line for line in self._state.lines.values() if line.lane.queue.startswith(queue)]
        return sorted((line for line in lines if self._in_line(line)), key=lambda line: (line.turn, line.order))


@breaks("claim.only-queues")
class ServesAllQueuesWhenToldNone(Claim):
    """No turns are all turns."""

    def _in_turn(self, queue: str) -> list[Line]:
        lines: list[Line] = []
        for name in sorted({line.lane.queue for line in self._state.lines.values()}):
            lines += super()._in_turn(name)
        return lines


@breaks("claim.lanes")
class ServesLanesInTheOrderOfTheirMaking(Claim):
    """The oldest lane is always first."""

    def _in_turn(self, queue: str) -> list[Line]:
        return sorted(super()._in_turn(queue), key=lambda line: line.order)


@breaks("claim.lanes")
class ServesTheLongestLineFirst(Claim):
    """Backlogs decide."""

    def _in_turn(self, queue: str) -> list[Line]:
        return sorted(super()._in_turn(queue), key=lambda line: -len(self._in_line(line)))


@breaks("claim.lanes")
class EmptiesOneLaneBeforeTheNext(Claim):
    """A batch is drawn from the first lane that has one."""

    def _in_turn(self, queue: str) -> list[Line]:
        return super()._in_turn(queue)[:1]


@breaks("claim.share")
class KnowsNoShare(Claim):
    """An upstream takes what it can get."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        super().__init__(state, replace(request, share=None), nonce, now)


@breaks("claim.share")
class NeverGoesOverTheShare(Claim):
    """Slots that nobody else wants stay empty."""

    def _serve(self, queue: str, wanted: int, *, capped: bool) -> None:
        super()._serve(queue, wanted, capped=True)


@breaks("claim.share")
class ForgetsWhatIsHeld(Claim):
    """A share counts the jobs of one claim alone."""

    def __init__(self, state: State, request: ClaimRequest, nonce: str, now: datetime) -> None:
        super().__init__(state, replace(request, held={}), nonce, now)


@breaks("claim.share")
class CountsTheShareByLane(Claim):
    """Every lane of an upstream has the whole share."""

    def _draw(self, line: Line, wanted: int) -> int:
        held = dict(self._held)
        drawn = super()._draw(line, wanted)
        self._held = held
        return drawn
