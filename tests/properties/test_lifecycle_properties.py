"""What holds of every job's life, of every line and of every way to share between queues."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.core.failure import LONGEST_RETRY_AFTER, MESSAGE_LIMIT, Failure, failure_of
from tidegate.core.fairness import charge, rank, share, turns, weight
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
    for before, after in zip(life, life[1:], strict=False):
        expiry = before.status is Status.QUEUED and after.status is Status.FAILED  # two steps: it goes through running
        assert after.status is before.status or after.status in LEGAL[before.status] or expiry


@given(lives())
def test_attempts_are_never_negative_nor_above_the_most_that_is_allowed(life: Sequence[Job]) -> None:
    for job in life:
        assert 0 <= job.attempts <= job.spec.retry.max_attempts
        assert 0 <= job.counters.crashes <= MAX_CRASHES


@given(lives())
def test_runs_never_fall_and_grow_by_claims_alone(life: Sequence[Job]) -> None:
    for before, after in zip(life, life[1:], strict=False):
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
    assert event and len(note) < 100


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


# lines -----------------------------------------------------------------------------------------------------

flows = st.lists(
    st.tuples(st.sampled_from(["ada", "bob", "eve"]), st.sampled_from([0, 1, 3, 9])), min_size=1, max_size=60
)


def lined_up(arrivals: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The order in which jobs are claimed that became ready together in one line."""
    last: dict[tuple[str, int], float] = {}
    ranked = []
    for place, flow in enumerate(arrivals):
        last[flow] = rank(0.0, last.get(flow), flow[1])
        ranked.append((last[flow], place, flow))
    return [flow for _, _, flow in sorted(ranked)]


@given(st.floats(0, 1e6), st.none() | st.floats(0, 1e6), st.integers(0, 9))
def test_a_rank_is_behind_the_line_and_behind_the_flow_and_never_behind_a_lower_priority(
    virtual: float, last: float | None, priority: int
) -> None:
    mine = rank(virtual, last, priority)
    assert mine > virtual
    assert last is None or mine > last
    assert mine <= rank(virtual, last, 0)


@given(flows)
def test_everybody_gets_his_weight_s_share_while_he_waits(arrivals: Sequence[tuple[str, int]]) -> None:
    """Between any two flows that both wait, neither is served more than one job beyond its share."""
    waiting, served = Counter(arrivals), Counter[tuple[str, int]]()
    for flow in lined_up(arrivals):
        served[flow] += 1
        waiting[flow] -= 1
        for other in (other for other, left in waiting.items() if left > 0 and other != flow):
            ahead = (served[flow] - 1) / weight(flow[1]) - served[other] / weight(other[1])
            assert ahead <= 1 / weight(other[1])


@given(st.integers(0, 50), st.integers(0, 20))
def test_even_parts_are_enough_and_hardly_more(remaining: int, lanes: int) -> None:
    part = share(remaining, lanes)
    assert part * max(lanes, 1) >= remaining
    assert part == 0 or (part - 1) * max(lanes, 1) < remaining


# queues ----------------------------------------------------------------------------------------------------

weights_of_queues = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 19), min_size=1)
limits = st.lists(st.integers(0, 9), min_size=1, max_size=60)


def taken_from(
    asked_for: int, weights: Mapping[str, int], served: Mapping[str, float], ready: Mapping[str, int]
) -> tuple[dict[str, int], Mapping[str, float]]:
    """One claim: first up to the quotas, then whatever is left; what it took, and what is owed then."""
    asked = turns(weights, served, asked_for)
    assert sorted(turn.queue for turn in asked) == sorted(weights)
    assert sum(turn.quota for turn in asked) == asked_for
    taken = {turn.queue: min(turn.quota, ready[turn.queue]) for turn in asked}
    for turn in asked:
        taken[turn.queue] += min(asked_for - sum(taken.values()), ready[turn.queue] - taken[turn.queue])
    return taken, charge(weights, served, asked, taken)


@given(weights_of_queues, limits)
def test_busy_queues_get_their_shares_to_within_a_job_a_cycle(weights: Mapping[str, int], asked: Sequence[int]) -> None:
    cycle = sum(weights.values())
    got: Counter[str] = Counter()
    served: Mapping[str, float] = {}
    everything = dict.fromkeys(weights, 1_000)
    for limit in asked:
        taken, served = taken_from(limit, weights, served, everything)
        got.update(taken)
        for queue in weights:
            assert got[queue] > got.total() * weights[queue] / cycle - 1.000001
            assert got.total() % cycle or abs(got[queue] - got.total() * weights[queue] / cycle) <= 1.000001


@given(
    weights_of_queues,
    st.lists(
        st.tuples(st.integers(0, 9), st.lists(st.sampled_from([0, 1, 3, 99]), min_size=8, max_size=8)), max_size=60
    ),
)
def test_no_queue_is_starved_by_others_that_come_and_go(
    weights: Mapping[str, int], asked: Sequence[tuple[int, Sequence[int]]]
) -> None:
    assume(len(weights) > 1)
    busy, total, mine = min(weights), 0, 0
    served: Mapping[str, float] = {}
    for limit, others in asked:
        ready = {**dict(zip(sorted(weights), others, strict=False)), busy: 1_000}
        taken, served = taken_from(limit, weights, served, ready)
        total, mine = total + sum(taken.values()), mine + taken[busy]
        assert mine > total * weights[busy] / sum(weights.values()) - len(weights)


@given(weights_of_queues, limits)
def test_what_is_owed_stays_small(weights: Mapping[str, int], asked: Sequence[int]) -> None:
    served: Mapping[str, float] = {}
    for limit in asked:
        _, served = taken_from(limit, weights, served, dict.fromkeys(weights, 1_000))
        assert min(served.values()) == 0.0
        assert max(served.values()) <= 1.000001


# failures --------------------------------------------------------------------------------------------------

hostile_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), float("nan"), float("inf"), float("-inf")]),
    st.floats(),
    st.text(),
    st.text(alphabet=st.characters(categories=["Cs", "Cc"]), max_size=5),
    st.binary(max_size=5),
    st.timedeltas(),
    st.builds(object),
    st.just(Raised),
)


class Odd(Exception):
    """An exception that raises what it is told to from everything that one may ask of it."""

    def __init__(self, told: Mapping[str, object], text: object) -> None:
        super().__init__()
        self._told = told
        self._text = text

    def __getattr__(self, name: str) -> object:
        value = self._told.get(name, AttributeError(name))
        if isinstance(value, BaseException):
            raise value
        return value

    def __str__(self) -> str:
        if isinstance(self._text, str):
            return self._text
        raise RuntimeError("no text")


@given(
    st.dictionaries(
        st.sampled_from(["code", "transient", "retry_after", "status", "status_code", "response"]),
        hostile_values | st.builds(ValueError),
    ),
    hostile_values,
)
def test_any_exception_reads_as_a_failure_that_a_store_can_keep(told: Mapping[str, object], text: object) -> None:
    failure = failure_of(Odd(told, text))
    assert failure.code and failure.message and failure.error_type == "Odd"
    for kept in (failure.code, failure.message):
        assert len(kept.encode("utf-8")) <= 4 * MESSAGE_LIMIT and "\x00" not in kept
    assert failure.retry_after is None or timedelta(0) <= failure.retry_after <= LONGEST_RETRY_AFTER
    assert failure.status is None or 100 <= failure.status <= 599
    assert hash(failure) == hash(failure_of(Odd(told, text)))
