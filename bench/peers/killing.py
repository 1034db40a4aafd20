"""kill -9 in the middle: 200 jobs of a second each, the worker's whole tree killed, a new worker at once."""

import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from bench.peers.processes import Broken, Worker
from bench.peers.records import Records
from bench.peers.roster import Peer
from bench.peers.trials import Ground, Trial

JOBS: Final = 200
RUNNING_SECONDS: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of the jobs. Seconds count from the kill; infinite is not within the time given.

    `up` is when the new worker ran anything at all: the rest of `back` is the library's.
    """

    in_flight: int
    lost: int
    done_twice: int
    up: float
    back: float
    all_done: float


def kill(peer: Peer, ground: Ground, seconds: float, *, elsewhere: bool = False) -> Fate:
    """One kill, at default settings; `elsewhere` starts the second worker as if on another host."""
    with ground.trial(peer) as trial:
        trial.enqueue("bulk", JOBS, kind="long")
        killed = _kill_running(trial)
        second = Worker(trial.orders, peer.kill_slots, elsewhere=elsewhere)
        try:
            _until_done(trial.records, second, killed + seconds)
        finally:
            second.kill()
        return fate(trial.records, killed)


def _kill_running(trial: Trial) -> float:
    """When the first worker was killed."""
    first = Worker(trial.orders, trial.peer.kill_slots)
    try:
        if not trial.wait(1, 60, [first]):
            raise Broken("the worker ran nothing within 60 s")
        time.sleep(RUNNING_SECONDS)
    finally:
        killed = time.monotonic()
        first.kill()
    return killed


def _until_done(records: Records, worker: Worker, deadline: float) -> None:
    while time.monotonic() < deadline and len({entry.job for entry in records.read(b"e")}) < JOBS:
        worker.check()
        time.sleep(0.05)
    time.sleep(1.5)  # what is done twice shows by now


def fate(records: Records, killed: float) -> Fate:
    """Read it from the records."""
    ends = records.read(b"e")
    starts = records.read()
    done_before = {entry.job for entry in ends if entry.at <= killed}
    in_flight = {entry.job for entry in starts if entry.at <= killed} - done_before
    again: dict[int, float] = {}
    for entry in starts:
        if entry.at > killed and entry.job in in_flight:
            again.setdefault(entry.job, entry.at - killed)
    first_end: dict[int, float] = {}
    for entry in ends:
        first_end.setdefault(entry.job, entry.at - killed)
    return Fate(
        in_flight=len(in_flight),
        lost=JOBS - len(first_end),
        done_twice=sum(times > 1 for times in Counter(entry.job for entry in ends).values()),
        up=min((entry.at - killed for entry in starts if entry.at > killed), default=math.inf),
        back=max(again.values(), default=0.0) if again.keys() == in_flight else math.inf,
        all_done=max(first_end.values()) if len(first_end) == JOBS else math.inf,
    )
