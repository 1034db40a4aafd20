"""What the events of streams carry."""

from typing import Final, Literal

from pydantic import AwareDatetime

from tidegate.core.job import Status
from tidegate.core.query import Event
from tidegate.http.schemas.base import Told
from tidegate.http.schemas.jobs import JobProgress

PROGRESS: Final = "progress"


class JobEvent(Told):
    """A step of a job, its `seq`th, or its progress (then `seq` is null).

    `status`, `attempts` and `progress` are the job's as it stands when this is sent: on the last event of a stream,
    its outcome.
    """

    seq: int | None
    at: AwareDatetime
    event: Event | Literal["progress"]
    run: int
    note: str
    status: Status
    attempts: int
    progress: JobProgress | None


class FeedEvent(Told):
    """A step of one of the jobs, its `seq`th; `run` is the run it belongs to, 0 before any."""

    job_id: str
    type: str
    seq: int
    at: AwareDatetime
    event: Event
    run: int
    note: str


class StreamNotice(Told):
    """What a stream says of itself. `reset`: steps may have been missed. `gone`: the job has been pruned."""

    event: Literal["reset", "gone"]
