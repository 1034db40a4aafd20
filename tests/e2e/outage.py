"""A fleet whose jobs call a provider that fails by command, and what tests of an outage ask of both again and again."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import httpx2
import msgspec
import pytest

from tests.e2e.fleet import STORES, Fleet, Store, client
from tests.e2e.process import USER, Served, status
from tests.servers.provider import Fake, provider
from tidegate.provider.decision import Verdict
from tidegate.provider.log import Line

FAULTS: Final[Mapping[str, Sequence[str]]] = {
    "broken": ("server_error",),
    "limited": ("rate_limit",),
    "silent": ("black_hole",),
    "mixed": ("server_error", "rate_limit", "black_hole"),
    "lonely": ("overloaded",),
    "content": ("rate_limit",),
    "spare": ("server_error",),
}
"""What each job type's calls meet while the provider is down: one tenant for each kind."""

Found = TypeVar("Found")


class Change(msgspec.Struct):
    """A transition in the history of an upstream."""

    at: datetime
    to: str
    why: str
    until: datetime | None
    author: str


class Changes(msgspec.Struct):
    """That history, newest first."""

    items: list[Change]


class Queue(msgspec.Struct):
    """A queue as `GET /queues/{name}` tells of it."""

    paused: bool
    paused_at: datetime | None
    resumes_at: datetime | None
    consecutive_errors: int
    ready: int


def tenants(job_type: str) -> list[str]:
    """The tenants that jobs of a type call."""
    return [f"{job_type}-{does.replace('_', '-')}" for does in FAULTS[job_type]]


def each(*stores: str) -> list[object]:
    """Stores to run a file's tests on, those of one store together, so that they can share it."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"outage-{name}")) for name in stores]


@dataclass
class Town:
    """A provider, servers and workers."""

    fake: Fake
    apis: list[httpx2.Client]
    ships: Fleet | None = None
    jobs: dict[str, list[str]] = field(default_factory=dict)

    # the provider ---------------------------------------------------------------------------------------------

    def fail(self, *job_types: str) -> None:
        """From now on their calls fail, each type's in its own way."""
        for job_type in job_types:
            for tenant, does in zip(tenants(job_type), FAULTS[job_type], strict=True):
                self.fake.override(does, tenant)

    def heal(self) -> float:
        """From now on every call is answered; the time."""
        self.fake.clear()
        return time.time()

    def calls(self, job_type: str) -> list[Line]:
        """Calls that are over, in the order in which they began."""
        lines = [line for tenant in tenants(job_type) for line in self.fake.lines(tenant)]
        return sorted(lines, key=lambda line: line.arrived)

    def failures(self, job_type: str) -> list[Line]:
        """Those that were not served, in the order in which they ended."""
        failed = [line for line in self.calls(job_type) if line.verdict is not Verdict.SERVED]
        return sorted(failed, key=lambda line: line.ended)

    def began(self) -> float:
        """When the provider's clock was at 0; of several answers that which came the quickest tells it best."""
        return min(-self.fake.status().elapsed + time.time() for _ in range(5))

    # the service ----------------------------------------------------------------------------------------------

    def post(self, job_type: str, api: int = 0, **more: object) -> httpx2.Response:
        """Ask for a job; if it is accepted, it is remembered."""
        known = self.jobs.setdefault(job_type, [])
        tenant = tenants(job_type)[len(known) % len(tenants(job_type))]
        asked = {"type": job_type, "payload": {"tenant": tenant}, **more}
        answer = self.apis[api].post("/jobs", json=asked, headers=USER)
        if answer.status_code == 201:
            known.append(str(answer.json()["job_id"]))
        return answer

    def submit(self, job_type: str, count: int = 1, **more: object) -> None:
        """So many jobs, all accepted."""
        for number in range(count):
            answer = self.post(job_type, number % len(self.apis), **more)
            assert answer.status_code == 201, answer.text

    def state(self, upstream: str, api: int = 0) -> str:
        """The state of its breaker, as a server knows it; "" where none knows it."""
        answer = self.apis[api].get(f"/upstreams/{upstream}", headers=USER)
        return str(answer.json()["state"]) if answer.status_code == 200 else ""

    def changes(self, upstream: str) -> list[Change]:
        """Its transitions, oldest first."""
        answer = self.apis[-1].get(f"/upstreams/{upstream}/history", headers=USER)
        return msgspec.json.decode(answer.content, type=Changes).items[::-1] if answer.status_code == 200 else []

    def queue(self, name: str, api: int = 0) -> Queue:
        """How a queue stands."""
        return msgspec.json.decode(self.apis[api].get(f"/queues/{name}", headers=USER).content, type=Queue)

    def unharmed(self, job_type: str, seconds: float) -> None:
        """Every job that was accepted succeeds, and no attempt of it was burned."""
        until(lambda: not self.waiting(job_type), seconds, lambda: f"all ended: {self.stuck(job_type)}")
        found = [status(self.apis[0], job_id) for job_id in self.jobs[job_type]]
        assert Counter(job["status"] for job in found) == {"succeeded": len(found)}, self.logs()
        assert {job["attempts"] for job in found} == {1}

    def waiting(self, job_type: str) -> list[Mapping[str, object]]:
        """What is known of those that have not ended."""
        found = [self.apis[0].get(f"/jobs/{job_id}", headers=USER).json() for job_id in self.jobs[job_type]]
        return [job for job in found if job["status"] not in ("succeeded", "failed", "cancelled")]

    def stuck(self, job_type: str) -> str:
        """What a failing test says of it."""
        health = self.apis[0].get(f"/upstreams/{job_type}", headers=USER).json()
        return f"{self.waiting(job_type)[:3]}\n{health}\n{self.logs()}"

    def logs(self) -> str:
        """For a failing test."""
        return self.ships.logs() if self.ships is not None else ""


