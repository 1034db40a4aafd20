"""What holds of every job's life and of every decision."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.failure import LONGEST_RETRY_AFTER, Failure
from tidegate.core.job import (
    Bury,
    Cancel,
    Cancelled,
    Defer,
    Expired,
    Interrupted,
    Job,
    JobId,
    Lane,
    Lost,
    NewJob,
    Outcome,
    Phase,
    Raised,
    Retry,
    Returned,
    Settlement,
    Spec,
    Status,
    Succeed,
    TimedOut,
    UpstreamFailed,
    UpstreamRefused,
)
from tidegate.core.lifecycle import LEGAL, MAX_CRASHES, decide, phase
from tidegate.core.retry import RetryPolicy, Rule, Steps
from tidegate.core.steps import accepted, claimed, ended, recorded, revived, settled, waited_out

START = datetime(2026, 1, 1, tzinfo=UTC)
LANES = [Lane(), Lane(upstream="a"), Lane(queue="low", upstream="b", parents=("p", "q"))]

dice = st.floats(min_value=0, max_value=1, exclude_max=True)
pauses = st.sampled_from([timedelta(0), timedelta(microseconds=1), timedelta(seconds=9), timedelta(days=2)])
failures = st.builds(
    Failure,
    code=st.sampled_from(["own_code", "processing_error"]),
    message=st.just(""),
    error_type=st.sampled_from(["", "ValueError"]),
    transient=st.booleans(),
    retry_after=st.none() | pauses,
    status=st.none() | st.sampled_from([429, 503]),
)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Returned, degraded=st.booleans(), result=st.none() | st.binary(max_size=3)),
    st.builds(Raised, failure=failures),
    st.builds(UpstreamRefused, lane=st.sampled_from(LANES)),
    st.builds(UpstreamFailed, lane=st.sampled_from(LANES), failure=failures),
    st.just(TimedOut()),
    st.just(Cancelled()),
    st.builds(Interrupted, fatal=st.booleans()),
    st.builds(Lost, owner_alive=st.booleans()),
)
rules = st.builds(
    Rule,
    error=st.sampled_from(["own_code", "http:5xx"]),
    retry=st.just(True),
    max_attempts=st.none() | st.integers(1, 4),
) | st.builds(Rule, error=st.sampled_from(["own_code", "http:5xx"]), retry=st.just(False))
policies = st.builds(
    RetryPolicy,
    backoff=st.just(Steps(delays=(timedelta(seconds=1), timedelta(seconds=5)))),
    max_attempts=st.integers(1, 5),
    rules=st.lists(rules, max_size=2).map(tuple),
)
specs = st.builds(
    Spec,
    type=st.just("work"),
    lane=st.sampled_from(LANES),
    retry=policies,
    timeout=st.sampled_from([timedelta(seconds=5), timedelta(hours=1)]),
    retry_on_timeout=st.booleans(),
)


@st.composite
def lives(draw: st.DrawFn) -> list[Job]:
    """Every state of one job, from its submission over many runs, cancels and revivals."""
    now = START
    job = accepted(NewJob(id=JobId("id"), spec=draw(specs), delay=draw(pauses)), 1, now)
    life = [job]
    for _ in range(draw(st.integers(1, 25))):
        now += draw(pauses)
        job = draw(st.sampled_from(_next_steps(job, now, draw(outcomes), draw(dice))))
        life.append(job)
    return life


def _next_steps(job: Job, now: datetime, outcome: Outcome, die: float) -> list[Job]:
    """What a step of the contract may make of a job."""
    match job.status:
        case Status.QUEUED:
            waited = settled(waited_out(job), decide(job, Expired(), now=now, dice=die), now)
            return [claimed(job, now)] * 4 + [ended(job, Status.CANCELLED, now), waited]
        case Status.RUNNING:
            asked = replace(job, cancel_requested_at=job.cancel_requested_at or now)
            done = settled(job, decide(job, outcome, now=now, dice=die), now)
            return [done] * 4 + [asked]
        case Status.FAILED | Status.CANCELLED:
            return [revived(job, now)]
        case Status.SUCCEEDED:
            return [job]


# lives -----------------------------------------------------------------------------------------------------


@given(lives())
def test_every_life_takes_only_legal_steps(life: Sequence[Job]) -> None:
    for before, after in pairwise(life):
        expiry = before.status is Status.QUEUED and after.status is Status.FAILED  # two steps: it goes through running
        assert after.status is before.status or after.status in LEGAL[before.status] or expiry


@given(lives())
def test_attempts_are_never_negative_nor_above_the_most_that_is_allowed(life: Sequence[Job]) -> None:
    for job in life:
        assert 0 <= job.attempts <= job.spec.retry.max_attempts
        assert 0 <= job.counters.crashes <= MAX_CRASHES


@given(lives())
def test_runs_never_fall_and_grow_by_claims_alone(life: Sequence[Job]) -> None:
    for before, after in pairwise(life):
        began = before.status is Status.QUEUED and after.status is Status.RUNNING
        assert after.counters.runs == before.counters.runs + began


@given(lives())
def test_a_job_is_finished_iff_it_says_when_and_until_when_it_is_kept(life: Sequence[Job]) -> None:
    for job in life:
        assert (job.finished_at is not None) is job.status.finished
        assert (job.prune_at is not None) is job.status.finished
        assert job.prune_at is None or job.finished_at is None or job.prune_at > job.finished_at


@given(lives(), st.sets(st.sampled_from(["queue:default", "queue:low", "upstream:a", "upstream:q"])))
def test_every_job_has_a_phase_that_agrees_with_its_status(life: Sequence[Job], shut: set[str]) -> None:
    waiting = {Phase.SCHEDULED, Phase.READY, Phase.PARKED, Phase.PAUSED, Phase.RETRYING}
    allowed = {
        Status.QUEUED: waiting,
        Status.RUNNING: {Phase.RUNNING},
        Status.SUCCEEDED: {Phase.SUCCEEDED, Phase.DEGRADED},
        Status.FAILED: {Phase.FAILED, Phase.DEAD_LETTER},
        Status.CANCELLED: {Phase.CANCELLED},
    }
    for job in life:
        for now in (job.run_at - timedelta(microseconds=1), job.run_at):
            assert phase(job, now, shut) in allowed[job.status]


# decisions -------------------------------------------------------------------------------------------------


@given(lives(), outcomes | st.just(Expired()), pauses, dice)
def test_a_decision_is_always_made_and_always_the_same(
    life: Sequence[Job], outcome: Outcome, pause: timedelta, die: float
) -> None:
    job, now = life[-1], START + pause
    first: Settlement = decide(job, outcome, now=now, dice=die)
    assert first == decide(replace(job), outcome, now=now, dice=die)
    assert isinstance(first, Succeed | Retry | Defer | Bury | Cancel)
    event, note = recorded(first)
    assert event
    assert len(note) < 100


@given(lives(), outcomes, dice)
def test_a_committed_cancel_is_never_overruled(life: Sequence[Job], outcome: Outcome, die: float) -> None:
    asked = replace(life[-1], cancel_requested_at=START)
    assert isinstance(decide(asked, outcome, now=START, dice=die), Cancel)


@given(lives(), failures, dice)
def test_a_failure_that_is_not_transient_is_never_tried_again(
    life: Sequence[Job], failure: Failure, die: float
) -> None:
    final = replace(failure, transient=False)
    job = replace(life[-1], cancel_requested_at=None)
    assert decide(job, Raised(failure=final), now=START, dice=die) == Bury(failure=final)


@given(lives(), outcomes, dice)
def test_no_wait_is_negative_or_endless(life: Sequence[Job], outcome: Outcome, die: float) -> None:
    settlement = decide(life[-1], outcome, now=START, dice=die)
    if isinstance(settlement, Retry | Defer):
        assert timedelta(0) <= settlement.delay <= 1.1 * LONGEST_RETRY_AFTER
