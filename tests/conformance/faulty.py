"""A store that fails at chosen calls, before or after they took effect; and a client and worker that cope."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TypeVar

from tests.conformance.build import LEASE, REAPER, WORKER, failure, nonce, reclaim_request, request
from tests.conformance.harness import Harness
from tidegate.core import lifecycle
from tidegate.core.job import Ending, Job, Lease, Lost, NewJob, Outcome, Raised, Returned
from tidegate.core.verbs import Beat, Renewal, Settled, Submission
from tidegate.errors import EngineUnavailable
from tidegate.ports import Engine

T = TypeVar("T")

MOST_CALLS = 200


class Fault(Enum):
    """When a call fails; its caller can't tell which it was."""

    BEFORE = "before it took effect"
    AFTER = "after it took effect"


@dataclass
class Faulty:
    """An engine behind a bad connection: the calls numbered in `faults`, from 1, raise EngineUnavailable."""

    engine: Engine
    faults: dict[int, Fault]
    calls: int = 0

    async def ask(self, call: Callable[[Engine], Coroutine[object, None, T]]) -> T:
        """Make one call."""
        self.calls += 1
        assert self.calls < MOST_CALLS, "it never ends"
        fault = self.faults.get(self.calls)
        if fault is Fault.BEFORE:
            raise EngineUnavailable("the store was not reached")
        answer = await call(self.engine)
        if fault is Fault.AFTER:
            raise EngineUnavailable("the store's answer was lost")
        return answer


class Persistent(Faulty):
    """The same, for a caller that keeps the rule: the same call again, with the same nonce, until it is answered."""

    async def ask(self, call: Callable[[Engine], Coroutine[object, None, T]]) -> T:
        """Make one call, as often as it takes."""
        while True:
            try:
                return await super().ask(call)
            except EngineUnavailable:
                continue


@dataclass
class Process:
    """Submits one job and works until it has ended; forgets all but the job when it dies.

    The first `vanishing` runs are let go without an ending; of the others the first fails and may be retried,
    and the next succeeds. All endings are decided by `lifecycle.decide`.
    """

    harness: Harness
    store: Faulty
    job: NewJob
    vanishing: int = 0
    endings: list[Settled] = field(default_factory=list)

    async def live(self) -> Job:
        """Work until the job has ended; the job. EngineUnavailable kills it."""
        (receipt,) = await self.store.ask(lambda engine: engine.submit([self.job]))
        assert receipt.job_id == self.job.id
        assert receipt.submission in (Submission.CREATED, Submission.REPLAYED)
        while True:
            (found,) = await self.store.ask(lambda engine: engine.get([self.job.id]))
            assert found is not None
            if found.status.finished:
                return found
            await self._reap()
            await self._work()
            self.harness.clock.advance(LEASE + timedelta(seconds=1))

    async def _reap(self) -> None:
        asked, wanted = nonce(), reclaim_request(owner=REAPER, only=(self.job.id,))
        for taken in await self.store.ask(lambda engine: engine.reclaim(wanted, asked)):
            await self._end(taken.lease, Lost())

    async def _work(self) -> None:
        asked, wanted = nonce(), request(owner=WORKER, types=frozenset({self.job.spec.type}))
        for lease in (await self.store.ask(lambda engine: engine.claim(wanted, asked))).leases:
            await self._run(lease)

    async def _run(self, lease: Lease) -> None:
        if lease.job.counters.runs <= self.vanishing:
            return
        beats = [Beat(lease.job.id, lease.token)]
        assert await self.store.ask(lambda engine: engine.renew(beats, LEASE)) == [Renewal.HELD]
        failed = lease.job.attempts == 1
        await self._end(lease, Raised(failure=failure()) if failed else Returned(result=b"done"))

    async def _end(self, lease: Lease, outcome: Outcome) -> None:
        settlement = lifecycle.decide(lease.job, outcome, now=self.harness.clock.now(), dice=0.5)
        ending = Ending(job_id=lease.job.id, token=lease.token, settlement=settlement)
        self.endings += await self.store.ask(lambda engine: engine.settle([ending]))