def until(check: Callable[[], Found], seconds: float, what: str | Callable[[], str]) -> Found:
    """The first answer that is true; fails after so many seconds."""
    give_up_at = time.monotonic() + seconds
    while not (found := check()):
        late = time.monotonic() >= give_up_at
        assert not late, f"not within {seconds:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.05)
    return found


@contextmanager
def scripted(folder: Path) -> Iterator[Fake]:
    """A provider that answers every tenant after half a second, until it is told otherwise."""
    healthy = {"latency": {"mean": 0.5}, "phases": [{"does": "healthy"}]}
    timeline = folder / "timeline.yaml"
    timeline.write_text(json.dumps({"tenants": {tenant: healthy for kind in FAULTS for tenant in tenants(kind)}}))
    with provider(timeline) as fake:
        yield fake


def _told(fake: Fake, more: Mapping[str, str]) -> dict[str, str]:
    served = {"TIDEGATE_APP": "tests.e2e.gated:app", "TIDEGATE_QUEUES": '{"default":1,"content":1}'}
    return {**served, "TIDEGATE_SLOTS": "20", "PROVIDER": fake.url, **more}


@contextmanager
def alone(folder: Path) -> Iterator[Town]:
    """One process, on SQLite."""
    with scripted(folder) as fake:
        server = Served(folder, _told(fake, {}))
        try:
            with client(server.start()) as http:
                yield Town(fake, [http])
        finally:
            server.close()


@contextmanager
def fleet_on(store: Store, folder: Path, more: Mapping[str, str]) -> Iterator[Town]:
    """Two servers and two workers on a store, with `more` settings."""
    with ExitStack() as stack:
        fake = stack.enter_context(scripted(folder))
        ships = Fleet(folder, store, apis=2, workers=2, settings=_told(fake, more))
        stack.callback(ships.close)
        yield Town(fake, [stack.enter_context(client(address)) for address in ships.start()], ships)


@contextmanager
def town(folder: Path, store_name: str, more: Mapping[str, str] | None = None) -> Iterator[Town]:
    """One process on SQLite; on any other store a fleet."""
    if store_name == "sqlite":
        with alone(folder) as one:
            yield one
        return
    with STORES[store_name]() as store, fleet_on(store, folder, more or {}) as many:
        yield many
