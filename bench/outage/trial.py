"""One run: a provider, a store, the workers of one system, and a load; what it leaves behind are `Facts`."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.outage.arrivals import Arrival, arrivals
from bench.outage.metrics import Ending, Facts, Submitted
from bench.outage.roster import System
from bench.outage.script import CALLER_TIMEOUT, Script
from bench.outage.upstream import Provider, provider
from bench.peers.processes import SCRIPTS, Broken, Orders, Worker, call
from bench.peers.trials import Ground
from tidegate.provider.decision import Verdict

WARM_SECONDS: Final = 120.0
WARM_JOBS: Final = 400
"""So many that every worker runs some: the first of each makes its connections."""
STILL: Final = 0.6
"""Seconds of processor time that workers take within one second while they only wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What every system goes through: the script, the load, and how long the last jobs are waited for."""

    timeline: str
    script: Script
    rate: float
    wait: float
    kept: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Orders):
    """Orders that tell of the provider too."""

    provider: str
    script: Script

    def environment(self, more: Mapping[str, object]) -> dict[str, str]:
        """The orders as a script reads them."""
        timeout = self.script.lasts(CALLER_TIMEOUT)
        told = {"provider": self.provider, "scale": self.script.scale, "timeout": timeout, "warm_jobs": WARM_JOBS}
        return Orders.environment(self, {**told, **more})


class Loaded(msgspec.Struct):
    """What a load generator says: `zero` and `wall` are the start of the script, by two clocks."""

    zero: float
    wall: float
    called: list[float]


class Change(msgspec.Struct):
    """One transition of a breaker; seconds by the wall clock, or since the script began."""

    upstream: str
    at: float
    to: str
    why: str
    until: float | None

    def since(self, zero: float) -> "Change":
        """On the clock of the script."""
        until = None if self.until is None else round(self.until - zero, 3)
        return Change(self.upstream, round(self.at - zero, 3), self.to, self.why, until)


class Ended(msgspec.Struct):
    """What a system says at the end."""

    dead: int
    done: int | None = None
    charged: int | None = None
    history: list[Change] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a run left behind; `history` is what the breakers say of themselves."""

    facts: Facts
    history: list[Change]


def run(system: System, ground: Ground, course: Course, seed: int) -> Left:
    """One system, once. Raises Broken."""
    log = course.kept / f"{system.name}.{seed}.log"
    load = arrivals(course.rate, course.script.end, seed)
    with ground.trial(system.peer) as trial, provider(course.timeline, course.script.scale, seed, log) as served:
        orders = _told(trial.orders, served, course)
        (orders.folder / "arrivals.json").write_text(json.dumps(load))
        with _workers(system, orders) as workers:
            loaded = _through(system, orders, served, workers, course)
        ended = msgspec.convert(call(orders, "ending"), Ended)
    facts = Facts(
        script=course.script,
        slots=max(system.processes, 1) * system.slots,
        submitted=_submitted(load, loaded),
        calls=served.calls(),
        ending=Ending(dead=ended.dead, done=ended.done, charged=ended.charged),
    )
    return Left(facts=facts, history=[change.since(loaded.wall) for change in ended.history])


def _told(orders: Orders, served: Provider, course: Course) -> Told:
    return Told(
        peer=orders.peer,
        url=orders.url,
        folder=orders.folder,
        record=orders.record,
        provider=served.url,
        script=course.script,
    )


@contextmanager
def _workers(system: System, orders: Told) -> Iterator[list[Worker]]:
    """All workers, stopped together afterwards."""
    workers = [Worker(orders, system.slots) for _ in range(system.processes)]
    try:
        yield workers
    finally:
        with ThreadPoolExecutor(max(len(workers), 1)) as pool:
            list(pool.map(Worker.stop, workers))


def _through(system: System, orders: Told, served: Provider, workers: list[Worker], course: Course) -> Loaded:
    with _loader(system, orders) as loader:
        _until(lambda: _warm(served, workers), WARM_SECONDS, "warm", loader, workers)
        (orders.folder / "go").touch()
        answer = orders.folder / "answer.json"
        _until(answer.exists, course.script.end + 60, "loaded", loader, workers)
        loaded = msgspec.json.decode(answer.read_bytes(), type=Loaded)
        _drain(orders, served, len(loaded.called), course.wait)
        (orders.folder / "stop").touch()
        loader.wait(timeout=30)
    return loaded


@contextmanager
def _loader(system: System, orders: Told) -> Iterator[subprocess.Popen[bytes]]:
    """The load generator, which of an embedded store is the worker too."""
    with (orders.folder / "load.log").open("wb") as log:
        environment = orders.environment({"slots": system.slots})
        process = subprocess.Popen(orders.words("load"), env=environment, cwd=SCRIPTS, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _until(
    ready: Callable[[], bool], seconds: float, what: str, loader: subprocess.Popen[bytes], workers: list[Worker]
) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        for worker in workers:
            worker.check()
        if loader.poll():
            raise Broken(f"the load generator ended with {loader.returncode}")
        if time.monotonic() > deadline:
            raise Broken(f"it was not {what} within {seconds:.0f} s")
        time.sleep(0.1)


def _warm(served: Provider, workers: list[Worker]) -> bool:
    """Whether the first jobs are done, and all workers are up: they only wait."""
    if len(served.calls(warming=True)) < WARM_JOBS:
        return False
    before = sum(worker.cpu() for worker in workers)
    time.sleep(1.0)
    return sum(worker.cpu() for worker in workers) - before < STILL


def _drain(orders: Told, served: Provider, jobs: int, seconds: float) -> None:
    """Until every job was served or has failed for good, or the time is up."""
    deadline, left = time.monotonic() + seconds, jobs
    while time.monotonic() < deadline:
        left = jobs - len({line.job for line in served.calls() if line.verdict is Verdict.SERVED})
        if left and not orders.peer.ours:
            left -= msgspec.convert(call(orders, "ending"), Ended).dead
        if left <= 0:
            break
        time.sleep(2.0)
    time.sleep(2.0)  # the last endings are stored, and what is done twice shows by now


def _submitted(load: list[Arrival], loaded: Loaded) -> list[Submitted]:
    """The jobs, by the names that the load generator gave them."""
    jobs = enumerate(zip(load, loaded.called, strict=True))
    return [Submitted(f"{tenant}{number}", tenant, at) for number, ((_, tenant), at) in jobs]
