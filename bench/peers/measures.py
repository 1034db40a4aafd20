"""What is measured of each peer in each round. Every function starts on an empty store and gives named figures."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from bench.measure import percentile
from bench.peers.processes import Broken, Worker
from bench.peers.records import exact, rate
from bench.peers.roster import Peer
from bench.peers.trials import Ground, Trial

Figures: TypeAlias = dict[str, float]

SLOTS: Final = (1, 10, 200)
SLOW_SECONDS: Final = 8.0
"""A drain at few slots is cut off after this long: its rate shows by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured. `quick` only shows that everything works."""

    quick: bool

    def jobs(self, peer: Peer) -> int:
        """The backlog of a drain."""
        return max(peer.jobs // 50, 100) if self.quick else peer.jobs

    @property
    def idle(self) -> float:
        """Seconds of idling that are watched."""
        return 1.0 if self.quick else 6.0

    @property
    def latency(self) -> float:
        """Seconds at 50 jobs a second."""
        return 1.0 if self.quick else 6.0

    @property
    def half(self) -> float:
        """Seconds at half of the most."""
        return 1.0 if self.quick else 4.0


@dataclass(frozen=True, slots=True)
class Subject:
    """One peer in one round; `figures` are those measured so far."""

    peer: Peer
    ground: Ground
    extent: Extent
    figures: Figures


def submitting(of: Subject) -> Figures:
    """Submitted one by one, and by 64 callers."""
    jobs = of.extent.jobs(of.peer)
    counts = {"one": min(max(jobs // 5, 100), 4_000), "callers": min(max(jobs // 2, 100), 20_000)}
    found: Figures = {}
    for mode, count in counts.items():
        with of.ground.trial(of.peer) as trial:
            found[f"submit_{mode}"] = count / trial.enqueue(mode, count)
    return found


def draining(of: Subject) -> Figures:
    """A backlog, submitted in bulk, drained by one worker process and by two."""
    jobs = of.extent.jobs(of.peer)
    found: Figures = {}
    for number in (1,) if of.peer.embedded else (1, 2):
        with of.ground.trial(of.peer) as trial:
            found["submit_bulk"] = jobs / trial.enqueue("bulk", jobs)
            found |= {f"drain_{number}_{name}": value for name, value in _drain(trial, number, jobs).items()}
    return found


def _drain(trial: Trial, number: int, jobs: int) -> Figures:
    before = trial.store.counters()
    with trial.workers(number, trial.peer.slots) as workers:
        if not trial.wait(jobs, 120, workers):
            raise Broken(f"{trial.records.count()} of {jobs} jobs ran within 120 s")
        time.sleep(0.5)  # what runs twice shows by now, and the last endings are stored
        memory = sum(worker.memory() for worker in workers)
    after = trial.store.counters()  # PostgreSQL counts a session's transactions at its end
    entries = trial.records.read()
    found = {"rate": rate(entries), "exact": float(exact(entries, range(jobs))), "memory": memory}
    return found | {name: (after[name] - before[name]) / jobs for name in before}


def by_slots(of: Subject) -> Figures:
    """A smaller backlog drained by one process with 1, 10 and 200 slots."""
    found: Figures = {}
    jobs = max(of.extent.jobs(of.peer) // 5, 50)
    for slots in SLOTS:
        if slots > of.peer.most_slots:
            continue
        with of.ground.trial(of.peer) as trial:
            trial.enqueue("bulk", jobs)
            with trial.workers(1, slots) as workers:
                trial.wait(jobs, SLOW_SECONDS, workers)
            entries = trial.records.read()
            found[f"slots_{slots}"] = rate(entries) if len(entries) > 1 else 0.0
    return found


def sleeping(of: Subject) -> Figures:
    """Jobs that wait 50 ms, from the first start to the last end."""
    slots = of.peer.io_slots
    jobs = min(slots * 20, of.extent.jobs(of.peer))
    with of.ground.trial(of.peer) as trial:
        trial.enqueue("bulk", jobs, kind="io")
        with trial.workers(1, slots) as workers:
            if not trial.wait(2 * jobs, 90, workers):
                raise Broken(f"{trial.records.count() // 2} of {jobs} jobs of 50 ms ran within 90 s")
        ends = [entry.at for entry in trial.records.read(b"e")]
        return {"io": len(ends) / (max(ends) - trial.records.read()[0].at)}


def idling(of: Subject) -> Figures:
    """Memory, processor time and what the server is asked, while there is nothing to do."""
    with of.ground.trial(of.peer) as trial:
        trial.enqueue("one", 1)
        with trial.workers(1, of.peer.slots) as workers:
            trial.warm(workers)
            return _idle(trial, workers, of.extent.idle)


def _idle(trial: Trial, workers: list[Worker], seconds: float) -> Figures:
    time.sleep(2.0)  # the first job's aftermath is not idling
    before, busy, began = trial.store.counters(), workers[0].cpu(), time.monotonic()
    time.sleep(seconds)
    after, worked, took = trial.store.counters(), workers[0].cpu() - busy, time.monotonic() - began
    workers[0].check()
    found = {"memory_idle": workers[0].memory(), "idle_cpu": 100 * worked / took}
    return found | {f"idle_{name}": (after[name] - before[name]) / took for name in before}


def paced(of: Subject) -> Figures:
    """Latency at 50 jobs a second."""
    return _latency(of, 50.0, of.extent.latency, "latency")


def at_half(of: Subject) -> Figures:
    """Latency at half of what it can drain, or submit if that is less."""
    if "drain_1_rate" not in of.figures or "submit_callers" not in of.figures:
        raise Broken("what it can do at most was not measured")
    most = min(of.figures["drain_1_rate"], of.figures["submit_callers"])
    return _latency(of, most / 2, of.extent.half, "half")


def _latency(of: Subject, wanted: float, seconds: float, name: str) -> Figures:
    """Milliseconds from just before the call of submit to the first line of the job, and the rate that was kept.

    The worker has run a job before, except on an embedded store: there it begins with the first.
    """
    jobs = max(int(wanted * seconds), 20)
    with of.ground.trial(of.peer) as trial, trial.workers(0 if of.peer.embedded else 1, of.peer.slots) as workers:
        if workers:
            trial.enqueue("one", 1)
            trial.warm(workers)
        called = trial.pace(wanted, jobs, first=len(workers))
        trial.wait(jobs + len(workers), 60, workers)
        started = {entry.job: entry.at for entry in trial.records.read()}
        waits = [(started[i] - at) * 1_000 for i, at in enumerate(called, len(workers)) if i in started]
    if len(waits) < jobs:
        raise Broken(f"{len(waits)} of {jobs} paced jobs ran within 60 s")
    found = {f"{name}_{point}": percentile(waits, int(point[1:]) / 100) for point in ("p50", "p95", "p99")}
    return found | {f"{name}_rate": (jobs - 1) / max(called[-1] - called[0], 1e-6)}


MEASURES: Final[dict[str, Callable[[Subject], Figures]]] = {
    "submitting": submitting,
    "draining": draining,
    "by slots": by_slots,
    "sleeping": sleeping,
    "idling": idling,
    "paced": paced,
    "at half": at_half,
}
"""In this order: the last uses what the first two found."""

ONCE: Final = frozenset({"by slots", "idling"})
"""Measured in the first round only."""
