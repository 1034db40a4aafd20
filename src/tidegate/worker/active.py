"""A run under way in this worker, and all of them together."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from tidegate.core.job import Lease, Progress, Token
from tidegate.core.verbs import Beat
from tidegate.worker.calling import Calls


class Stop(StrEnum):
    """Why a run shall end before its handler does."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SHUTDOWN = "shutdown"
    LOST = "lost"


@dataclass(slots=True, eq=False)
class Active:
    """One run. It is the context's `Link`; `report` and `stopped` may be called from any thread.

    `interrupt` makes the handler notice a stop, and is set by whoever performs it; `on_stop` is told as
    well. `due` is when its timeout is over, by the clock of `started`; `took` how many seconds it ran. `task` is
    held here so that it is not forgotten. `performed` once the handler has ended; `ending` once somebody has
    decided what comes of the run, and `settled` when the store has taken that: until then the lease must be kept.
    `closed` once it is over. `calls` is None where the run can't tell of any upstream.
    """

    lease: Lease
    started: float
    on_stop: Callable[["Active"], None]
    due: float = inf
    took: float = 0.0
    task: asyncio.Task[None] | None = None
    why: Stop | None = None
    performed: bool = False
    ending: bool = False
    settled: bool = False
    closed: bool = False
    interrupt: Callable[[], object] | None = None
    calls: Calls | None = None
    _progress: Progress | None = None

    def stop(self, why: Stop) -> None:
        """Make the run end; the first reason stands, and none once it is ending. On the worker's loop only."""
        if self.why is None and not self.ending:
            self.why = why
            if self.interrupt is not None:
                self.interrupt()
            self.on_stop(self)

    def timed_out(self) -> bool:
        """Whether it shall end because it has taken too long."""
        return self.why is Stop.TIMEOUT

    def report(self, progress: Progress) -> None:
        """Keep the newest progress for the next beat."""
        self._progress = progress

    def stopped(self) -> bool:
        """Whether the run shall end."""
        return self.why is not None

    @property
    def eager(self) -> bool:
        """Whether there is progress to tell."""
        return self._progress is not None

    def beat(self) -> Beat:
        """What keeps the lease, with the newest progress; that is then told."""
        progress, self._progress = self._progress, None
        return Beat(self.lease.job.id, self.lease.token, progress)


class Interruptible:
    """While it lasts, a stop of the run calls `interrupt`; at once, if the run has been stopped before."""

    def __init__(self, active: Active, interrupt: Callable[[], object]) -> None:
        self._active = active
        self._interrupt = interrupt
        self._before = active.interrupt

    def __enter__(self) -> None:
        self._active.interrupt = self._interrupt
        if self._active.why is not None:
            self._interrupt()

    def __exit__(self, *exc: object) -> None:
        self._active.interrupt = self._before


class Held:
    """The leases that the workers of one process work on, so that none takes another's. For any thread.

    A handler that holds the GIL for longer than a lease stops all of them, and their beats; whichever wakes
    first must not take the others for dead.
    """

    def __init__(self) -> None:
        self._tokens: set[Token] = set()

    def add(self, token: Token) -> None:
        """A run begins."""
        self._tokens.add(token)

    def remove(self, token: Token) -> None:
        """A run has ended."""
        self._tokens.discard(token)

    @property
    def tokens(self) -> frozenset[Token]:
        """All of them."""
        return frozenset(self._tokens.copy())


class Actives:
    """The runs of one worker, by lease. Read from any thread, changed on the worker's loop."""

    def __init__(self, held: Held) -> None:
        self._runs: dict[Token, Active] = {}
        self._held = held
        self._performed = 0
        self.none = asyncio.Event()
        self.none.set()

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def busy(self) -> int:
        """How many handlers run now."""
        return len(self._runs) - self._performed

    def __iter__(self) -> Iterator[Active]:
        return iter(list(self._runs.values()))

    def add(self, run: Active) -> None:
        """A run begins."""
        self._runs[run.lease.token] = run
        self._held.add(run.lease.token)
        self.none.clear()

    def performed(self, run: Active) -> None:
        """A run's handler has ended; the run has not."""
        run.performed = True
        self._performed += 1

    def remove(self, run: Active) -> None:
        """A run has ended, its handler too."""
        del self._runs[run.lease.token]
        self._held.remove(run.lease.token)
        self._performed -= run.performed
        if not self._runs:
            self.none.set()

    def upstreams(self) -> dict[str, int]:
        """How many runs each upstream has here."""
        counts: dict[str, int] = {}
        for run in self._runs.values():
            upstream = run.lease.job.lane.upstream
            if upstream is not None:
                counts[upstream] = counts.get(upstream, 0) + 1
        return counts
