"""Which steps are remembered of which jobs, and for how long."""

from tests.unit.telemetry.samples import NOW, OWNER, job, retried
from tidegate.telemetry import Event, ref
from tidegate.telemetry.events import CancelRequested, Claimed, JobEvent, Reclaimed, ResultStoreFailed, Submitted
from tidegate.telemetry.sentry import CRUMB_LIMIT, Crumb, Trails

LIMIT = 5


def remember(trails: Trails, *events: Event) -> None:
    for event in events:
        assert isinstance(event, JobEvent)
        trails.add(Crumb(NOW, event))


def test_a_flood_of_submits_is_bounded_and_pushes_out_no_running_job() -> None:
    trails = Trails(LIMIT)
    remember(trails, Submitted(job=ref(job("busy"))), Claimed(job=ref(job("busy"))))
    for place in range(50):
        remember(trails, Submitted(job=ref(job(str(place)))))
    assert len(trails) == LIMIT + 1
    assert len(trails.end(job("busy").id)) == 2
    assert trails.end(job("0").id) == []
    assert len(trails.end(job("49").id)) == 1


def test_a_step_in_the_midst_of_a_run_keeps_the_job_among_the_running() -> None:
    trails, about = Trails(LIMIT), ref(job("busy"))
    remember(trails, Reclaimed(job=about, former=OWNER), CancelRequested(job=about))
    remember(trails, ResultStoreFailed(job=about, error_type="OSError"))
    for place in range(50):
        remember(trails, Submitted(job=ref(job(str(place)))))
    assert len(trails.end(about.job_id)) == 3


def test_a_job_that_waits_again_is_counted_among_the_waiting() -> None:
    trails = Trails(LIMIT)
    for place in range(50):
        remember(trails, Claimed(job=ref(job(str(place)))), retried(job(str(place))))
    assert len(trails) == LIMIT


def test_of_a_job_that_never_ends_the_newest_steps_are_kept() -> None:
    trails = Trails()
    for run in range(CRUMB_LIMIT + 10):
        remember(trails, Claimed(job=ref(job(runs=run))))
    kept = trails.end(job().id)
    assert [crumb.event.job.run for crumb in kept] == list(range(10, CRUMB_LIMIT + 10))
