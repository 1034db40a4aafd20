"""`tidegate.bulk`: every job that fits a filter is acted on once, whatever befalls the run, on every store."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec
import pytest
import structlog

from tests.worker.house import LEASE, QUICK, House, Watch, on_memory
from tidegate.clock import token
from tidegate.context import Context
from tidegate.core.failure import Failure
from tidegate.core.fairness import Turn
from tidegate.core.job import Bury, Ending, JobId, Owner, Phase, Progress, Status, Succeed
from tidegate.core.query import Event as Step
from tidegate.core.query import JobQuery, Page
from tidegate.core.verbs import ClaimRequest, Settled, Swap
from tidegate.errors import Defer, EngineUnavailable
from tidegate.handlers import encode
from tidegate.requests import JobRequest
from tidegate.system_jobs import SYSTEM_QUEUE, bulk, scope
from tidegate.system_jobs.acting import Actor, Effect
from tidegate.system_jobs.scope import Action, Work, matches
from tidegate.telemetry.events import CancelRequested, Dismissed, Ended, Finished, Revived
from tidegate.worker.identity import identity

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

FAILURE = Failure(code="broken", message="it broke", transient=False)
SERVING_US = replace(QUICK, queues={SYSTEM_QUEUE: 1, "default": 1})


class Link:
    """A worker's end of a run that is never stopped."""

    def __init__(self) -> None:
        self.told: list[Progress] = []

    def report(self, progress: Progress) -> None:
        """Keep it."""
        self.told.append(progress)

    def stopped(self) -> bool:
        """Never."""
        return False


class Killed(BaseException):
    """The process is gone: nothing that the handler would do after this is done."""


