"""Any sequence of calls has the answers, and leaves the state, that the memory engine has and leaves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.conformance import drafts
from tests.conformance.build import seconds
from tests.conformance.drafts import Draft
from tests.conformance.harness import STORES
from tests.conformance.ledger import check_history
from tests.conformance.twins import Twins
from tidegate.core.ids import uuid7
from tidegate.core.job import Ending, Job, JobId, NewJob, Owner, Progress, Settlement, Status, Token
from tidegate.core.query import JobQuery, WorkerInfo
from tidegate.core.verbs import (
    Beat,
    Cancellation,
    Claimed,
    ClaimRequest,
    Gate,
    Reason,
    ReclaimRequest,
    Revival,
    Swap,
    Take,
)

T = TypeVar("T")

MADE_AT_MS = 1_767_225_600_000
STRANGER = JobId(uuid7(MADE_AT_MS - 1, bytes(10)))
"""Nobody submits it."""

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
WINDOWS = {"minute": (3, timedelta(minutes=1)), "second": (2, timedelta(seconds=1))}
"""The limit and length of each sliding window."""

some_places = st.lists(drafts.places, min_size=1, max_size=3)
some_endings = st.lists(drafts.endings, min_size=1, max_size=4)
statuses = st.none() | st.sampled_from(Status)


@dataclass(frozen=True, slots=True)
class Repeat:
    """A call to make again, and whether its answer is still promised."""

    promised: Callable[[], bool]
    call: Callable[[], object]


def always() -> bool:
    """For calls whose repeats are promised without end."""
    return True


class Life(RuleBasedStateMachine):
    """What workers and clients do to jobs."""

    store: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins(self.store)
        self.numbers = count(1)
        self.ids: list[JobId] = []
        self.jobs: dict[JobId, Job] = {}
        self.tokens: list[tuple[JobId, Token]] = []
        self.waited: set[Token] = set()
        self.edges: set[datetime] = set()
        self.repeats: list[Repeat] = []

    def teardown(self) -> None:
        try:
            for job_id, job in self.jobs.items():
                check_history(job, self.twins.history(job_id))
        finally:
            self.twins.close()

    @property
    def now(self) -> datetime:
        return self.twins.clock.now()

    def nonce(self) -> str:
        return f"{next(self.numbers):032x}"

    def made(self, draft: Draft, *, keyless: bool = False) -> NewJob:
        """The job of a draft, with a fresh id or one of before."""
        job_id = JobId(uuid7(MADE_AT_MS, next(self.numbers).to_bytes(10, "big")))
        if draft.again is not None and self.ids and not keyless:
            job_id = picked(self.ids, draft.again)
        else:
            self.ids.append(job_id)
        return draft.made(job_id, self.now, keyless=keyless)

    def ids_of(self, status: Status | None, places: Sequence[int]) -> list[JobId]:
        """Some of the jobs of a status, or of all where none has it."""
        mine = [job_id for job_id, job in self.jobs.items() if job.status is status]
        return [picked(mine or self.ids, place) for place in places]

    @invariant()
    def both_show_the_same(self) -> None:
        before, found = self.jobs, self.twins.look(self.ids)
        self.jobs = {job.id: job for job in found if job is not None}
        for job_id, job in self.jobs.items():
            assert 0 <= job.attempts <= job.counters.runs
            assert job_id not in before or before[job_id].counters.runs <= job.counters.runs

    # rules ------------------------------------------------------------------------------------------------

    @initialize(batch=st.lists(drafts.drafts, min_size=3, max_size=8))
    def begin(self, batch: Sequence[Draft]) -> None:
        self.submit(batch)

    @rule(batch=st.lists(drafts.drafts, min_size=1, max_size=5))
    def submit(self, batch: Sequence[Draft]) -> None:
        jobs = [self.made(draft) for draft in batch]
        self.twins.agree(lambda engine: engine.submit(jobs))

    @rule(request=drafts.requests | drafts.generous_requests)
    def claim(self, request: ClaimRequest) -> None:
        self.claimed(request)

    def claimed(self, request: ClaimRequest) -> Claimed:
        nonce, until = self.nonce(), self.now + request.lease_for
        claimed = self.twins.claim(request, nonce)
        self.tokens += [(lease.job.id, lease.token) for lease in claimed.leases]
        if claimed.leases:
            self.edges.add(until)
            self.repeats.append(Repeat(lambda: self.now < until, lambda: self.twins.claim(request, nonce)))
        return claimed

    @precondition(lambda self: any(job.status is Status.QUEUED for job in self.jobs.values()))
    @rule(request=drafts.generous_requests, endings=some_endings, twice=st.booleans())
    def work(self, request: ClaimRequest, endings: Sequence[Settlement], twice: bool) -> None:
        """Claim, and end some of the runs at once; and say it all again while a newer run is under way."""
        leases = self.claimed(request).leases
        claim = self.repeats[-1] if leases else None
        ended = [
            Ending(job_id=lease.job.id, token=lease.token, settlement=ending)
            for lease, ending in zip(leases, endings, strict=False)
        ]
        self.ends(ended)
        if twice and claim is not None:
            claim.call()
            self.claimed(request)
            self.twins.agree(lambda engine: engine.settle(ended))

    def ends(self, endings: Sequence[Ending]) -> None:
        self.twins.agree(lambda engine: engine.settle(endings))
        self.repeats.append(Repeat(always, lambda: self.twins.agree(lambda engine: engine.settle(endings))))

    @rule(request=drafts.requests.filter(lambda request: request.limit > 0))
    def doze_as_long_as_a_claim_allows(self, request: ClaimRequest) -> None:
        """`more` and `wake_at`: nothing is to be had now, nor until just before that instant."""
        claimed = self.claimed(request)
        if claimed.more:
            return
        held = dict(request.held)
        for upstream in (lease.job.lane.upstream for lease in claimed.leases):
            held |= {upstream: held.get(upstream, 0) + 1} if upstream else {}
        request = replace(request, held=held)
        news = self.twins.claim(request, self.nonce())
        assert news.leases == ()
        sleep = DAY if news.wake_at is None else max(news.wake_at - self.now - TICK, timedelta(0))
        self.twins.clock.advance(sleep)
        later = self.twins.claim(request, self.nonce())
        assert (later.leases, later.overdue) == ((), news.overdue)

    @precondition(lambda self: self.tokens)
    @rule(places=some_places, progress=drafts.progress, lease_for=drafts.lease_times)
    def renew(self, places: Sequence[int], progress: Progress | None, lease_for: timedelta) -> None:
        self.edges.add(self.now + lease_for)
        beats = [Beat(*picked(self.tokens, place), progress) for place in places]
        self.twins.agree(lambda engine: engine.renew(beats, lease_for))

    @precondition(lambda self: self.tokens)
    @rule(
        runs=st.lists(st.tuples(drafts.places, drafts.endings, drafts.waited_endings), min_size=1, max_size=3),
        then=st.lists(drafts.drafts, max_size=1),
    )
    def settle(self, runs: Sequence[tuple[int, Settlement, Settlement]], then: Sequence[Draft]) -> None:
        follow_ups = tuple(self.made(draft, keyless=True) for draft in then)
        endings = []
        for place, settlement, if_waited in runs:
            job_id, token = picked(self.tokens, place)
            chosen = if_waited if token in self.waited else settlement
            endings.append(Ending(job_id=job_id, token=token, settlement=chosen, then=follow_ups))
        self.ends(endings)

    @rule(
        after=st.none() | drafts.places,
        tick=st.booleans(),
        request=drafts.reclaims,
        keep=st.lists(drafts.places, max_size=2),
        only=st.none() | st.none() | some_places,
    )
    def reclaim(
        self, after: int | None, tick: bool, request: ReclaimRequest, keep: Sequence[int], only: Sequence[int] | None
    ) -> None:
        if after is not None:
            self.pass_to_an_edge(after, tick)
        kept = frozenset(picked(self.tokens, place)[1] for place in keep if self.tokens)
        narrowed = None if only is None else tuple(picked(self.ids, place) for place in only if self.ids)
        asked, nonce, until = replace(request, keep=kept, only=narrowed), self.nonce(), self.now + request.lease_for
        for taken in self.twins.reclaim(asked, nonce):
            self.edges.add(until)
            self.tokens.append((taken.lease.job.id, taken.lease.token))
            self.waited |= {taken.lease.token} if taken.reason is Reason.WAITED else set()
            self.repeats.append(Repeat(lambda: self.now < until, lambda: self.twins.reclaim(asked, nonce)))

    def pass_to_an_edge(self, place: int, tick: bool) -> None:
        """To one of the next instants that matter to a job or a lease, or to just before it."""
        for job in self.jobs.values():
            self.edges |= {at for at in (job.run_at, job.expires_at, job.timeout_at, job.prune_at) if at}
        ahead = sorted((edge for edge in self.edges if edge > self.now), reverse=True)
        if ahead:
            self.twins.clock.advance(picked(ahead, place) - self.now - tick * TICK)

    @rule(leap=drafts.leaps | drafts.places, tick=st.booleans())
    def let_time_pass(self, leap: float, tick: bool) -> None:
        if isinstance(leap, int):
            self.pass_to_an_edge(leap, tick)
        else:
            self.twins.clock.advance(seconds(leap))

    @precondition(lambda self: self.repeats)
    @rule(place=drafts.places)
    def repeat_a_call(self, place: int) -> None:
        repeat = picked(self.repeats, place)
        if repeat.promised():
            repeat.call()


class Operated(Life):
    """What operators do, too."""

    def __init__(self) -> None:
        super().__init__()
        self.newest_nonce: dict[str, str] = {}

    def remember(self, verb: str, nonce: str, call: Callable[[], object]) -> None:
        """A call that may be repeated until the next of its verb."""
        self.newest_nonce[verb] = nonce
        self.repeats.append(Repeat(lambda: self.newest_nonce[verb] == nonce, call))

    @precondition(lambda self: self.ids)
    @rule(status=statuses, places=some_places, unknown=st.booleans())
    def cancel(self, status: Status | None, places: Sequence[int], unknown: bool) -> None:
        nonce, ids = self.nonce(), self.ids_of(status, places) + [STRANGER] * unknown
        answers = self.twins.agree(lambda engine: engine.cancel(ids, nonce))
        asked_before = {job_id for job_id, job in self.jobs.items() if job.cancel_requested_at is not None}
        acted = (Cancellation.CANCELLED, Cancellation.REQUESTED)
        done = {job_id for job_id, answer in zip(ids, answers, strict=True) if answer in acted}
        mine = sorted(done - asked_before)
        self.remember("cancel", nonce, lambda: self.twins.agree(lambda engine: engine.cancel(mine, nonce)))

    @precondition(lambda self: self.ids)
    @rule(status=st.sampled_from([None, Status.FAILED, Status.CANCELLED]), places=some_places, unknown=st.booleans())
    def revive(self, status: Status | None, places: Sequence[int], unknown: bool) -> None:
        nonce, ids = self.nonce(), self.ids_of(status, places) + [STRANGER] * unknown
        answers = self.twins.agree(lambda engine: engine.revive(ids, nonce))
        mine = [job_id for job_id, answer in zip(ids, answers, strict=True) if answer is Revival.REVIVED]
        self.remember("revive", nonce, lambda: self.twins.agree(lambda engine: engine.revive(mine, nonce)))

    @precondition(lambda self: self.ids)
    @rule(places=some_places, unknown=st.booleans())
    def dismiss(self, places: Sequence[int], unknown: bool) -> None:
        ids = self.ids_of(Status.FAILED, places) + [STRANGER] * unknown
        self.twins.agree(lambda engine: engine.dismiss(ids))

    @rule(after=drafts.retentions, limit=st.sampled_from([1, 100, 100]))
    def prune(self, after: timedelta, limit: int) -> None:
        self.twins.clock.advance(after)
        self.twins.agree(lambda engine: engine.prune(limit))


class World(Operated):
    """Documents, gates, limits, presence and searches, too."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: dict[str, tuple[Gate, ...]] = dict.fromkeys(drafts.GATES, ())
        self.eras = {gate: 0 for gates in drafts.GATES.values() for gate in gates}
        self.nonces: list[str] = []

    @rule(
        key=st.sampled_from(sorted(drafts.GATES)),
        values=st.lists(st.tuples(drafts.gate_values, drafts.closed_for, st.booleans()), max_size=2),
        fate=st.sampled_from(["written", "written", "written", "deleted", "stale"]),
    )
    def swap(self, key: str, values: Sequence[tuple[Gate, float | None, bool]], fate: str) -> None:
        stored, model_stored = self.twins.load("upstream", key)
        gates = () if fate != "written" else tuple(self.gate(key, *told) for told in enumerate(values))
        value, off = None if fate == "deleted" else self.nonce().encode(), 1_000 if fate == "stale" else 0
        swap = Swap(
            kind="upstream", key=key, value=value, expected=stored.version + off, nonce=self.nonce(), gates=gates
        )
        model_expects = model_stored.version + off
        swapped = self.twins.swap(swap, model_expects)
        self.twins.scan("upstream")
        if swapped is not None and swapped.won:
            self.gates[key] = gates
            self.repeats.append(Repeat(always, lambda: self.twins.swap(swap, model_expects)))

    def gate(self, key: str, place: int, told: tuple[Gate, float | None, bool]) -> Gate:
        """One of a document's gates; one that was not there before begins a new era."""
        value, closed_for, new_era = told
        name = drafts.GATES[key][place % len(drafts.GATES[key])]
        there = any(gate.name == name for gate in self.gates[key])
        self.eras[name] += new_era or not there
        not_before = None if closed_for is None else self.now + seconds(closed_for)
        return replace(value, name=name, not_before=not_before, era=self.eras[name])

    @rule(asked=st.lists(st.tuples(st.sampled_from(sorted(WINDOWS)), st.integers(1, 3)), max_size=3))
    def take_or_give_back(self, asked: Sequence[tuple[str, int]]) -> None:
        takes = [Take(key=key, n=n, limit=WINDOWS[key][0], window=WINDOWS[key][1]) for key, n in asked]
        nonce, until = self.nonce(), self.now + timedelta(seconds=1)
        if not takes:
            back = self.nonces.pop() if self.nonces else nonce
            self.twins.agree(lambda engine: engine.give_back(back))
            return
        answers = self.twins.agree(lambda engine: engine.take(takes, nonce))
        if all(answer.granted for answer in answers):
            self.nonces.append(nonce)
            promised = Repeat(
                lambda: self.now < until and nonce in self.nonces,
                lambda: self.twins.agree(lambda engine: engine.take(takes, nonce)),
            )
            self.repeats.append(promised)

    @rule(query=drafts.queries, owner=drafts.owners, live_for=st.sampled_from([0.0, 5.0, 60.0]))
    def look_around(self, query: JobQuery, owner: Owner, live_for: float) -> None:
        worker = WorkerInfo(owner=owner, host="h", pid=1, started_at=self.now, version="1", slots=4)
        self.twins.agree(lambda engine: engine.announce(worker, seconds(live_for)))
        self.twins.agree(lambda engine: engine.workers())
        self.twins.find(query)


def picked(things: Sequence[T], place: int) -> T:
    """One of the things met so far; 0 is the newest."""
    return things[-1 - place % len(things)]


def explore(store_name: str, *, examples: int, calls: int) -> None:
    """Look for a sequence of calls on which a store and the model differ."""

    class OnThisStore(World):
        store = store_name

    run_state_machine_as_test(OnThisStore, settings=settings(max_examples=examples, stateful_step_count=calls))


@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_as_the_specification_does(store: str) -> None:
    explore(store, examples=100, calls=40)


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_as_the_specification_does_in_long_lives(store: str) -> None:
    explore(store, examples=20, calls=150)
