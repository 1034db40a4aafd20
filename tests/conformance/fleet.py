"""A fleet of workers that crash, reapers that are too quick, and people who cancel, all at once."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from tests.conformance.build import (
    REAPER,
    cancel,
    claim,
    failure,
    lane,
    new_job,
    reclaim,
    seconds,
    set_gates,
    settle,
    submit,
    turns,
)
from tests.conformance.crowd import on_threads
from tests.conformance.harness import Harness
from tests.conformance.ledger import ENDS_A_RUN, check_history
from tidegate.core.job import (
    Bury,
    Cancel,
    Defer,
    JobId,
    Lease,
    Owner,
    Refund,
    Retry,
    Settlement,
    Status,
    Succeed,
    Token,
)
from tidegate.core.query import HistoryEntry
from tidegate.core.verbs import Beat, Gate, Renewal, Settled

LIMIT = 3
GATED = (lane("a", "p"), lane("b", "p"))
LANES = (lane(), *GATED, lane("c"))
NOW = timedelta(0)


class Fleet:
    """Everything it does is noted, to be held against what the store says afterwards."""

    def __init__(self, harness: Harness, seed: int) -> None:
        self._harness = harness
        self._engine = harness.engine
        self._seed = seed
        self._ids: list[JobId] = []
        self._leases: list[Lease] = []
        self._applied: dict[Token, JobId] = {}
        self._met: list[HistoryEntry] = []
        self._over = threading.Event()

    async def launch(self, jobs: int, workers: Sequence[Owner]) -> None:
        """Run until every job has ended."""
        await set_gates(self._harness, Gate(name="upstream:p", limit=LIMIT))
        cursor = (await self._engine.events(None)).next
        self._ids = await submit(self._harness, *(new_job(lane=LANES[n % len(LANES)]) for n in range(jobs)))
        people = [lambda owner=owner: self._work(owner) for owner in workers]
        await on_threads(
            [*people, lambda: self._reap(workers), self._cancel, self._watch, lambda: self._follow(cursor)]
        )

    async def check(self) -> None:
        """Every job ended once, every run was ended by one lease, and nobody missed a step."""
        assert len({lease.token for lease in self._leases}) == len(self._leases)
        applied = Counter(self._applied.values())
        met = {job_id: [entry for entry in self._met if entry.job_id == job_id] for job_id in self._ids}
        for found in await self._engine.get(self._ids):
            assert found is not None
            history = await self._engine.history(found.id)
            check_history(found, history)
            ended_unclaimed = found.status is Status.CANCELLED and found.cancel_requested_at is None
            endings = [entry for entry in history if entry.event in ENDS_A_RUN]
            assert len(endings) == applied[found.id] + ended_unclaimed
            assert met[found.id] == history
        assert await self._engine.holders() == []

    # who takes part ---------------------------------------------------------------------------------------

    async def _work(self, owner: Owner) -> None:
        dice = random.Random(f"{self._seed} {owner}")
        while not self._over.is_set():
            claimed = await claim(self._harness, owner=owner, limit=dice.randrange(1, 4), turns=turns("default"))
            self._leases += claimed.leases
            await asyncio.sleep(0)
            for lease in claimed.leases:
                await self._run(lease, dice)

    async def _run(self, lease: Lease, dice: random.Random) -> None:
        if dice.random() < 0.15:
            return  # this worker vanishes
        if dice.random() < 0.5:
            (renewal,) = await self._engine.renew([Beat(lease.job.id, lease.token)], seconds(30))
            if renewal is Renewal.LOST:
                assert await settle(self._harness, lease, Succeed()) is Settled.LOST
        await asyncio.sleep(0)
        for _ in range(dice.choice([1, 1, 2])):
            await self._end(lease, self._ending(dice))

    def _ending(self, dice: random.Random) -> Settlement:
        again: list[Settlement] = [
            Retry(delay=NOW, failure=failure()),
            Defer(delay=NOW, refund=Refund.INTERRUPTION),
            Defer(delay=NOW, refund=Refund.UPSTREAM_FAULT, lane=dice.choice(LANES)),
        ]
        ends: list[Settlement] = [Succeed(), Succeed(result=b"1"), Bury(failure=failure())]
        return dice.choice(again + 2 * ends)

    async def _end(self, lease: Lease, settlement: Settlement) -> None:
        answer = await settle(self._harness, lease, settlement)
        if answer is Settled.CANCELLING:
            answer = await settle(self._harness, lease, Cancel())
        if answer is Settled.APPLIED:
            self._applied[lease.token] = lease.job.id

    async def _reap(self, workers: Sequence[Owner]) -> None:
        """Take over from workers that it believes dead, of which some are not."""
        dice = random.Random(self._seed)
        while not self._over.is_set():
            taken = await reclaim(self._harness, limit=5, dead=(dice.choice(workers), REAPER))
            self._leases += [one.lease for one in taken]
            for one in taken:
                crashed = one.lease.job.counters.crashes >= 2
                gone: Settlement = Bury(failure=failure("quarantined"), refund=Refund.CRASH)
                await self._end(one.lease, gone if crashed else Defer(delay=NOW, refund=Refund.CRASH))
            await asyncio.sleep(0.001)

    async def _cancel(self) -> None:
        for unlucky in random.Random(self._seed).sample(self._ids, 12):
            await cancel(self._harness, unlucky)
            await asyncio.sleep(0.002)

    async def _watch(self) -> None:
        """The gate holds at every instant; when all has ended, so has the fleet."""
        while not self._over.is_set():
            jobs = [job for job in await self._engine.get(self._ids) if job is not None]
            assert len(jobs) == len(self._ids)
            running = [job for job in jobs if job.status is Status.RUNNING]
            assert sum(1 for job in running if job.lane in GATED) <= LIMIT
            if all(job.status.finished for job in jobs):
                self._over.set()
            await asyncio.sleep(0.001)

    async def _follow(self, cursor: str) -> None:
        while True:
            over = self._over.is_set()
            feed = await self._engine.events(cursor, 50)
            assert not feed.reset
            self._met += feed.entries
            if over and feed.next == cursor:
                return
            cursor = feed.next
            await asyncio.sleep(0)