class Fuse:
    """Sits before an engine, and ends a run before or after one of its calls."""

    VERBS = ("load", "scan", "get", "find", "swap", "revive", "cancel", "dismiss")

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        for verb in self.VERBS:
            monkeypatch.setattr(house.engine, verb, self._through(getattr(house.engine, verb)))

    def _through(self, call: Callable[Asked, Awaitable[Answer]]) -> Callable[Asked, Awaitable[Answer]]:
        async def through(*args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
            self._burn()
            answer = await call(*args, **kwargs)
            self._burn()
            return answer

        return through

    def _burn(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Killed


def _context(job_id: str, run: int = 1, link: Link | None = None) -> Context:
    return Context(
        job_id=job_id,
        type=bulk.NAME,
        user_id="ada",
        request_id="",
        run=run,
        attempt=1,
        log=structlog.get_logger(),
        link=link or Link(),
        folder=Path(),
    )


async def _run(house: House, work: Work, context: Context) -> object:
    made = house.registry.get(bulk.NAME).handler(work, context)
    assert isinstance(made, Awaitable)
    result: object = await made
    return result


async def _run_through(house: House, work: Work, job_id: str, run: int) -> object:
    """What comes of the work, run again at once where it rests."""
    while True:
        try:
            return await _run(house, work, _context(job_id, run))
        except Defer:
            run += 1


async def _done(house: House, work: Work) -> object:
    """What comes of the work in a run that nothing befalls."""
    return await _run(house, work, _context(house.new_job("x", b"").id))


def _counts(applied: int, illegal: int = 0, unknown: int = 0) -> dict[str, object]:
    refused = {"illegal": illegal, "unknown": unknown}
    return {"matched": applied + illegal + unknown, "applied": applied, "refused": refused}


async def _end(house: House, name: str, count: int, settlement: Bury | Succeed) -> None:
    """Claim so many jobs of a type, and end them."""
    request = ClaimRequest(
        owner=Owner(identity(token())),
        turns=(Turn(queue="default", quota=count),),
        types=frozenset({name}),
        limit=count,
        lease_for=LEASE,
    )
    leases = (await house.engine.claim(request, token())).leases
    assert len(leases) == count
    endings = [Ending(job_id=lease.job.id, token=lease.token, settlement=settlement) for lease in leases]
    assert set(await house.engine.settle(endings)) <= {Settled.APPLIED}


async def _waiting(house: House, count: int, name: str = "mail") -> list[JobId]:
    jobs = [house.new_job(name, b"{}") for _ in range(count)]
    await house.engine.submit(jobs)
    return [job.id for job in jobs]


async def _dead(house: House, count: int, name: str = "mail") -> list[JobId]:
    job_ids = await _waiting(house, count, name)
    await _end(house, name, count, Bury(failure=FAILURE))
    return job_ids


async def _statuses(house: House, job_ids: Sequence[JobId]) -> list[Status]:
    return [job.status for job in await house.engine.get(job_ids) if job is not None]


async def _submitted(house: House, work: Work) -> JobId:
    accepted = await house.system.client.submit(JobRequest(type=bulk.NAME, payload=encode(work), user_id="ada"))
    return JobId(accepted.job_id)


# on a worker ------------------------------------------------------------------------------------------------


async def test_dead_letters_that_fit_are_retried_and_the_others_stay(house: House) -> None:
    mine, others = await _dead(house, 5), await _dead(house, 2, "other")
    job_id = await _submitted(house, Work(action=Action.RETRY, where=JobQuery(type="mail")))
    await house.worker(SERVING_US)
    job = await house.ended(job_id)
    assert job.status is Status.SUCCEEDED, job.error
    assert msgspec.json.decode(await house.result(job_id) or b"") == _counts(5)
    assert set(await _statuses(house, mine)) == {Status.QUEUED}
    assert set(await _statuses(house, others)) == {Status.FAILED}
    assert {event.job.job_id for event in house.events(Revived)} == set(mine)


async def test_a_store_that_goes_away_after_it_acted_costs_no_attempt_and_nothing_is_done_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 2)
    job_ids = await _dead(house, 5)
    revive, faults = house.engine.revive, [EngineUnavailable("the line went down before the answer came")]

    async def deaf(asked: Sequence[JobId], nonce: str) -> object:
        answers = await revive(asked, nonce)
        if faults:
            await _end(house, "mail", 2, Bury(failure=FAILURE))  # they fit the filter again
            raise faults.pop()
        return answers

    monkeypatch.setattr(house.engine, "revive", deaf)
    job_id = await _submitted(house, Work(action=Action.RETRY, where=JobQuery(type="mail")))
    await house.worker(SERVING_US)
    job = await house.ended(job_id)
    assert (job.status, job.attempts, job.counters.runs) == (Status.SUCCEEDED, 1, 2)
    assert msgspec.json.decode(await house.result(job_id) or b"") == _counts(5)
    revived = [(await house.steps(one)).count(Step.REVIVED) for one in job_ids]
    assert revived == [1] * 5


@on_memory
async def test_it_is_seen_and_cancelled_as_any_job(house: House) -> None:
    job_ids = await _dead(house, 4)
    job_id = await _submitted(house, Work(action=Action.RETRY, per_second=1))
    await house.worker(SERVING_US)
    told = Progress(fraction=0.25, message="1 of 4 retried, 0 refused")
    await house.until(job_id, lambda job: job.progress == told)
    await house.system.client.cancel(job_id)
    assert (await house.ended(job_id)).status is Status.CANCELLED
    assert (await _statuses(house, job_ids)).count(Status.QUEUED) == 1


# killed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [None, 3.0])
async def test_killed_at_any_call_it_goes_on_and_acts_on_each_job_once(
    house: House, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, pace: float | None
) -> None:
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 3)
    monkeypatch.setattr(bulk, "LINGER", 0.0)  # with a pace each batch has a run of its own
    fuse, last, killed = Fuse(house, monkeypatch), False, 0
    while not last:
        name = f"mail-{killed}"
        job_ids = await _dead(house, 7, name)
        work, job_id = Work(action=Action.RETRY, where=JobQuery(type=name), per_second=pace), house.new_job("x", b"").id
        fuse.left = killed
        try:
            result = await _run_through(house, work, job_id, 1)
        except Killed:
            again = (await _statuses(house, job_ids)).count(Status.QUEUED) - 1
            if again > 0:  # what was retried has failed again, but for one: the filter finds other batches now
                await _end(house, name, again, Bury(failure=FAILURE))
            result = await _run_through(house, work, job_id, 100)
        else:
            last, fuse.left = True, None
        assert result == _counts(7), killed
        assert [(await house.steps(one)).count(Step.REVIVED) for one in job_ids] == [1] * 7, killed
        killed += 1 if "memory" in request.node.name else 5
    assert killed > 25


