"""A job, and one of each event."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.core.failure import Failure
from tidegate.core.job import Counters, Job, JobId, Lane, Owner, Retry, Spec, Status
from tidegate.core.upstream import Transition
from tidegate.telemetry import events
from tidegate.telemetry.events import Event, JobRef, finished, ref

NOW: Final = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)
OWNER: Final = Owner("host:7")
FAILURE: Final = Failure(code="processing_error", message="the row of Ada Lovelace", error_type="ValueError")


def job(name: str = "a", *, runs: int = 2, error: Failure | None = None) -> Job:
    """A running job of one user; `name` makes its ids."""
    return Job(
        id=JobId(f"job-{name}"),
        seq=1,
        spec=Spec(type="analysis", user_id="user-1", request_id=f"request-{name}"),
        lane=Lane(queue="high", upstream="openrouter"),
        status=Status.RUNNING,
        created_at=NOW,
        run_at=NOW,
        due_at=NOW,
        counters=Counters(runs=runs),
        error=error,
    )


def every_event(of: JobRef | None = None, *, text: str = "word") -> Iterator[Event]:
    """One event of each type; `text` stands wherever text from elsewhere may."""
    about = of or ref(job())
    yield from _job_events(about, text)
    second = timedelta(seconds=1)
    owner = Owner(text)
    yield events.Pruned(count=3)
    yield events.WorkerStarted(owner=owner, slots=8, queues=(text, "low"), types=(text, "mail"))
    yield events.WorkerStopping(owner=owner, running=2)
    yield events.WorkerStopped(owner=owner, given_back=1)
    yield events.StoreDown(error_type=text)
    yield events.StoreBack(down_for=second)
    yield events.SlowHeartbeat(owner=owner, late=second)
    yield events.UpstreamChanged(
        gate="upstream:api", transition=Transition(at=NOW, to="open", why=text, until=NOW + second, author=text)
    )
    yield events.ScheduleTicked(schedule="nightly", user_id="user-1", tick=NOW, job_id=JobId("job-b"), late=second)
    yield events.ScheduleMissed(schedule="nightly", user_id="user-1", since=NOW, until=NOW + second)
    yield events.ScheduleFailing(schedule="nightly", user_id="user-1", error_type=text)
    yield events.ScheduleHeld(schedule="nightly", user_id="user-1")
    yield events.ScheduleRetired(schedule="nightly", user_id="user-1")
    yield events.ListenerFailed(listener=text, error_type=text)


def _job_events(about: JobRef, text: str) -> Iterator[Event]:
    second = timedelta(seconds=1)
    yield events.Submitted(job=about, latency=second)
    yield events.Replayed(job=about)
    yield events.Claimed(job=about, latency=second)
    yield events.Finished(job=about, ended=events.Ended.FAILED, code=text, error_type=text)
    yield events.EndingLost(job=about)
    yield events.Reclaimed(job=about, former=Owner(text))
    yield events.CancelRequested(job=about)
    yield events.Revived(job=about)
    yield events.Dismissed(job=about)
    yield events.Expired(job=about)
    yield events.ResultStoreFailed(job=about, error_type=text)


def retried(of: Job) -> events.Finished:
    """The event of a run that failed and is tried again after five seconds."""
    retry = Retry(delay=timedelta(seconds=5), failure=FAILURE)
    return finished(of, retry, now=NOW, latency=timedelta(milliseconds=1_234.5))
