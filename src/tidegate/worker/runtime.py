"""What a worker is given: its settings, and everything it reaches through ports."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tidegate.clock import Clock
from tidegate.context import LocalFile
from tidegate.core.job import Job, NewJob, Settlement
from tidegate.handlers import Registry
from tidegate.ports import Artifacts, Engine
from tidegate.telemetry.events import Emitter
from tidegate.upstreams import Upstreams
from tidegate.worker.active import Held

Fetch = Callable[[str, str, Path], Awaitable[LocalFile]]
"""(reference, user, folder) → the upload, copied into the folder; raises ArtifactNotFound for another user's."""

SweepUploads = Callable[[datetime], Awaitable[int]]
"""Remove the uploads from before an instant; how many there were."""

Follow = Callable[[Job, Settlement], tuple[NewJob, ...]]
"""The jobs that shall exist if and only if that settlement of a job, as it was claimed, is applied; never raises."""

QUEUE_WEIGHTS: Mapping[str, int] = {"high": 6, "default": 3, "low": 1, "content": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker works.

    `slots` jobs at a time. A lease lasts `lease_for` and is renewed every `renew_every`. An idle worker asks
    for jobs after `poll` and up to half as long again. At a stop, runs get `grace` to finish; a run that shall
    end gets `stop_grace` to clean up. One upstream gets at most `upstream_share` of the slots while others have
    jobs. An uploaded file is kept for `upload_kept`. A user's schedules and requests make at most `user_per_hour` jobs
    an hour, with 0 any number.
    """

    queues: Mapping[str, int] = field(default_factory=lambda: dict(QUEUE_WEIGHTS))
    slots: int = 10
    lease_for: timedelta = timedelta(seconds=15)
    renew_every: timedelta = timedelta(seconds=5)
    poll: timedelta = timedelta(seconds=1)
    grace: timedelta = timedelta(seconds=30)
    stop_grace: timedelta = timedelta(seconds=5)
    prune_every: timedelta = timedelta(seconds=60)
    upstream_share: float = 0.6
    upload_kept: timedelta = timedelta(hours=24)
    user_per_hour: int = 0


def nothing_follows(_job: Job, _settlement: Settlement) -> tuple[NewJob, ...]:
    """No job."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The surroundings that the workers of one process share.

    `dice` gives numbers in [0, 1), `nonce` 32 fresh hex digits. `scratch` is a folder for what runs write. `follow`
    says which jobs go with an ending. `declared` are the keys of the schedules that this process's code declares.
    """

    engine: Engine
    upstreams: Upstreams
    registry: Registry
    artifacts: Artifacts
    fetch: Fetch
    sweep_uploads: SweepUploads
    clock: Clock
    emit: Emitter
    dice: Callable[[], float]
    nonce: Callable[[], str]
    scratch: Path
    settings: WorkerSettings = field(default_factory=WorkerSettings)
    held: Held = field(default_factory=Held)
    follow: Follow = nothing_follows
    declared: frozenset[str] = frozenset()
