"""What may happen to a store, as methods that do it to a store and to the memory engine and compare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Final, TypeVar

from tests.conformance import drafts
from tests.conformance.build import seconds
from tests.conformance.drafts import Draft
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

MADE_AT_MS: Final = 1_767_225_600_000
STRANGER: Final = JobId(uuid7(MADE_AT_MS - 1, bytes(10)))
"""Nobody submits it."""

TICK: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)
WINDOWS: Final = {"minute": (3, timedelta(minutes=1)), "second": (2, timedelta(seconds=1))}
"""The limit and length of each sliding window."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A call to make again, and whether its answer is still promised."""

    promised: Callable[[], bool]
    call: Callable[[], object]


def always() -> bool:
    """For calls whose repeats are promised without end."""
    return True


def picked(things: Sequence[T], place: int) -> T:
    """One of the things met so far; 0 is the newest."""
    return things[-1 - place % len(things)]


class Life:
    """What workers and clients do to jobs."""

    def __init__(self, store: str) -> None:
        self.twins = Twins(store)
        self.numbers = count(1)
        self.ids: list[JobId] = []
        self.jobs: dict[JobId, Job] = {}
        self.tokens: list[tuple[JobId, Token]] = []
        self.waited: set[Token] = set()
        self.lease_ends: set[datetime] = set()
        self.repeats: list[Repeat] = []

    def close(self) -> None:
        """Check every job's whole history, and forget the store."""
        try:
            for job_id, job in self.jobs.items():
                check_history(job, self.twins.history(job_id))
        finally:
            self.twins.close()

    def look(self) -> None:
        """Compare all that both show, and hold it to what no single answer tells."""
        before, found = self.jobs, self.twins.look(self.ids)
        self.jobs = {job.id: job for job in found if job is not None}
        for job_id, job in self.jobs.items():
            assert 0 <= job.attempts <= job.counters.runs
            assert job_id not in before or before[job_id].counters.runs <= job.counters.runs

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

    def ids_of(self, statuses: Sequence[Status], places: Sequence[int], *, unknown: bool) -> list[JobId]:
        """Some of the jobs of these statuses, or of all where none has them; perhaps one that nobody submitted."""
        mine = [job_id for job_id, job in self.jobs.items() if job.status in statuses] or self.ids
        return [picked(mine, place) for place in places if mine] + [STRANGER] * unknown

    # what may happen --------------------------------------------------------------------------------------

    def submit(self, batch: Sequence[Draft]) -> None:
        jobs = [self.made(draft) for draft in batch]
        self.twins.agree(lambda engine: engine.submit(jobs))

    def claim(self, request: ClaimRequest) -> Claimed:
        nonce, until = self.nonce(), self.now + request.lease_for
        claimed = self.twins.claim(request, nonce)
        self.tokens += [(lease.job.id, lease.token) for lease in claimed.leases]
        if claimed.leases:
            self.lease_ends.add(until)
            self.repeats.append(Repeat(lambda: self.now < until, lambda: self.twins.claim(request, nonce)))
        return claimed

    def work(
        self, request: ClaimRequest, progress: Progress | None, endings: Sequence[Settlement], twice: bool
    ) -> None:
        """Claim, and end some of the runs at once; or say it all again while newer runs are under way."""
        leases = self.claim(request).leases
        beats = [Beat(lease.job.id, lease.token, progress) for lease in leases if progress]
        self.twins.agree(lambda engine: engine.renew(beats, request.lease_for))
        claim = self.repeats[-1] if leases else None
        ended = [
            Ending(job_id=lease.job.id, token=lease.token, settlement=ending)
            for lease, ending in zip(leases, endings, strict=False)
        ]
        self._end(ended)
        if twice and claim is not None:
            claim.call()
            self.claim(request)
            self.twins.agree(lambda engine: engine.settle(ended))

    def doze(self, request: ClaimRequest, within: float) -> None:
        """`more` and `wake_at`: where the one says so nothing is to be had now, nor before the other."""
        news = self.claim(request)
        if news.more:
            return
        held = dict(request.held)
        for upstream in (lease.job.lane.upstream for lease in news.leases):
            held |= {upstream: held.get(upstream, 0) + 1} if upstream else {}
        request = replace(request, held=held, limit=8)
        sleep = 2 * DAY if news.wake_at is None else max(news.wake_at - self.now - TICK, timedelta(0))
        self.twins.clock.advance(within * sleep)
        later = self.twins.claim(request, self.nonce())
        assert (later.leases, later.overdue) == ((), news.overdue)

    def renew(self, places: Sequence[int], progress: Progress | None, lease_for: timedelta) -> None:
        beats = [Beat(*picked(self.tokens, place), progress) for place in places if self.tokens]
        self.lease_ends.add(self.now + lease_for)
        self.twins.agree(lambda engine: engine.renew(beats, lease_for))

    def settle(self, runs: Sequence[tuple[int, Settlement, Settlement]], then: Sequence[Draft]) -> None:
        """End runs, some of them over long ago; a job that waited too long has no run to retry or refund."""
        follow_ups = tuple(self.made(draft, keyless=True) for draft in then)
        endings = []
        for place, settlement, if_waited in runs if self.tokens else ():
            job_id, token = picked(self.tokens, place)
            chosen = if_waited if token in self.waited else settlement
            endings.append(Ending(job_id=job_id, token=token, settlement=chosen, then=follow_ups))
        self._end(endings)

    def _end(self, endings: Sequence[Ending]) -> None:
        self.twins.agree(lambda engine: engine.settle(endings))
        self.repeats.append(Repeat(always, lambda: self.twins.agree(lambda engine: engine.settle(endings))))

    def reclaim(self, request: ReclaimRequest, keep: Sequence[int], only: Sequence[int] | None) -> None:
        kept = frozenset(picked(self.tokens, place)[1] for place in keep if self.tokens)
        narrowed = None if only is None else tuple(picked(self.ids, place) for place in only)
        asked, nonce, until = replace(request, keep=kept, only=narrowed), self.nonce(), self.now + request.lease_for
        for taken in self.twins.reclaim(asked, nonce):
            self.lease_ends.add(until)
            self.tokens.append((taken.lease.job.id, taken.lease.token))
            self.waited |= {taken.lease.token} if taken.reason is Reason.WAITED else set()
            self.repeats.append(Repeat(lambda: self.now < until, lambda: self.twins.reclaim(asked, nonce)))

    def repeat(self, place: int) -> None:
        """Make a call of before again."""
        if self.repeats and (repeat := picked(self.repeats, place)).promised():
            repeat.call()

    # time -------------------------------------------------------------------------------------------------

    def wait(self, leap: float) -> None:
        self.twins.clock.advance(seconds(leap))

    def wait_for_a_job(self, place: int, early: bool) -> None:
        """Until one of the next instants that a job names, or just before it."""
        named = {at for job in self.jobs.values() for at in (job.run_at, job.expires_at, job.timeout_at, job.prune_at)}
        self._wait_for({at for at in named if at is not None}, place, early)

    def wait_for_a_lease(self, place: int, early: bool) -> None:
        """Until one of the next leases may end, or just before it."""
        self._wait_for(self.lease_ends, place, early)

    def _wait_for(self, instants: set[datetime], place: int, early: bool) -> None:
        ahead = sorted((at for at in instants if at > self.now), reverse=True)
        if ahead:
            self.twins.clock.advance(picked(ahead, place) - self.now - early * TICK)


