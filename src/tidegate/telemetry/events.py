"""The steps of a job's life and of a worker's, as this process saw them.

Events hold ids, counts, instants and durations, and of a failure its code and class name: never its message, a
payload or a result, which may hold what a user sent.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from tidegate.core.job import Bury, Cancel, Defer, Job, JobId, NewJob, Owner, Refund, Retry, Settlement, Succeed
from tidegate.core.upstream import Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRef:
    """Which job, and which run of it. Where only the id is known, the rest is left empty."""

    job_id: JobId
    request_id: str = ""
    user_id: str = ""
    type: str = ""
    queue: str = ""
    upstream: str | None = None
    run: int | None = None
    attempts: int | None = None


def ref(job: Job | NewJob, *, refund: Refund | None = None) -> JobRef:
    """The reference to a job as it stands, or as it will once `refund` is counted."""
    spec = job.spec
    lane, run, attempts = spec.lane, 0, 0
    if isinstance(job, Job):
        lane, run, attempts = job.lane, job.counters.runs, job.counters.attempts
    return JobRef(
        job_id=job.id,
        request_id=spec.request_id,
        user_id=spec.user_id,
        type=spec.type,
        queue=lane.queue,
        upstream=lane.upstream,
        run=run,
        attempts=attempts if refund is None else attempts - 1,
    )


class Ended(StrEnum):
    """What a settlement made of a run."""

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    DEFERRED = "deferred"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """A step of one job."""

    job: JobRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(JobEvent):
    """The store accepted it; `latency` is how long that took."""

    latency: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed(JobEvent):
    """A submit was a repeat; `job` is the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(JobEvent):
    """A worker has it; `latency` is how long it had been due."""

    latency: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(JobEvent):
    """A settlement was applied; `job` is as it left it. Made by `finished`.

    `latency` is the time of the run, None where the job never ran. `retry_delay` and `retry_at` are set when it
    is queued again, `refund` when its run is not held against it.
    """

    ended: Ended
    latency: timedelta | None = None
    code: str = ""
    error_type: str = ""
    retry_delay: timedelta | None = None
    retry_at: datetime | None = None
    refund: Refund | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingLost(JobEvent):
    """A run ended after its lease was somebody else's: its ending changed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaimed(JobEvent):
    """Its lease was taken over from `former`."""

    former: Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(JobEvent):
    """It runs, and shall stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revived(JobEvent):
    """It had ended, and is queued again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissed(JobEvent):
    """It is a dead letter no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired(JobEvent):
    """It waited past `expires_at`, and failed without a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultStoreFailed(JobEvent):
    """Its result could not be stored, after all tries."""

    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """`count` finished jobs were forgotten."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarted:
    """A worker with `slots` takes jobs of `types` from `queues`: of others it takes none, however long they wait."""

    owner: Owner
    slots: int
    queues: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStopping:
    """It claims no more, and waits for the `running`."""

    owner: Owner
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStopped:
    """It holds nothing any more; `given_back` runs were interrupted."""

    owner: Owner
    given_back: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDown:
    """The store stopped answering; told once an outage."""

    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBack:
    """The store answers again."""

    down_for: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowHeartbeat:
    """Leases were renewed, but `late`: closer to their expiry than planned."""

    owner: Owner
    late: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamChanged:
    """A breaker opened or closed, a budget was spent, or an operator said a word: told by whoever made the change."""

    gate: str
    transition: Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTicked:
    """A tick of a schedule made a job, `late` after its instant: told by the one process that made it."""

    schedule: str
    user_id: str
    tick: datetime
    job_id: JobId
    late: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleMissed:
    """Ticks at or after `since` and before `until` passed while nobody looked, and don't run."""

    schedule: str
    user_id: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFailing:
    """A schedule's ticks make no job, until somebody mends it; told once."""

    schedule: str
    user_id: str
    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleHeld:
    """A schedule's ticks wait: its user has had as many jobs as he may have an hour; told once."""

    schedule: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRetired:
    """A schedule's ticks make no job any more: nobody runs the code that declared it."""

    schedule: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerFailed:
    """A listener raised; told the first time only."""

    listener: str
    error_type: str


