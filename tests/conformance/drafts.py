"""Hypothesis strategies for the questions one may ask of a store: small worlds, so that things meet."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import strategies as st

from tests.conformance.build import OTHER_WORKER, REAPER, WORKER, failure, lane, seconds, spec
from tidegate.core.fairness import Turn
from tidegate.core.job import (
    Bury,
    Cancel,
    Defer,
    JobId,
    NewJob,
    Phase,
    Progress,
    Refund,
    Retention,
    Retry,
    Settlement,
    Status,
    Succeed,
)
from tidegate.core.query import JobQuery
from tidegate.core.verbs import ClaimRequest, Gate, Pace, ReclaimRequest

LANES = (lane(), lane("a"), lane("a", "p"), lane("b", "p"), lane(queue="low"), lane("a", queue="low"))
TYPES = ("work", "other")
USERS = ("ada", "bob")
KEYS = ("k1", "k2")
GATES = {"one": ("upstream:a", "queue:low"), "two": ("upstream:p",)}
"""The gates of each document."""

INSTANT = timedelta(0)
HOUR = timedelta(hours=1)

places = st.integers(min_value=0, max_value=3) | st.integers(min_value=0, max_value=60)
"""Which of the things met so far; 0 is the newest."""

retentions = st.sampled_from([INSTANT, HOUR, timedelta(hours=30)])
small_delays = st.sampled_from([INSTANT, INSTANT, seconds(1), seconds(5), HOUR])
lease_times = st.sampled_from([seconds(2), seconds(30)])
owners = st.sampled_from([WORKER, OTHER_WORKER])
progress = st.none() | st.builds(
    Progress, fraction=st.sampled_from([None, 0.0, 0.1, 1.0]), message=st.sampled_from(["", "half"])
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job to submit, its instants told from now; `again` reuses an id of before."""

    lane: int
    type: str
    user: str
    priority: int
    key: str | None
    fingerprint: str
    delay: timedelta
    run_at: float | None
    expires: float | None
    timeout: float
    kept: timedelta
    again: int | None

    def made(self, job_id: JobId, now: datetime, *, keyless: bool = False) -> NewJob:
        """The job itself."""
        asked = spec(
            lane=LANES[self.lane],
            type=self.type,
            user_id=self.user,
            priority=self.priority,
            idempotency_key=None if keyless else self.key,
            fingerprint=self.fingerprint,
            expires_at=None if self.expires is None else now + seconds(self.expires),
            timeout=seconds(self.timeout),
            retention=Retention(succeeded=self.kept, failed=2 * self.kept, cancelled=self.kept),
        )
        run_at = None if self.run_at is None else now + seconds(self.run_at)
        return NewJob(id=job_id, spec=asked, payload=job_id.encode(), run_at=run_at, delay=self.delay)


drafts = st.builds(
    Draft,
    lane=st.integers(min_value=0, max_value=len(LANES) - 1) | st.just(0),
    type=st.sampled_from(["work", "work", "other"]),
    user=st.sampled_from(USERS),
    priority=st.sampled_from([0, 0, 1, 9]),
    key=st.sampled_from([None] * 4 + list(KEYS)),
    fingerprint=st.sampled_from(["f1", "f1", "f1", "f2"]),
    delay=st.sampled_from([INSTANT] * 5 + [seconds(1), seconds(5), HOUR]),
    run_at=st.sampled_from([None] * 6 + [-5.0, 0.0, 1.0, 30.0]),
    expires=st.sampled_from([None] * 8 + [0.0, 2.0, 60.0]),
    timeout=st.sampled_from([3.0, 600.0]),
    kept=retentions,
    again=st.sampled_from([None] * 7 + [0, 1]),
)

failures = st.builds(failure, st.sampled_from(["timeout", "own_code"]), st.sampled_from(["No", "100 %"]))

waited_endings: st.SearchStrategy[Settlement] = st.builds(Bury, failure=failures) | st.just(Cancel())
"""How a job that waited too long may end: it had no run to retry or refund."""

deferrals = st.builds(
    Defer,
    delay=small_delays,
    refund=st.sampled_from(Refund),
    failure=st.none() | failures,
    lane=st.none() | st.sampled_from(LANES),
)
burials = st.builds(Bury, failure=failures, refund=st.none() | st.sampled_from(Refund))

endings: st.SearchStrategy[Settlement] = st.one_of(
    st.builds(
        Succeed,
        result=st.sampled_from([None, b"", b"[1]"]),
        result_path=st.sampled_from([None, "results/1"]),
        degraded=st.booleans(),
        served_by=st.sampled_from([None, "b"]),
    ),
    st.builds(Retry, delay=small_delays, failure=failures),
    st.sampled_from([deferrals, burials]).flatmap(lambda often: often),
    deferrals,
    burials,
    st.builds(Cancel, note=st.sampled_from(["", "stopped"])),
)

turns = st.lists(
    st.builds(Turn, queue=st.sampled_from(["default", "low"]), quota=st.integers(min_value=0, max_value=4)),
    min_size=1,
    max_size=2,
    unique_by=lambda turn: turn.queue,
).map(tuple)

requests = st.builds(
    ClaimRequest,
    owner=owners,
    turns=turns,
    types=st.sampled_from([frozenset(TYPES), frozenset(TYPES), frozenset({"work"}), frozenset[str]()]),
    limit=st.sampled_from([0, 1, 1, 2, 3, 8]),
    lease_for=lease_times,
    share=st.sampled_from([None, None, 0, 1, 2]),
    held=st.sampled_from([{}, {"a": 1}, {"a": 2, "b": 1}]),
)

generous_requests = st.builds(
    ClaimRequest,
    owner=owners,
    turns=st.just((Turn(queue="default", quota=3), Turn(queue="low", quota=1))),
    types=st.just(frozenset(TYPES)),
    limit=st.sampled_from([1, 3, 8]),
    lease_for=lease_times,
)

gate_values = st.builds(
    Gate,
    name=st.just(""),
    limit=st.sampled_from([None, None, 0, 1, 2, 5]),
    pace=st.none() | st.builds(Pace, period=st.sampled_from([seconds(1), seconds(7)]), burst=st.sampled_from([1, 3])),
)
closed_for = st.sampled_from([None, None, -1.0, 0.0, 4.0, 60.0])

queries = st.builds(
    JobQuery,
    status=st.none() | st.sampled_from(Status),
    type=st.none() | st.sampled_from(TYPES),
    queue=st.none() | st.just("low"),
    upstream=st.none() | st.just("a"),
    user_id=st.none() | st.sampled_from(USERS),
    error_text=st.none() | st.sampled_from(["no", "%", "OWN"]),
    limit=st.sampled_from([1, 3, 50]),
    offset=st.sampled_from([0, 0, 2]),
) | st.builds(JobQuery, phase=st.sampled_from(Phase), limit=st.sampled_from([2, 50]))

leaps = st.sampled_from([0.000001, 0.5, 1.0, 1.999999, 2.0, 5.0, 30.0, 60.0, 3_600.0, 100_000.0])

reclaims = st.builds(
    ReclaimRequest,
    owner=st.sampled_from([REAPER, REAPER, WORKER]),
    limit=st.sampled_from([0, 1, 2, 100]),
    lease_for=lease_times,
    overdue_by=st.sampled_from([INSTANT, seconds(2)]),
    dead=st.sampled_from([(), (), (WORKER,), (WORKER, OTHER_WORKER, REAPER)]),
)
