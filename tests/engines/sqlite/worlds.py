"""A store with something in it for every verb, and each verb with something to do there."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.engines.sqlite.desk import Desk
from tidegate.core.job import Bury, Cancel, Defer, Ending, NewJob, Owner, Progress, Refund, Retry, Settlement, Succeed
from tidegate.core.query import WorkerInfo
from tidegate.core.verbs import Beat, Claimed, Gate, Pace, ReclaimRequest, Swap, Take
from tidegate.engines.sql.codec import EPOCH
from tidegate.engines.sql.drafting import draft
from tidegate.engines.sql.sqlite import (
    administering,
    claiming,
    limits,
    papers,
    presence,
    pruning,
    reclaiming,
    renewing,
    settling,
    submitting,
)
from tidegate.engines.sql.sqlite.session import Session

Step = Callable[[Session], object]


@dataclass(frozen=True, slots=True)
class World:
    """A store with jobs in every state, and the ids that verbs ask for."""

    waiting: Sequence[NewJob]
    running: Claimed
    buried: Claimed


def jobs(count: int, delay: float = 0.0) -> list[NewJob]:
    """New jobs, some with a key."""
    return [new_job(delay=seconds(delay), idempotency_key=f"k{build.nonce()}") for _ in range(count)]


async def submit(to: Desk, new: Sequence[NewJob]) -> Sequence[NewJob]:
    drafts = [draft(job) for job in new]
    await to.writer.do(lambda session: submitting.submit(session, drafts))
    return new


async def claim(to: Desk, limit: int) -> Claimed:
    return await to.writer.do(lambda session: claiming.claim(session, build.request(limit=limit), build.nonce()))


def endings(claimed: Claimed, *settlements: Settlement, then: tuple[NewJob, ...] = ()) -> list[Ending]:
    """One ending a lease, in the order of `settlements`, over and over."""
    return [
        Ending(job_id=lease.job.id, token=lease.token, settlement=settlements[place % len(settlements)], then=then)
        for place, lease in enumerate(claimed.leases)
    ]


def settle(ended: Sequence[Ending]) -> Step:
    then = [[draft(job) for job in ending.then] for ending in ended]
    return lambda session: settling.settle(session, ended, then)


def gate(name: str, expected: int) -> Swap:
    limited = Gate(name=name, limit=50, pace=Pace(period=timedelta(microseconds=1), burst=50), era=expected + 1)
    return Swap(kind="queue", key="one", value=b"{}", expected=expected, nonce=build.nonce(), gates=(limited,))


async def world(to: Desk) -> World:
    """Made by the same verbs, without faults."""
    await to.writer.do(lambda session: papers.swap(session, gate("queue:default", 0)))
    await submit(to, jobs(12))
    buried = await claim(to, 4)
    await to.writer.do(settle(endings(buried, Bury(failure=build.failure()), Cancel(), Succeed(result=b"1"))))
    running = await claim(to, 5)
    waiting = await submit(to, [*jobs(3, delay=5.0), *jobs(2), new_job(expires_at=to.clock.now() + seconds(20))])
    to.clock.advance(seconds(6))
    return World(waiting, running, buried)


def submits(_: World) -> Step:
    new = [draft(job) for job in jobs(5) + jobs(2, delay=9.0)]
    return lambda session: submitting.submit(session, new)


def claims(_: World) -> Step:
    request, nonce = build.request(limit=4), build.nonce()
    return lambda session: claiming.claim(session, request, nonce)


def renews(known: World) -> Step:
    beats = [Beat(lease.job.id, lease.token, Progress(fraction=0.1)) for lease in known.running.leases]
    return lambda session: renewing.renew(session, beats, seconds(30))


def settles(known: World) -> Step:
    failure = build.failure()
    kinds = (
        Succeed(result=b"[1]", result_path="results/1"),
        Retry(delay=timedelta(0), failure=failure),
        Defer(delay=seconds(5), refund=Refund.CRASH, lane=build.lane("llm")),
        Bury(failure=failure),
        Cancel(),
    )
    return settle(endings(known.running, *kinds, then=(new_job(), new_job(delay=seconds(9)))))


def reclaims(known: World) -> Step:
    request = build.reclaim_request(dead=(build.WORKER,), only=tuple(lease.job.id for lease in known.running.leases))
    return partial(_reclaim, request=request, nonce=build.nonce())


def reclaims_late(_: World) -> Step:
    return partial(_reclaim, request=build.reclaim_request(), nonce=build.nonce(), later=timedelta(hours=1))


def _reclaim(session: Session, *, request: ReclaimRequest, nonce: str, later: timedelta = timedelta(0)) -> object:
    session.now += later // timedelta(microseconds=1)
    return reclaiming.reclaim(session, request, nonce)


def cancels(known: World) -> Step:
    ids, nonce = [job.id for job in known.waiting] + [lease.job.id for lease in known.running.leases], build.nonce()
    return lambda session: administering.cancel(session, ids, nonce)


def revives(known: World) -> Step:
    ids, nonce = [lease.job.id for lease in known.buried.leases], build.nonce()
    return lambda session: administering.revive(session, ids, nonce)


def dismisses(known: World) -> Step:
    ids = [lease.job.id for lease in known.buried.leases]
    return lambda session: administering.dismiss(session, ids)


def prunes(_: World) -> Step:
    def prune(session: Session) -> object:
        session.now += timedelta(days=9) // timedelta(microseconds=1)
        return pruning.prune(session, 10)

    return prune


def swaps(_: World) -> Step:
    swap = gate("queue:default", 1)
    return lambda session: papers.swap(session, swap)


def takes(_: World) -> Step:
    asked, nonce = [Take(key=key, n=1, limit=9, window=seconds(60)) for key in "ab"], build.nonce()
    return lambda session: limits.take(session, asked, nonce)


def announces(_: World) -> Step:
    worker = WorkerInfo(owner=Owner("w"), host="h", pid=1, started_at=EPOCH, version="1", slots=4)
    return lambda session: presence.announce(session, worker, seconds(5))


VERBS: list[Callable[[World], Step]] = [
    submits,
    claims,
    renews,
    settles,
    reclaims,
    reclaims_late,
    cancels,
    revives,
    dismisses,
    prunes,
    swaps,
    takes,
    announces,
]


def check_books(store: Path) -> None:
    """The tallies are the counts, and no lease is without its running job."""
    with closing(sqlite3.connect(store)) as connection:
        counted = connection.execute(
            """
            SELECT line_id, sum(status = 'queued' AND stage IN (0, 3)), sum(status = 'queued' AND stage IN (1, 2)),
                sum(status = 'running'), sum(status = 'succeeded'),
                sum(status = 'failed' AND dismissed_at IS NULL), sum(status = 'failed' AND dismissed_at IS NOT NULL),
                sum(status = 'cancelled'), sum(status = 'queued' AND stage = 2)
            FROM jobs GROUP BY line_id
            """
        ).fetchall()
        tallied = connection.execute("SELECT * FROM tallies WHERE line_id IN (SELECT line_id FROM jobs)").fetchall()
        leased = connection.execute("SELECT seq FROM leases ORDER BY seq").fetchall()
        running = connection.execute("SELECT seq FROM jobs WHERE status = 'running' ORDER BY seq").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert tallied == counted
    assert leased == running