@on_memory
async def test_of_two_runs_at_once_the_one_that_lost_its_place_gives_way(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 1)
    job_ids, job_id, find = await _dead(house, 3), house.new_job("x", b"").id, house.engine.find
    work, others = Work(action=Action.RETRY, where=JobQuery(type="mail")), [2]

    async def overtaken(query: JobQuery) -> Page:
        if query.after is not None and others:
            await _run(house, work, _context(job_id, run=others.pop()))
        return await find(query)

    monkeypatch.setattr(house.engine, "find", overtaken)
    with pytest.raises(Defer, match="another run"):
        await _run(house, work, _context(job_id))
    assert [(await house.steps(one)).count(Step.REVIVED) for one in job_ids] == [1] * 3
    assert await _run(house, work, _context(job_id, run=3)) == _counts(3)


# what it is meant for ------------------------------------------------------------------------------------------


async def test_cancelling_without_a_status_ends_what_waits_and_what_runs_and_none_of_our_own(house: House) -> None:
    waiting, dead = await _waiting(house, 3), await _dead(house, 2, "other")
    [running] = await _waiting(house, 1, "long")
    await house.claim_as(Owner(identity(token())), "long")
    ours = await _submitted(house, Work(action=Action.DISMISS))
    assert await _done(house, Work(action=Action.CANCEL)) == _counts(4)
    assert set(await _statuses(house, waiting)) == {Status.CANCELLED}
    assert (await house.look(running)).cancel_requested_at
    assert set(await _statuses(house, dead)) == {Status.FAILED}
    assert (await house.look(ours)).status is Status.QUEUED
    assert [event.job.job_id for event in house.events(CancelRequested)] == [running]
    told = [event.job.job_id for event in house.events(Finished) if event.ended is Ended.CANCELLED]
    assert sorted(told) == sorted(waiting)


async def test_dismissing_takes_dead_letters_off(house: House) -> None:
    job_ids = await _dead(house, 3)
    assert await _done(house, Work(action=Action.DISMISS, where=JobQuery(error_text="BROKE"))) == _counts(3)
    page = await house.engine.find(JobQuery(phase=Phase.DEAD_LETTER))
    assert page.jobs == ()
    assert {event.job.job_id for event in house.events(Dismissed)} == set(job_ids)


async def test_only_one_user_s_jobs_are_touched_where_they_are_asked_for(house: House) -> None:
    job = house.new_job("mail", b"{}")
    theirs = replace(job, id=house.new_job("x", b"").id, spec=replace(job.spec, user_id="bob"))
    await house.engine.submit([replace(job, spec=replace(job.spec, user_id="ada")), theirs])
    assert await _done(house, Work(action=Action.CANCEL, where=JobQuery(user_id="ada"))) == _counts(1)
    assert await _statuses(house, [job.id, theirs.id]) == [Status.CANCELLED, Status.QUEUED]


async def test_what_was_accepted_after_the_request_is_left_alone(house: House) -> None:
    early = await _waiting(house, 2)
    [late] = await _waiting(house, 1)
    before = (await house.look(late)).created_at
    if before == (await house.look(early[-1])).created_at:
        before += timedelta(microseconds=1)
    result = await _done(house, Work(action=Action.CANCEL, before=before))
    assert result == _counts((await _statuses(house, [*early, late])).count(Status.CANCELLED))
    assert set(await _statuses(house, early)) == {Status.CANCELLED}


