"""A fleet, a provider and a store, small enough to be right by eye; whatever they do, the breaker keeps its promises.

The model counts leases as an engine does, delivers outcomes late, twice or never, crashes workers, and loses the
newest writes. It knows nothing of how the core decides.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import settings, target
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tidegate.core.breaker import observe, tick
from tidegate.core.fault import REACTIONS, Fault
from tidegate.core.rules import API, LLM, PROVIDER, QUEUE, Rules
from tidegate.core.upstream import (
    FOREVER,
    Mark,
    Overridden,
    Override,
    Present,
    Seen,
    State,
    Tally,
    Upstream,
    fenced,
    gate,
    overridden,
    shut_until,
    state,
)
from tidegate.core.verbs import Gate

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = {
    rules.name: rules
    for rules in (API, LLM, QUEUE, replace(PROVIDER, name="parent"), replace(API, name="limited", limit=3))
}
STEPS = [1e-6, 0.1, 1, 4.999999, 5, 5.000001, 29.999999, 30, 60, 65, 600, 4000]
FAULTS = [Fault.SERVER_ERROR, Fault.RATE_LIMITED, Fault.SLOW, Fault.QUOTA, Fault.AUTH, Fault.BAD_REQUEST, Fault.DOWN]


@dataclass(eq=False)
class Call:
    """One job that was let through, as an engine knows it."""

    job: str
    source: str
    era: int
    counted: bool
    begun: datetime


@dataclass
class Store:
    """What survives: the document, its gate and the leases. `past` is what a failover may fall back to."""

    upstream: Upstream = field(default_factory=Upstream)
    gate: Gate = field(default_factory=lambda: Gate(name="a", era=-1))
    past: list[tuple[Upstream, Gate]] = field(default_factory=list)

    def swap(self, upstream: Upstream, gate: Gate) -> None:
        """As every engine: no limit where there was none without a higher era."""
        assert gate.limit is None or self.gate.limit is not None or gate.era > self.gate.era
        self.past = [*self.past, (self.upstream, self.gate)][-4:]
        self.upstream, self.gate = upstream, gate


class Fleet(RuleBasedStateMachine):
    """Workers that claim what the gate allows."""

    @initialize(name=st.sampled_from(sorted(RULES)), dice=st.sampled_from([0.0, 0.5, 0.999]))
    def begin(self, name: str, dice: float) -> None:
        self.policy: Rules = RULES[name]
        self.dice, self.now, self.store = dice, START, Store()
        self.calls: list[Call] = []
        self.late: list[Tally] = []
        self.jobs = count()
        self.half_open, self.half_opens = False, 0

    # what the shell does ------------------------------------------------------------------------------------------

    @property
    def upstream(self) -> Upstream:
        return self.store.upstream

    @property
    def present(self) -> Present:
        return Present(now=self.now, dice=self.dice, running=len(self.calls))

    def save(self, changed: Upstream) -> None:
        changed = fenced(changed, self.policy, self.now)
        if changed != self.upstream:
            self.check_step(self.upstream, changed)
            self.store.swap(changed, gate(changed, self.policy, "a", self.now))

    def check_step(self, before: Upstream, after: Upstream) -> None:
        """I2, I6: eras grow, edges are legal, and nothing that was promised to wait is let through earlier."""
        assert after.era >= before.era
        if after.state is not before.state:
            assert after.era > before.era
            assert after.since == after.era or after.era > after.since > before.since
        if before.gate_until is not None:
            assert after.gate_until is not None
            assert after.gate_until >= before.gate_until
        if before.state is after.state is State.OPEN and before.until and before.until > self.now:
            assert after.until is not None
            assert after.until >= before.until or before.override is not None

    def admits(self) -> bool:
        """As an engine claims: not before, and so many leases of the gate's era."""
        held = self.store.gate
        if held.not_before is not None and held.not_before > self.now:
            return False
        running = sum(1 for call in self.calls if call.counted and call.era == held.era)
        return held.limit is None or running < held.limit

    def tell(self, tally: Tally) -> None:
        before = self.upstream
        after = observe(before, tally, self.policy, self.present)
        if tally.era < before.since:
            assert after == before  # I3
        reactions = [REACTIONS[seen.fault] for seen in tally.faults]
        if not tally.ok and not any(reaction.counts or reaction.blocks for reaction in reactions):
            assert after.faults == before.faults  # I7
            assert after.run == before.run
        self.save(after)

    def outcome(self, call: Call, fault: Fault | None, retry_after: float | None) -> Tally:
        if fault is None:
            took = (self.now - call.begun).total_seconds()
            return Tally(era=call.era, ok=1, seconds=took, good=(Mark(at=self.now, job=call.job, source=call.source),))
        wait = None if retry_after is None else timedelta(seconds=retry_after)
        seen = Seen(fault=fault, at=self.now, lasted=self.now - call.begun, job=call.job, source=call.source)
        return Tally(era=call.era, faults=(replace(seen, retry_after=wait),))

    def claim(self) -> Call | None:
        if not self.admits():
            return None
        held = self.store.gate
        number = next(self.jobs)
        call = Call(f"job-{number}", "ab"[number % 2], max(held.era, 0), held.limit is not None, self.now)
        self.calls.append(call)
        return call

    def to_the_edge(self, off: timedelta) -> None:
        until = shut_until(self.upstream, self.now)
        if until is not None and until < FOREVER:
            self.now = max(self.now, until + off)

    def ticked(self) -> None:
        begun = [call.begun for call in self.calls if call.era >= self.upstream.since]
        probing = self.now - min(begun) if begun else None
        self.save(tick(self.upstream, self.policy, self.present, probing))

    # what happens -------------------------------------------------------------------------------------------------

    @rule(number=st.integers(1, 8))
    def claims(self, number: int) -> None:
        shut = shut_until(self.upstream, self.now)
        for _ in range(number):
            if self.claim() is not None:
                assert shut is None or shut != self.store.gate.not_before  # I5

    @precondition(lambda self: self.calls)
    @rule(
        data=st.data(),
        fault=st.none() | st.sampled_from(FAULTS),
        retry_after=st.none() | st.sampled_from([-1.0, 0.0, 2.0, 100.0, 1e9]),
        fate=st.sampled_from(["told", "told", "told", "late", "twice", "lost"]),
    )
    def ends(self, data: st.DataObject, fault: Fault | None, retry_after: float | None, fate: str) -> None:
        call = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        tally = self.outcome(call, fault, retry_after)
        if fate in ("told", "twice"):
            self.tell(tally)
        if fate in ("late", "twice"):
            self.late.append(tally)

    @rule(number=st.integers(6, 9), fault=st.sampled_from(FAULTS), wait=st.sampled_from([0.0, 1.0]))
    def fails(self, number: int, fault: Fault, wait: float) -> None:
        """An outage: without it the machine hardly ever gets to half-open."""
        for _ in range(number):
            self.now += timedelta(seconds=wait)
            call = self.claim()
            if call is not None:
                self.now += timedelta(microseconds=1)
                self.calls.remove(call)
                self.tell(self.outcome(call, fault, None))

    @precondition(lambda self: self.upstream.state is State.OPEN)
    @rule()
    def recovers(self) -> None:
        """A probe that succeeds; without it the machine hardly ever closes."""
        self.to_the_edge(timedelta(0))
        call = self.claim()
        if call is not None:
            self.now += timedelta(microseconds=1)
            self.calls.remove(call)
            self.tell(self.outcome(call, None, None))

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def hears_late(self, data: st.DataObject) -> None:
        self.tell(self.late.pop(data.draw(st.integers(0, len(self.late) - 1))))

    @rule(number=st.integers(1, 4))
    def crashes(self, number: int) -> None:
        """Leases that expired: nobody tells how the calls went."""
        del self.calls[:number]

    @rule(step=st.sampled_from(STEPS))
    def waits(self, step: float) -> None:
        self.now += timedelta(seconds=step)

    @precondition(lambda self: self.upstream.state is State.OPEN)
    @rule(off=st.sampled_from([-1, 0, 1]))
    def waits_for_the_edge(self, off: int) -> None:
        self.to_the_edge(timedelta(microseconds=off))

    @rule()
    def ticks(self) -> None:
        self.ticked()

    @rule(word=st.none() | st.sampled_from(Override), lasting=st.none() | st.sampled_from([1.0, 30.0]))
    def decides(self, word: Override | None, lasting: float | None) -> None:
        until = None if lasting is None else self.now + timedelta(seconds=lasting)
        given = None if word is None else Overridden(word=word, author="ada", at=self.now, until=until)
        self.save(overridden(self.upstream, given, self.now, "ada"))
        if word is not None:  # I10
            expected = State.OPEN if word is Override.OPEN else State.CLOSED
            assert state(self.upstream, self.now) is expected
            assert replace(self.upstream, override=None).state is self.upstream.state

    @rule(name=st.sampled_from(sorted(RULES)))
    def is_configured_anew(self, name: str) -> None:
        self.policy = RULES[name]

    @precondition(lambda self: self.store.past)
    @rule(number=st.integers(1, 4))
    def fails_over(self, number: int) -> None:
        """The newest writes are lost, and the leases that were claimed by them."""
        self.store.upstream, self.store.gate = self.store.past[-number:][0]
        self.store.past = self.store.past[:-number]
        self.calls = [call for call in self.calls if call.era <= self.store.gate.era]

    # what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def is_looked_at(self) -> None:
        self.half_opens += self.half_open is False and state(self.upstream, self.now) is State.HALF_OPEN
        self.half_open = state(self.upstream, self.now) is State.HALF_OPEN

    @invariant()
    def no_more_probes_than_allowed(self) -> None:
        """I1: of the era that probes are counted in."""
        held = self.store.gate
        running = sum(1 for call in self.calls if call.counted and call.era == held.era)
        if self.upstream.state is State.OPEN and self.upstream.override is None:
            assert running <= self.policy.probing.most
            assert held.limit is not None

    def teardown(self) -> None:
        """I4: from here on the provider is well, operators are silent, and workers claim and tick once a second."""
        target(float(self.half_opens), label="half open")
        target(float(sum(change.to == State.CLOSED for change in self.upstream.log)), label="closings")
        self.save(overridden(self.upstream, None, self.now, "ada"))
        shut = shut_until(self.upstream, self.now) or self.now
        times = self.policy.open_time
        longest = max(times.first, times.cap) * (1 + times.jitter)
        deadline = shut + longest + self.policy.probing.hard + timedelta(seconds=5)
        self.now = shut
        self.ticked()
        while self.upstream.state is State.OPEN:
            assert self.now <= deadline, f"still {self.upstream.why} at {self.now}"
            fresh = self.claim()
            self.now += timedelta(seconds=1)
            if fresh is not None:
                self.calls.remove(fresh)
                self.tell(self.outcome(fresh, None, None))
            self.ticked()
        assert state(self.upstream, self.now) is State.CLOSED


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=min(settings().max_examples, 400), stateful_step_count=40)