JobStep: TypeAlias = (
    Submitted
    | Replayed
    | Claimed
    | Finished
    | EndingLost
    | Reclaimed
    | CancelRequested
    | Revived
    | Dismissed
    | Expired
    | ResultStoreFailed
)
ScheduleStep: TypeAlias = ScheduleTicked | ScheduleMissed | ScheduleFailing | ScheduleHeld | ScheduleRetired
ProcessStep: TypeAlias = (
    Pruned
    | WorkerStarted
    | WorkerStopping
    | WorkerStopped
    | StoreDown
    | StoreBack
    | SlowHeartbeat
    | UpstreamChanged
    | ScheduleStep
    | ListenerFailed
)
Event: TypeAlias = JobStep | ProcessStep
Listener: TypeAlias = Callable[[Event], None]
Kind: TypeAlias = type[Event] | Ended
"""What listeners choose by: an event's class, or of `Finished` what it ended as."""


ENDED: Final[Mapping[type[Settlement], Ended]] = {
    Succeed: Ended.SUCCEEDED,
    Retry: Ended.RETRIED,
    Defer: Ended.DEFERRED,
    Bury: Ended.FAILED,
    Cancel: Ended.CANCELLED,
}


def finished(job: Job, settlement: Settlement, *, now: datetime, latency: timedelta | None = None) -> Finished:
    """The event of a settlement that was applied to `job` (as it was claimed) at about `now`."""
    failure = None if isinstance(settlement, Succeed | Cancel) else settlement.failure
    refund = settlement.refund if isinstance(settlement, Defer | Bury) else None
    delay = settlement.delay if isinstance(settlement, Retry | Defer) else None
    return Finished(
        job=ref(job, refund=refund),
        ended=ENDED[type(settlement)],
        latency=latency,
        code=failure.code if failure else "",
        error_type=failure.error_type if failure else "",
        retry_delay=delay,
        retry_at=None if delay is None else now + delay,
        refund=refund,
    )


class Emitter:
    """Tells every listener, in the order they came; may be called from any thread.

    A listener runs in the caller's time, so it must be quick. One that raises harms nobody: it is counted, and
    the first time `ListenerFailed` is told to all.
    """

    def __init__(self) -> None:
        self._listeners: tuple[tuple[Listener, Collection[Kind] | None], ...] = ()
        self._hearing: dict[Kind, tuple[tuple[int, Listener], ...]] = {}
        self._failures: dict[int, int] = {}  # by the listener's place
        self._lock = threading.Lock()

    @property
    def failures(self) -> int:
        """How often listeners raised."""
        return sum(self._failures.values())

    def subscribe(self, listener: Listener, kinds: Collection[Kind] | None = None) -> None:
        """Tell `listener` of every event from now on, or only of those `kinds`."""
        with self._lock:
            self._listeners = (*self._listeners, (listener, kinds))
            self._hearing = {}

    def hears(self, kind: Kind) -> bool:
        """Whether anybody listens to that kind: no other event needs to be made."""
        return bool(self._to(kind))

    def _to(self, kind: Kind) -> tuple[tuple[int, Listener], ...]:
        hearing = self._hearing.get(kind)
        if hearing is None:
            with self._lock:
                hearing = self._hearing[kind] = tuple(
                    (place, listener)
                    for place, (listener, kinds) in enumerate(self._listeners)
                    if kinds is None or kind in kinds
                )
        return hearing

    def __call__(self, event: Event) -> None:
        """Tell of one event; never raises an Exception."""
        for place, listener in self._to(event.ended if isinstance(event, Finished) else type(event)):
            try:
                listener(event)
            except Exception as exc:  # somebody else's code, and no reason to fail a job
                self._failed(place, listener, exc)

    def _failed(self, place: int, listener: Listener, error: Exception) -> None:
        with self._lock:
            before = self._failures.get(place, 0)
            self._failures[place] = before + 1
        if not before:
            name = getattr(listener, "__qualname__", type(listener).__qualname__)
            self(ListenerFailed(listener=name, error_type=type(error).__name__))