@on_memory
async def test_what_the_status_forbids_is_counted_as_illegal(house: House) -> None:
    await _waiting(house, 2)
    await _end(house, "mail", 2, Succeed())
    link = Link()
    work = Work(action=Action.RETRY, where=JobQuery(status=Status.SUCCEEDED))
    assert await _run(house, work, _context(house.new_job("x", b"").id, link=link)) == _counts(0, illegal=2)
    assert link.told[-1] == Progress(fraction=1.0, message="0 of 2 retried, 2 refused")


async def test_a_job_that_is_gone_is_unknown_to_every_action(house: House) -> None:
    actor, gone = Actor(engine=house.engine, emit=house.system.emit), house.new_job("x", b"").id
    for action in Action:
        assert await actor.act(action, [gone], token()) == [Effect.UNKNOWN]


@on_memory
async def test_a_limit_bounds_how_many_are_acted_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 3)
    job_ids, link = await _dead(house, 9), Link()
    work = Work(action=Action.RETRY, limit=5)
    assert await _run(house, work, _context(house.new_job("x", b"").id, link=link)) == _counts(5)
    assert (await _statuses(house, job_ids)).count(Status.QUEUED) == 5
    assert [told.fraction for told in link.told] == [0.0, 0.6, 1.0, 1.0]


@on_memory
async def test_a_pace_is_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 2)
    await _dead(house, 6)
    watch = Watch()
    assert await _done(house, Work(action=Action.RETRY, per_second=20)) == _counts(6)
    assert 0.2 <= watch.seconds < 1.5


@on_memory
async def test_what_pruned_bulk_jobs_left_is_removed_by_the_next(house: House) -> None:
    await _dead(house, 1)
    left = Swap(kind=bulk.KIND, key=house.new_job("x", b"").id, value=b"{}", expected=0, nonce=token())
    assert (await house.engine.swap(left)).won
    job_id = await _submitted(house, Work(action=Action.RETRY))
    await house.worker(SERVING_US)
    await house.ended(job_id)
    assert [document.key for document in await house.engine.scan(bulk.KIND)] == [job_id]


# counting ------------------------------------------------------------------------------------------------------


async def test_matches_are_counted_as_the_work_would_find_them(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "PAGE", 2)
    dead = await _dead(house, 7)
    await _waiting(house, 3, "other")
    await _submitted(house, Work(action=Action.DISMISS))
    own = bulk.own_types(house.registry)
    for work, count in [
        (Work(action=Action.RETRY), 7),
        (Work(action=Action.RETRY, where=JobQuery(type="other")), 0),
        (Work(action=Action.CANCEL), 3),
        (Work(action=Action.CANCEL, where=JobQuery(status=Status.QUEUED)), 3),
        (Work(action=Action.DISMISS, where=JobQuery(error_text="broke")), 7),
    ]:
        found = await matches(house.engine.find, work, own)
        assert (found.count, found.exact) == (count, True), work
        assert work.action is Action.CANCEL or set(found.sample) <= set(dead)


@on_memory
async def test_where_nobody_can_tell_a_bounded_number_is_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "PAGE", 2)
    monkeypatch.setattr(scope, "MOST_PAGES", 3)
    await _dead(house, 8)

    async def find(query: JobQuery) -> Page:
        return replace(await house.engine.find(query), total=None)

    found = await matches(find, Work(action=Action.RETRY), frozenset())
    assert (found.count, found.exact, len(found.sample)) == (6, False, 6)
    monkeypatch.setattr(scope, "MOST_PAGES", 4)
    found = await matches(find, Work(action=Action.RETRY), frozenset())
    assert (found.count, found.exact) == (8, True)
