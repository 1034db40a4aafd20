"""Any sequence of calls has the answers, and leaves the state, that the memory engine has and leaves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.conformance import drafts
from tests.conformance.build import seconds
from tests.conformance.drafts import Draft
from tests.conformance.harness import STORES
from tests.conformance.twins import Twins
from tidegate.core.ids import uuid7
from tidegate.core.job import Ending, Job, JobId, NewJob, Owner, Progress, Settlement, Token
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
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
WINDOWS = {"minute": (3, timedelta(minutes=1)), "second": (2, timedelta(seconds=1))}
"""The limit and length of each sliding window."""

some_places = st.lists(drafts.places, min_size=1, max_size=3)


class Life(RuleBasedStateMachine):
    """What workers and clients do to jobs."""

    def __init__(self, store: str) -> None:
        super().__init__()
        self.twins = Twins(store)
        self.numbers = count(1)
        self.ids: list[JobId] = []
        self.jobs: dict[JobId, Job] = {}
        self.tokens: list[tuple[JobId, Token]] = []
        self.waited: set[Token] = set()
        self.claims: list[tuple[ClaimRequest, str, datetime]] = []
        self.reclaims: list[tuple[ReclaimRequest, str, datetime]] = []

    def teardown(self) -> None:
        self.twins.histories(self.ids)
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

    @invariant()
    def both_show_the_same(self) -> None:
        before, found = self.jobs, self.twins.look(self.ids)
        self.jobs = {job.id: job for job in found if job is not None}
        for job_id, job in self.jobs.items():
            assert 0 <= job.attempts <= job.counters.runs
            assert job_id not in before or before[job_id].counters.runs <= job.counters.runs

    # rules ------------------------------------------------------------------------------------------------

    @rule(batch=st.lists(drafts.drafts, min_size=1, max_size=4))
    def submit(self, batch: Sequence[Draft]) -> None:
        jobs = [self.made(draft) for draft in batch]
        self.twins.agree(lambda engine: engine.submit(jobs))

    @rule(request=drafts.requests)
    def claim(self, request: ClaimRequest) -> None:
        self.claimed(request)

    def claimed(self, request: ClaimRequest) -> Claimed:
        nonce = self.nonce()
        claimed = self.twins.claim(request, nonce)
        self.tokens += [(lease.job.id, lease.token) for lease in claimed.leases]
        if claimed.leases:
            self.claims.append((request, nonce, self.now + request.lease_for))
        return claimed

    @precondition(lambda self: self.claims)
    @rule(place=drafts.places)
    def repeat_a_claim(self, place: int) -> None:
        request, nonce, until = picked(self.claims, place)
        if self.now < until:
            self.twins.claim(request, nonce)

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
    @rule(places=some_places, progress=drafts.progress, lease_for=st.sampled_from([seconds(2), seconds(30)]))
    def renew(self, places: Sequence[int], progress: Progress | None, lease_for: timedelta) -> None:
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
        self.twins.agree(lambda engine: engine.settle(endings))

    @rule(request=drafts.reclaims, keep=st.lists(drafts.places, max_size=2), only=st.none() | some_places)
    def reclaim(self, request: ReclaimRequest, keep: Sequence[int], only: Sequence[int] | None) -> None:
        kept = frozenset(picked(self.tokens, place)[1] for place in keep if self.tokens)
        narrowed = None if only is None else tuple(picked(self.ids, place) for place in only if self.ids)
        request, nonce = replace(request, keep=kept, only=narrowed), self.nonce()
        for taken in self.twins.reclaim(request, nonce):
            self.tokens.append((taken.lease.job.id, taken.lease.token))
            self.waited |= {taken.lease.token} if taken.reason is Reason.WAITED else set()
            self.reclaims.append((request, nonce, self.now + request.lease_for))

    @precondition(lambda self: self.reclaims)
    @rule(place=drafts.places)
    def repeat_a_reclaim(self, place: int) -> None:
        request, nonce, until = picked(self.reclaims, place)
        if self.now < until:
            self.twins.reclaim(request, nonce)

    @rule(by=drafts.leaps)
    def let_time_pass(self, by: float) -> None:
        self.twins.clock.advance(seconds(by))

    @precondition(lambda self: self.jobs)
    @rule(place=drafts.places, tick=st.booleans())
    def let_time_pass_to_an_edge(self, place: int, tick: bool) -> None:
        """To an instant that a job names, or to just before it."""
        named = [
            instant
            for job in self.jobs.values()
            for instant in (job.run_at, job.expires_at, job.timeout_at, job.prune_at)
            if instant is not None and instant > self.now
        ]
        if named:
            self.twins.clock.advance(picked(sorted(named, reverse=True), place) - self.now - tick * TICK)


class Operated(Life):
    """What operators and readers do, too."""

    def __init__(self, store: str) -> None:
        super().__init__(store)
        self.last_cancel: tuple[list[JobId], str] = ([], self.nonce())
        self.last_revival: tuple[list[JobId], str] = ([], self.nonce())

    @precondition(lambda self: self.ids)
    @rule(places=some_places, unknown=st.booleans())
    def cancel(self, places: Sequence[int], unknown: bool) -> None:
        nonce, ids = self.nonce(), self.picked_ids(places, unknown)
        answers = self.twins.agree(lambda engine: engine.cancel(ids, nonce))
        asked_before = {job_id for job_id, job in self.jobs.items() if job.cancel_requested_at is not None}
        acted = (Cancellation.CANCELLED, Cancellation.REQUESTED)
        mine = [job_id for job_id, answer in zip(ids, answers, strict=True) if answer in acted]
        self.last_cancel = ([job_id for job_id in mine if job_id not in asked_before], nonce)

    @rule()
    def repeat_the_last_cancel(self) -> None:
        ids, nonce = self.last_cancel
        self.twins.agree(lambda engine: engine.cancel(ids, nonce))

    @precondition(lambda self: self.ids)
    @rule(places=some_places, unknown=st.booleans())
    def revive(self, places: Sequence[int], unknown: bool) -> None:
        nonce, ids = self.nonce(), self.picked_ids(places, unknown)
        answers = self.twins.agree(lambda engine: engine.revive(ids, nonce))
        mine = [job_id for job_id, answer in zip(ids, answers, strict=True) if answer is Revival.REVIVED]
        self.last_revival = (mine, nonce)

    @rule()
    def repeat_the_last_revival(self) -> None:
        ids, nonce = self.last_revival
        self.twins.agree(lambda engine: engine.revive(ids, nonce))

    @precondition(lambda self: self.ids)
    @rule(places=some_places, unknown=st.booleans())
    def dismiss(self, places: Sequence[int], unknown: bool) -> None:
        ids = self.picked_ids(places, unknown)
        self.twins.agree(lambda engine: engine.dismiss(ids))

    @rule(limit=st.sampled_from([1, 3, 100]))
    def prune(self, limit: int) -> None:
        self.twins.agree(lambda engine: engine.prune(limit))

    @rule(query=drafts.queries)
    def find(self, query: JobQuery) -> None:
        self.twins.find(query)

    def picked_ids(self, places: Sequence[int], unknown: bool) -> list[JobId]:
        """Some of the jobs, and perhaps one that nobody submitted."""
        stranger = [JobId(uuid7(MADE_AT_MS - 1, bytes(10)))] if unknown else []
        return [picked(self.ids, place) for place in places] + stranger


class World(Operated):
    """Documents, gates, limits and presence, too."""

    def __init__(self, store: str) -> None:
        super().__init__(store)
        self.gates: dict[str, tuple[Gate, ...]] = dict.fromkeys(drafts.GATES, ())
        self.eras = {gate: 0 for gates in drafts.GATES.values() for gate in gates}
        self.last_swap: tuple[Swap, int] | None = None
        self.grants: list[tuple[list[Take], str, datetime]] = []

    @rule(
        key=st.sampled_from(sorted(drafts.GATES)),
        values=st.lists(st.tuples(drafts.gate_values, drafts.closed_for, st.booleans()), max_size=2),
        fate=st.sampled_from(["written", "written", "written", "deleted", "stale"]),
    )
    def swap(self, key: str, values: Sequence[tuple[Gate, float | None, bool]], fate: str) -> None:
        stored, model_stored = self.twins.load("upstream", key)
        gates = () if fate != "written" else tuple(self.gate(key, *told) for told in enumerate(values))
        value = None if fate == "deleted" else self.nonce().encode()
        off = 1_000 if fate == "stale" else 0
        swap = Swap(
            kind="upstream", key=key, value=value, expected=stored.version + off, nonce=self.nonce(), gates=gates
        )
        swapped = self.twins.swap(swap, model_stored.version + off)
        if swapped is not None and swapped.won:
            self.gates[key], self.last_swap = gates, (swap, model_stored.version)

    def gate(self, key: str, place: int, told: tuple[Gate, float | None, bool]) -> Gate:
        """One of a document's gates; one that was not there before begins a new era."""
        value, closed_for, new_era = told
        name = drafts.GATES[key][place % len(drafts.GATES[key])]
        there = any(gate.name == name for gate in self.gates[key])
        self.eras[name] += new_era or not there
        not_before = None if closed_for is None else self.now + seconds(closed_for)
        return replace(value, name=name, not_before=not_before, era=self.eras[name])

    @precondition(lambda self: self.last_swap)
    @rule()
    def repeat_the_last_swap(self) -> None:
        assert self.last_swap is not None
        self.twins.swap(*self.last_swap)

    @rule()
    def scan(self) -> None:
        self.twins.scan("upstream")

    @rule(asked=st.lists(st.tuples(st.sampled_from(sorted(WINDOWS)), st.integers(1, 3)), min_size=1, max_size=3))
    def take(self, asked: Sequence[tuple[str, int]]) -> None:
        takes = [Take(key=key, n=n, limit=WINDOWS[key][0], window=WINDOWS[key][1]) for key, n in asked]
        nonce = self.nonce()
        answers = self.twins.agree(lambda engine: engine.take(takes, nonce))
        if all(answer.granted for answer in answers):
            until = self.now + min(take.window for take in takes)
            self.grants.append((takes, nonce, until))

    @precondition(lambda self: self.grants)
    @rule(place=drafts.places)
    def repeat_a_take(self, place: int) -> None:
        takes, nonce, until = picked(self.grants, place)
        if self.now < until:
            self.twins.agree(lambda engine: engine.take(takes, nonce))

    @precondition(lambda self: self.grants)
    @rule(place=drafts.places)
    def give_back(self, place: int) -> None:
        granted = picked(self.grants, place)
        self.grants.remove(granted)
        self.twins.agree(lambda engine: engine.give_back(granted[1]))

    @rule(owner=drafts.owners, live_for=st.sampled_from([0.0, 5.0, 60.0]), busy=st.integers(0, 3))
    def announce(self, owner: Owner, live_for: float, busy: int) -> None:
        worker = WorkerInfo(owner=owner, host="h", pid=1, started_at=self.now, version="1", slots=4, busy=busy)
        self.twins.agree(lambda engine: engine.announce(worker, seconds(live_for)))
        self.twins.agree(lambda engine: engine.workers())


def picked(things: Sequence[T], place: int) -> T:
    """One of the things met so far; 0 is the newest."""
    return things[-1 - place % len(things)]


def explore(store: str, *, examples: int, calls: int) -> None:
    """Look for a sequence of calls on which a store and the model differ."""
    run_state_machine_as_test(lambda: World(store), settings=settings(max_examples=examples, stateful_step_count=calls))


@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_as_the_specification_does(store: str) -> None:
    explore(store, examples=100, calls=40)


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_as_the_specification_does_in_long_lives(store: str) -> None:
    explore(store, examples=60, calls=150)