class Operated(Life):
    """What operators do, too."""

    def __init__(self, store: str) -> None:
        super().__init__(store)
        self.newest_nonce: dict[str, str] = {}

    def cancel(self, statuses: Sequence[Status], places: Sequence[int], unknown: bool) -> None:
        nonce, ids = self.nonce(), self.ids_of(statuses, places, unknown=unknown)
        answers = self.twins.agree(lambda engine: engine.cancel(ids, nonce))
        asked_before = {job_id for job_id, job in self.jobs.items() if job.cancel_requested_at is not None}
        acted = (Cancellation.CANCELLED, Cancellation.REQUESTED)
        done = {job_id for job_id, answer in zip(ids, answers, strict=True) if answer in acted}
        mine = sorted(done - asked_before)
        self._remember("cancel", nonce, lambda: self.twins.agree(lambda engine: engine.cancel(mine, nonce)))

    def revive(self, statuses: Sequence[Status], places: Sequence[int], unknown: bool) -> None:
        nonce, ids = self.nonce(), self.ids_of(statuses, places, unknown=unknown)
        answers = self.twins.agree(lambda engine: engine.revive(ids, nonce))
        mine = [job_id for job_id, answer in zip(ids, answers, strict=True) if answer is Revival.REVIVED]
        self._remember("revive", nonce, lambda: self.twins.agree(lambda engine: engine.revive(mine, nonce)))

    def _remember(self, verb: str, nonce: str, call: Callable[[], object]) -> None:
        """A call that may be repeated until the next of its verb."""
        self.newest_nonce[verb] = nonce
        self.repeats.append(Repeat(lambda: self.newest_nonce[verb] == nonce, call))

    def dismiss(self, statuses: Sequence[Status], places: Sequence[int], unknown: bool) -> None:
        ids = self.ids_of(statuses, places, unknown=unknown)
        self.twins.agree(lambda engine: engine.dismiss(ids))

    def prune(self, after: timedelta, limit: int) -> None:
        self.twins.clock.advance(after)
        self.twins.agree(lambda engine: engine.prune(limit))


