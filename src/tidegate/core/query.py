"""What one may ask of a store's jobs, and the shape of the answers."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tidegate.core.job import Job, JobId, Lane, Owner, Phase, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """A filter over jobs, newest first; None means any.

    `status` or `phase` (never both). `error_text` is looked for, ignoring ASCII case, in the error's code and
    message. `created_from` is inclusive, `created_before` exclusive. `after` is a page's `next`; `offset`
    skips that many matches first (0..10,000: use the cursor for more). `limit` is 1..200.
    """

    status: Status | None = None
    phase: Phase | None = None
    type: str | None = None
    queue: str | None = None
    upstream: str | None = None
    user_id: str | None = None
    tag: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    error_text: str | None = None
    after: int | None = None
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Jobs newest first. `next` continues after them; None at the end.

    A page may be short, even empty, and still have a `next`: one call examines a bounded number of jobs.
    `total` is the exact number of matches, or None where counting them would not be cheap.
    """

    jobs: tuple[Job, ...]
    next: int | None = None
    total: int | None = None


class Event(StrEnum):
    """What a history entry records."""

    SUBMITTED = "submitted"
    CLAIMED = "claimed"
    RECLAIMED = "reclaimed"
    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    DEFERRED = "deferred"
    FAILED = "failed"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    REVIVED = "revived"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One step of one job, its `seq`th; `run` is the run it belongs to, 0 before any.

    `note` is a failure's code, a refund's cause or a cancel's note: never a message or a payload.
    """

    seq: int
    job_id: JobId
    at: datetime
    event: Event
    run: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStats:
    """Jobs of one lane by where they stand.

    `ready` stand in line; `waiting` are queued and not in line yet (a claim puts due ones there);
    `dead_letter` have failed and `failed` are those that were dismissed.
    """

    lane: Lane
    waiting: int = 0
    ready: int = 0
    running: int = 0
    succeeded: int = 0
    dead_letter: int = 0
    failed: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The whole store at one instant. `oldest_ready_at` is the earliest `run_at` of a job in line."""

    at: datetime
    lanes: tuple[LaneStats, ...] = ()
    oldest_ready_at: datetime | None = None

    @property
    def oldest_ready_age(self) -> timedelta:
        """How long the oldest ready job has been due; zero when none waits."""
        return max(self.at - self.oldest_ready_at, timedelta(0)) if self.oldest_ready_at else timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker as it announces itself.

    It was heard of at `seen_at`, and counts as at work until `live_until` unless it has `stopped`; it is listed for
    longer, so that one can see who has gone.
    """

    owner: Owner
    host: str
    pid: int
    started_at: datetime
    version: str
    slots: int
    busy: int = 0
    queues: tuple[str, ...] = ()
    types: tuple[str, ...] = field(default=())
    seen_at: datetime | None = None
    live_until: datetime | None = None
    stopped: bool = False

    def lives(self, now: datetime) -> bool:
        """Whether it is at work, as far as is known."""
        return not self.stopped and (self.live_until is None or now < self.live_until)
