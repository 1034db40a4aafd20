"""The wire of operations: counts, workers, attempts."""

from typing import Literal

from pydantic import AwareDatetime, Field

from tidegate.http.schemas.base import Told
from tidegate.http.schemas.jobs import UsageItem


class Counts(Told):
    """How many jobs stand where, in the whole store.

    `total_jobs` is the sum of `queue_length`, `retry_queue_length`, `active_jobs`, `completed_jobs`, `failed_jobs` and
    `cancelled_jobs`. `retry_queue_length` counts those whose time has not come: retries, and jobs for later.
    `failed_jobs` counts dead letters and those dismissed; `dlq_length` and `dead_letter_jobs` are the dead letters.
    """

    total_jobs: int
    active_jobs: int
    completed_jobs: int
    failed_jobs: int
    dead_letter_jobs: int
    cancelled_jobs: int
    queue_length: int
    retry_queue_length: int
    dlq_length: int
    workers: int
    oldest_ready_age: float = Field(description="Seconds.")


WorkerState = Literal["live", "silent", "stopped", "lost"]


class WorkerItem(Told):
    """A worker: `running` of its `slots` are taken.

    One that is `silent`, and so `stale`, holds leases and has not been heard of for as long as a lease lasts; after an
    hour all that is known of it is in its name. Those that have `stopped` are listed for an hour too, and those that
    were `lost`: nobody heard them stop.
    """

    id: str
    state: WorkerState
    stale: bool
    last_seen_at: AwareDatetime | None
    host: str | None
    pid: int | None
    started_at: AwareDatetime | None
    version: str | None
    slots: int | None
    running: int | None
    queues: list[str]
    types: list[str]


class WorkerList(Told):
    """All workers of the store."""

    items: list[WorkerItem]


class AttemptItem(Told):
    """One run of a job, its `run`th.

    `note` is a failure's code, a refund's cause or a cancel's note. `counted` says whether the run is held against
    `max_attempts`, null where that is not known (yet). `reclaimed`: its lease was taken over from its worker.
    `usage` is what it spent on models, null while the artifact store is away.
    """

    run: int
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    outcome: Literal["running", "succeeded", "retried", "deferred", "failed", "cancelled"]
    note: str
    counted: bool | None
    reclaimed: bool
    usage: list[UsageItem] | None


class AttemptList(Told):
    """A job's runs, oldest first."""

    items: list[AttemptItem]