class World(Operated):
    """Documents, gates, limits, presence and searches, too."""

    def __init__(self, store: str) -> None:
        super().__init__(store)
        self.gates: dict[str, tuple[Gate, ...]] = dict.fromkeys(drafts.GATES, ())
        self.eras = {gate: 0 for gates in drafts.GATES.values() for gate in gates}
        self.granted: list[str] = []

    def swap(self, key: str, values: Sequence[tuple[Gate, float | None, bool]], fate: str) -> None:
        stored, model_stored = self.twins.load("upstream", key)
        gates = () if fate != "written" else tuple(self._gate(key, *told) for told in enumerate(values))
        value, off = None if fate == "deleted" else self.nonce().encode(), 1_000 if fate == "stale" else 0
        expected, model_expects = stored.version + off, model_stored.version + off
        swap = Swap(kind="upstream", key=key, value=value, expected=expected, nonce=self.nonce(), gates=gates)
        swapped = self.twins.swap(swap, model_expects)
        self.twins.scan("upstream")
        if swapped is not None and swapped.won:
            self.gates[key] = gates
            self.repeats.append(Repeat(always, lambda: self.twins.swap(swap, model_expects)))

    def _gate(self, key: str, place: int, told: tuple[Gate, float | None, bool]) -> Gate:
        """One of a document's gates; one that was not there before begins a new era."""
        value, closed_for, new_era = told
        name = drafts.GATES[key][place % len(drafts.GATES[key])]
        there = any(gate.name == name for gate in self.gates[key])
        self.eras[name] += new_era or not there
        not_before = None if closed_for is None else self.now + seconds(closed_for)
        return replace(value, name=name, not_before=not_before, era=self.eras[name])

    def take(self, asked: Sequence[tuple[str, int]]) -> None:
        takes = [Take(key=key, n=n, limit=WINDOWS[key][0], window=WINDOWS[key][1]) for key, n in asked]
        nonce, until = self.nonce(), self.now + timedelta(seconds=1)
        answers = self.twins.agree(lambda engine: engine.take(takes, nonce))
        if all(answer.granted for answer in answers):
            self.granted.append(nonce)
            again = Repeat(
                lambda: self.now < until and nonce in self.granted,
                lambda: self.twins.agree(lambda engine: engine.take(takes, nonce)),
            )
            self.repeats.append(again)

    def give_back(self) -> None:
        nonce = self.granted.pop() if self.granted else self.nonce()
        self.twins.agree(lambda engine: engine.give_back(nonce))

    def announce(self, owner: Owner, live_for: float) -> None:
        worker = WorkerInfo(owner=owner, host="h", pid=1, started_at=self.now, version="1", slots=4)
        self.twins.agree(lambda engine: engine.announce(worker, seconds(live_for)))
        self.twins.agree(lambda engine: engine.workers())

    def find(self, query: JobQuery) -> None:
        self.twins.find(query)
