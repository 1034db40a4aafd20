"""The health of upstreams as one process sees and shapes it: the shell around `core.breaker`."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tidegate.core.billing import spent_until
from tidegate.core.breaker import next_probe_in, reset
from tidegate.core.fault import REACTIONS, Fault, Reaction, Scope
from tidegate.core.job import Lane
from tidegate.core.rules import Rules
from tidegate.core.upstream import (
    Mark,
    Overridden,
    Override,
    Present,
    Seen,
    State,
    Upstream,
    may_retry,
    overridden,
    paced,
    quiet,
    shut_until,
    slow_after,
    state,
)
from tidegate.core.verbs import Pace
from tidegate.errors import EngineUnavailable, UpstreamUnavailable
from tidegate.upstreams.budgets import Budgets
from tidegate.upstreams.keeping import Keeper, Reach
from tidegate.upstreams.policies import QUEUES, UPSTREAM, Policies, gate_of
from tidegate.upstreams.probes import Call
from tidegate.upstreams.tallies import Success

PACED_FOR: Final = timedelta(seconds=60)
"""How long a pace holds that an answer's headers asked for; limits of tokens and requests are most often a minute's."""


class Upstreams:
    """Read without a store call, told from any thread; `keeper.work` carries both to and from the store."""

    def __init__(self, to: Reach, policies: Policies) -> None:
        self._to = to
        self.policies = policies
        self.keeper = Keeper(to, policies)
        self.budgets = Budgets(self.keeper)
        self._marking: set[tuple[str, str]] = set()

    # reading --------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The store's present."""
        return self.keeper.clock.now()

    def upstream(self, gate: str) -> Upstream:
        """What is known of a gate."""
        return self.keeper.board.view(gate).upstream

    def known(self, gate: str) -> tuple[Upstream, Rules]:
        """The same, with the rules that hold for it."""
        return self.upstream(gate), self.policies.rules(gate)

    def all(self, kind: str) -> dict[str, Upstream]:
        """All that the store has of a kind and all that was declared, by name."""
        declared = self.policies.upstreams if kind == UPSTREAM else self.policies.queues
        stored = (gate.partition(":") for gate in self.keeper.board.all())
        names = {*declared, *(name for of, _, name in stored if of == kind)}
        return {name: self.upstream(gate_of(kind, name)) for name in sorted(names)}

    def open_until(self, lane: Lane) -> tuple[str, datetime] | None:
        """Of a lane's upstream and its parents the one that is open longest, and until when; None if none is."""
        now, found = self.now(), []
        for gate in lane.gates[1:]:
            upstream = self.upstream(gate)
            until = shut_until(upstream, now)
            if until is not None and state(upstream, now) is State.OPEN:
                found.append((gate.partition(":")[2], until))
        return max(found, key=lambda each: each[1], default=None)

    def shut(self) -> frozenset[str]:
        """The gates that admit nothing now."""
        now = self.now()
        return frozenset(gate for gate, view in self.keeper.board.all().items() if shut_until(view.upstream, now))

    def may_retry(self, call: Call) -> bool:
        """Whether the fleet's budget allows one more call like this; if so, it is taken from it."""
        gate, tallies = call.gates[0], self.keeper.tallies
        if not may_retry(self.upstream(gate), self.now(), tallies.retries(gate)):
            return False
        tallies.retried(gate, call.eras.get(gate, 0))
        return True

    def after_next_probe(self, call: Call) -> timedelta:
        """How long a job must wait so that another one is the next probe; zero where its call was none."""
        gate = call.gates[0]
        upstream = self.upstream(gate)
        if call.eras.get(gate, 0) < upstream.since:
            return timedelta(0)
        return next_probe_in(upstream, self.policies.rules(gate))

    # calls ----------------------------------------------------------------------------------------------------

    def admit(
        self, name: str, parents: tuple[str, ...], job: str, leased: Mapping[str, int], lent: Collection[str] = ()
    ) -> Call:
        """Let a call through; raises UpstreamUnavailable where the breaker of one of its gates is not closed.

        Or where a budget is spent, also to who was claimed before it was: another call would be paid for. `leased` are
        the eras of the gates that the caller's job was claimed through: those have let it in already. `lent` are
        half-open gates whose probe the caller was given. Where the error has no `until`, there is one.
        """
        now, call = self.now(), Call(upstream=name, parents=parents, job=job)
        eras: dict[str, int] = {}
        for gate in call.gates:
            upstream, held = self.upstream(gate), leased.get(gate, -1)
            until, untold = shut_until(upstream, now), self.keeper.tallies.untold(gate)
            spent = spent_until(upstream, self.policies.rules(gate), now, untold)
            if spent is not None:
                raise UpstreamUnavailable(gate.partition(":")[2], spent, spent=True)
            if held >= upstream.since:
                eras[gate] = held
            elif until is None and (gate in lent or state(upstream, now) is State.CLOSED):
                eras[gate] = upstream.era
            else:
                raise UpstreamUnavailable(gate.partition(":")[2], until)
        return replace(call, eras=eras)

    async def borrow(self, name: str, parents: tuple[str, ...], job: str, leased: Mapping[str, int]) -> Call:
        """Let a call through as the probe of every gate that is half-open; raises UpstreamUnavailable where it is not.

        For calls of jobs that wait in another lane, or in none: else nobody might ever find out.
        """
        lent: set[str] = set()
        for gate in Call(upstream=name, parents=parents).gates:
            upstream = self.upstream(gate)
            if leased.get(gate, -1) < upstream.since and state(upstream, self.now()) is State.HALF_OPEN:
                with suppress(EngineUnavailable):
                    if await self.keeper.borrow(gate):
                        lent.add(gate)
        return self.admit(name, parents, job, leased, lent)

    def mark(self, job_type: str, upstream: str) -> None:
        """Handlers of that type say themselves when they call that upstream."""
        self._marking.add((job_type, upstream))

    def marks(self, job_type: str, upstream: str) -> bool:
        """Whether they do: a run without a marked call then says nothing of the upstream."""
        return (job_type, upstream) in self._marking

    def began(self, call: Call) -> None:
        """A call is under way: should it be a probe, its time is counted."""
        self.keeper.probes.began(call, self._to.clock.monotonic())

    def charge(self, call: Call, claimed: Collection[str]) -> None:
        """A call counts against the pace of its gates, but of those that its job was `claimed` through."""
        for gate in call.gates:
            if gate not in claimed and paced(*self.known(gate), self.now()) is not None:
                self.keeper.tallies.started(gate, call.eras[gate])

    def ended(self, call: Call) -> None:
        """It is over, whatever it came to."""
        self.keeper.probes.ended(call)

    def succeeded(self, call: Call, lasted: timedelta) -> None:
        """A call gave what was asked for."""
        mark, urgent = Mark(at=self.now(), job=call.job), False
        for gate in call.gates:
            upstream = self.upstream(gate)
            limit = slow_after(upstream, self.policies.rules(gate))
            success = Success(mark=mark, lasted=lasted, slow=limit is not None and lasted > limit)
            decides = upstream.state is State.OPEN
            self.keeper.tallies.good(gate, call.eras.get(gate, upstream.era), success, urgent=decides)
            urgent = urgent or decides
        if urgent:
            self.keeper.hurry()

    def failed(self, call: Call, fault: Fault, lasted: timedelta, retry_after: timedelta | None = None) -> None:
        """A call failed. A fault that says nothing of the upstream changes nothing."""
        reaction = REACTIONS[fault]
        if not (reaction.counts or reaction.blocks):
            return
        seen = Seen(fault=fault, at=self.now(), lasted=lasted, job=call.job, retry_after=retry_after)
        for gate in _concerned(call, reaction):
            source = "" if gate == call.gates[0] else call.upstream
            era = call.eras.get(gate, self.upstream(gate).era)
            self.keeper.tallies.bad(gate, era, replace(seen, source=source))
        self.keeper.hurry()

    def hinted(self, call: Call, retry_after: timedelta | None, pace: Pace | None) -> None:
        """A good answer asked for a pace, or for silence: there is next to nothing left of what is allowed."""
        gate = call.gates[0]
        if pace is None and retry_after is not None:
            pace = Pace(period=max(retry_after, timedelta(milliseconds=1)))
        if pace is not None:
            until = self.now() + max(retry_after or PACED_FOR, timedelta(seconds=1))
            self.keeper.tallies.paced(gate, call.eras.get(gate, 0), pace, until)
            self.keeper.hurry()

    # queues (REQUIREMENTS B) ----------------------------------------------------------------------------------

    def queue_limited(
        self, queue: str, lasted: timedelta = timedelta(0), job: str = "", era: int | None = None
    ) -> None:
        """A job of a queue met a rate limit; it was claimed in that era of the queue's gate."""
        gate = gate_of(QUEUES, queue)
        seen = Seen(fault=Fault.RATE_LIMITED, at=self.now(), lasted=lasted, job=job)
        self.keeper.tallies.bad(gate, self.upstream(gate).era if era is None else era, seen)
        self.keeper.hurry()

    def queue_succeeded(self, queue: str, era: int | None = None) -> None:
        """A job of a queue succeeded, claimed in that era of its gate: the run of rate limits is over.

        Where nobody knows the era, it is no probe: it lifts no pause before its time.
        """
        gate = gate_of(QUEUES, queue)
        upstream, now = self.upstream(gate), self.now()
        held = upstream.state is State.OPEN and upstream.until is not None and upstream.until > now
        if quiet(upstream) or (era is None and held):
            return
        decides = upstream.state is State.OPEN or upstream.run > 0
        success = Success(mark=Mark(at=now), lasted=timedelta(0))
        self.keeper.tallies.good(gate, upstream.era if era is None else era, success, urgent=decides)
        if decides:
            self.keeper.hurry()

    # operators ------------------------------------------------------------------------------------------------

    async def override(
        self, gate: str, word: Override | None, *, author: str, last: timedelta | None = None
    ) -> Upstream:
        """Decide for the fleet, or with None let the breaker decide again; raises EngineUnavailable."""

        def change(upstream: Upstream, now: datetime) -> Upstream:
            until = None if last is None else now + last
            given = None if word is None else Overridden(word=word, author=author, at=now, until=until)
            return overridden(upstream, given, now, author)

        return (await self.keeper.change(gate, change)).upstream

    async def reset(self, gate: str, *, author: str) -> Upstream:
        """Close a breaker, and drop an operator's word; raises EngineUnavailable."""
        rules = self.policies.rules(gate)

        def change(upstream: Upstream, now: datetime) -> Upstream:
            return reset(upstream, rules, Present(now=now), author)

        return (await self.keeper.change(gate, change)).upstream


def _concerned(call: Call, reaction: Reaction) -> tuple[str, ...]:
    own, *shared = call.gates
    match reaction.scope:
        case Scope.PROVIDER:
            return call.gates
        case Scope.ACCOUNT if shared:
            return (shared[0],)
        case _:
            return (own,)
