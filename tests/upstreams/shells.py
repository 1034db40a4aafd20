"""Several processes' views of upstreams, on one store that counts what it is asked and fails as it is told."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Final

from tidegate.clock import Clock, FakeClock, token
from tidegate.core.fairness import Turn
from tidegate.core.fault import Fault
from tidegate.core.job import Lane, Lease, NewJob, Owner, Spec
from tidegate.core.upstream import State as Health
from tidegate.core.upstream import Upstream, state
from tidegate.core.verbs import Claimed, ClaimRequest, Document, Swap, Swapped
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.documents import Papers
from tidegate.engines.memory.state import State
from tidegate.errors import EngineUnavailable
from tidegate.ports import Engine
from tidegate.telemetry.events import Emitter, Event, UpstreamChanged
from tidegate.upstreams import Known, Policies, Reach, Upstreams
from tidegate.wiring import new_job_id

AT_ONCE: Final = timedelta(milliseconds=1)

SHARED: Final = Policies(
    upstreams={name: Known(parents=("account", "provider")) for name in ("small", "large", "third")}
)
"""Three models of one account at one provider."""

_jobs = count(1)


class Store(MemoryEngine):
    """`lost` swaps take effect and are not answered; while `answers` is clear nothing is; `refusing` is raised."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.asked = Counter[str]()
        self.lost = 0
        self.refusing: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def swap(self, swap: Swap) -> Swapped:
        await self._hear("swap")
        swapped = await super().swap(swap)
        if self.lost:
            self.lost -= 1
            raise EngineUnavailable("the answer was lost")
        return swapped

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        await self._hear("claim")
        return await super().claim(request, nonce)

    async def scan(self, kind: str, after: str = "", limit: int = 200) -> list[Document]:
        await self._hear("scan")
        return await super().scan(kind, after, limit)

    async def _hear(self, verb: str) -> None:
        self.asked[verb] += 1
        if self.refusing is not None:
            raise self.refusing
        await self.answers.wait()

    def copy(self) -> State:
        """What a copy of the store has."""
        return deepcopy(self._state)

    def fail_over(self, copy: State) -> None:
        """Have no more than that copy."""
        self._state, self._papers = copy, Papers(copy)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """No call is answered."""
        self.answers.clear()
        try:
            yield
        finally:
            self.answers.set()


@dataclass
class Process:
    """One process's health of upstreams, and what it has told of."""

    engine: Engine
    clock: Clock
    policies: Policies = field(default_factory=Policies)
    heard: list[Event] = field(default_factory=list)
    health: Upstreams = field(init=False)

    def __post_init__(self) -> None:
        emit = Emitter()
        emit.subscribe(self.heard.append)
        reach = Reach(
            engine=self.engine,
            clock=self.clock,
            emit=emit,
            dice=lambda: 0.0,
            nonce=token,
            owner=Owner(token()),
            every=timedelta(milliseconds=20),
        )
        self.health = Upstreams(reach, self.policies)

    def fail(self, name: str, times: int = 1, fault: Fault = Fault.SERVER_ERROR) -> None:
        """So many calls of as many jobs fail, each let through just now."""
        for _ in range(times):
            parents = self.policies.parents(name)
            call = self.health.admit(name, parents, f"job-{next(_jobs)}", {})
            self.health.failed(call, fault, AT_ONCE)

    async def tell(self, *names: str) -> None:
        """Tell the store all that is known of these."""
        for name in names:
            await self.health.keeper.flush(f"upstream:{name}")

    async def catch_up(self) -> None:
        """Read what the store has."""
        await self.health.keeper.refresh()

    def known(self, name: str) -> Upstream:
        """What is known of an upstream."""
        return self.health.upstream(f"upstream:{name}")

    def state(self, name: str) -> Health:
        """Its state."""
        return state(self.known(name), self.health.now())

    def told(self, to: str) -> int:
        """How many transitions to a state it told of."""
        events = [event for event in self.heard if isinstance(event, UpstreamChanged)]
        return sum(event.transition.to == to for event in events)


async def submit(engine: Engine, upstream: str, jobs: int = 1, parents: tuple[str, ...] = ()) -> None:
    """Jobs that call an upstream."""
    spec = Spec(type="call", lane=Lane(upstream=upstream, parents=parents), timeout=timedelta(seconds=600))
    await engine.submit([NewJob(id=new_job_id(), spec=spec, payload=b"{}") for _ in range(jobs)])


async def claim(process: Process, limit: int = 10) -> tuple[Lease, ...]:
    """Leases of such jobs, by a worker of this process, which hears the news."""
    request = ClaimRequest(
        owner=Owner("worker"),
        turns=(Turn(queue="default", quota=limit),),
        types=frozenset({"call"}),
        limit=limit,
        lease_for=timedelta(seconds=600),
    )
    claimed = await process.engine.claim(request, token())
    process.health.keeper.saw(claimed.version, claimed.at)
    return claimed.leases


def fleet(engine: Engine, clock: FakeClock, size: int = 2, policies: Policies | None = None) -> list[Process]:
    """Processes that know nothing yet."""
    return [Process(engine, clock, policies or Policies()) for _ in range(size)]
