"""What a run's calls came to: told to the health of upstreams, and decisive for what becomes of the job.

A handler that marks its calls by `ctx.upstream` is taken at its word. Of one that never does, the whole run is one
call to the upstream of its lane.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tidegate.clock import Clock
from tidegate.context import Spent
from tidegate.core.failure import Failure, failure_of
from tidegate.core.fault import REACTIONS, Fault, fault_of, says_rate_limited
from tidegate.core.job import (
    Deferred,
    Lane,
    Lease,
    Outcome,
    Raised,
    Returned,
    TimedOut,
    UpstreamFailed,
    UpstreamRefused,
)
from tidegate.core.text import check_name
from tidegate.errors import SHORTEST_DEFERRAL, InvalidInput, Steer
from tidegate.upstreams import QUEUES, UPSTREAM, Call, Upstreams, gate_of
from tidegate.worker.origins import leaves, origins
from tidegate.worker.producing import GaveWay


@dataclass(frozen=True, slots=True)
class Left:
    """A marked call that an exception left; `fault` is None where it was merely cancelled."""

    error: BaseException
    call: Call
    fault: Fault | None
    lasted: timedelta


@dataclass(slots=True)
class Calls:
    """The calls of one run, from any thread. `begin` when the run begins, `judge` once when it has ended."""

    lease: Lease
    to: Upstreams
    clock: Clock
    timed_out: Callable[[], bool]
    spent: list[tuple[str, Spent]] = field(default_factory=list)
    _began: float = 0.0
    _whole: Call | None = None
    _marked: set[str] = field(default_factory=set)
    _called: set[str] = field(default_factory=set)
    _left: list[Left] = field(default_factory=list)
    _blamed: Left | None = None

    @property
    def _eras(self) -> dict[str, int]:
        """Of each gate of the lane; 0 of those that nobody had heard of when the job was claimed."""
        return {gate: self.lease.eras.get(gate, 0) for gate in self.lease.job.lane.gates}

    def begin(self) -> None:
        """The run begins: until a call is marked, it is one call as a whole."""
        lane = self.lease.job.lane
        self._began = self.clock.monotonic()
        if lane.upstream is not None:
            self._whole = Call(upstream=lane.upstream, parents=lane.parents, eras=self._eras, job=self.lease.job.id)
            self.to.began(self._whole)

    def judge(self, outcome: Outcome) -> Outcome:
        """Tell what the run came to, and say what that is for the job."""
        if self._whole is not None:
            self.to.ended(self._whole)
        failure = outcome.failure if isinstance(outcome, Raised) else None
        fault = Fault.SLOW if isinstance(outcome, TimedOut) else fault_of(failure) if failure else None
        self._tell_whole(outcome, fault, failure)
        self._tell_queue(outcome, failure)
        return outcome if failure is None else self._refunded(outcome, failure, fault)

    def gave_way(self, how: GaveWay) -> Outcome:
        """What becomes of a job whose handler chose to run again."""
        job = self.lease.job
        if self._whole is not None:
            self.to.ended(self._whole)
        try:
            lane = None if how.upstream is None else self._lane(check_name("upstream", how.upstream))
        except InvalidInput as exc:
            return Raised(failure=replace(failure_of(exc), transient=False))
        if how.refused and lane is not None:
            return UpstreamRefused(lane=job.lane if how.upstream in _names(job.lane) else lane)
        after = how.after if how.until is None else max(how.until - self.to.now(), SHORTEST_DEFERRAL)
        return Deferred(after=after, lane=lane, failure=how.failure)

    def _lane(self, upstream: str, parents: tuple[str, ...] = ()) -> Lane:
        known = parents or self.to.policies.parents(upstream)
        return replace(self.lease.job.lane, upstream=upstream, parents=known)

    def _tell_whole(self, outcome: Outcome, fault: Fault | None, failure: Failure | None) -> None:
        call = self._own()
        if call is None:
            return
        lasted = self._lasted(self._began)
        if isinstance(outcome, Returned):
            self.to.succeeded(call, lasted)
        elif fault is not None and not self._left:
            self.to.failed(call, fault, lasted, failure.retry_after if failure else None)

    def _own(self) -> Call | None:
        """The run as a whole, where that is one call: its handler marks none to that upstream."""
        call = self._whole
        marks = call is not None and (
            call.upstream in self._marked or self.to.marks(self.lease.job.spec.type, call.upstream)
        )
        return None if marks else call

    def _tell_queue(self, outcome: Outcome, failure: Failure | None) -> None:
        """A queue that doesn't pause by itself hears nothing bad: there any end but a rate limit raises its limit."""
        queue = self.lease.job.lane.queue
        era, breaks = self._eras[gate_of(QUEUES, queue)], self.to.policies.breaks(queue)
        if failure is not None and says_rate_limited(failure):
            if breaks:
                self.to.queue_limited(queue, self._lasted(self._began), self.lease.job.id, era)
        elif isinstance(outcome, Returned) or (isinstance(outcome, Raised | Deferred) and not breaks):
            self.to.queue_succeeded(queue, era)

    def _refunded(self, outcome: Outcome, failure: Failure, fault: Fault | None) -> Outcome:
        """An upstream's fault is no attempt of the job's, and the job waits in that upstream's lane."""
        limited = self.to.policies.breaks(self.lease.job.lane.queue) and says_rate_limited(failure)
        call = self._own()
        if self._blamed is not None:
            call, fault = self._blamed.call, self._blamed.fault
        if limited and call is None:
            return UpstreamFailed(lane=self.lease.job.lane, failure=failure)
        if call is None or fault is None or not REACTIONS[fault].refunds:
            return outcome
        mine = call.upstream == self.lease.job.lane.upstream
        lane = self.lease.job.lane if mine else self._lane(call.upstream, call.parents)
        rules = self.to.policies.rules(gate_of(UPSTREAM, call.upstream))
        return UpstreamFailed(
            lane=lane,
            failure=failure,
            prompt=self.to.may_retry(call),
            backoff=rules.again,
            at_least=self.to.after_next_probe(call),
        )

    def blame(self, error: BaseException) -> None:
        """The run ends by `error`: if that, or what it came of, left a marked call, that call is to blame.

        One that was cancelled by a timeout of the handler's own was too slow.
        """
        for origin in origins(error):
            for left in self._left:
                if left.error is origin:
                    self._blamed = left if left.fault is not None else self._too_slow(left, error)
                    return

    def _too_slow(self, left: Left, error: BaseException) -> Left | None:
        if fault_of(failure_of(error)) is not Fault.SLOW:
            return None
        self.to.failed(left.call, Fault.SLOW, left.lasted)
        return replace(left, fault=Fault.SLOW)

    # told by `marking.Marked` -----------------------------------------------------------------------------------------

    def enter(self, name: str, parents: tuple[str, ...]) -> Call:
        """A marked call begins; raises UpstreamUnavailable."""
        return self._entered(self.to.admit(name, parents, self.lease.job.id, self._eras))

    @property
    def user(self) -> str:
        """Whose job it is."""
        return self.lease.job.spec.user_id

    async def borrow(self, name: str, parents: tuple[str, ...]) -> Call:
        """A marked call begins as a probe; raises UpstreamUnavailable."""
        return self._entered(await self.to.borrow(name, parents, self.lease.job.id, self._eras))

    def _entered(self, call: Call) -> Call:
        """The claim has paid for the first call of the run's own lane: every other one is charged."""
        self.to.charge(call, () if call.upstream in self._called else self._eras)
        self._called.add(call.upstream)
        self.to.began(call)
        return call

    def leave(self, call: Call, began: float, error: BaseException | None) -> None:
        """A marked call has ended."""
        self.to.ended(call)
        if error is None:
            self.to.succeeded(call, self._lasted(began))
        elif isinstance(error, asyncio.CancelledError):
            if self.timed_out():
                self.to.failed(call, Fault.SLOW, self._lasted(began))
            else:
                self._left.append(Left(error, call, None, self._lasted(began)))
        else:
            self._failed(call, error, self._lasted(began))

    def _failed(self, call: Call, error: BaseException, lasted: timedelta) -> None:
        """An exception left a call: the first that is a fault of the upstream's, where it is a group."""
        for each in leaves(error):
            failure = failure_of(each)
            fault = None if isinstance(each, Steer) else fault_of(failure)
            if fault is not None:
                self._left += [Left(origin, call, fault, lasted) for origin in (error, each)]
                self.to.failed(call, fault, lasted, failure.retry_after)
                return

    def mark(self, name: str) -> None:
        """The handler says itself when it calls that upstream, also where that is refused."""
        self._marked.add(name)
        self.to.mark(self.lease.job.spec.type, name)

    def _lasted(self, began: float) -> timedelta:
        return timedelta(seconds=self.clock.monotonic() - began)


def watched(lease: Lease, to: Upstreams) -> bool:
    """Whether a run tells of an upstream or of its queue, even where its handler marks no call.

    Of its queue where that pauses by itself, or was paused by hand: then it may have a limit.
    """
    lane = lease.job.lane
    return lane.upstream is not None or to.policies.breaks(lane.queue) or gate_of(QUEUES, lane.queue) in lease.eras


def _names(lane: Lane) -> tuple[str, ...]:
    return () if lane.upstream is None else (lane.upstream, *lane.parents)
