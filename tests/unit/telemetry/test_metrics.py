"""What events and looks at the fleet become as metrics."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, Counter, exposition

from tests.unit.telemetry.samples import NOW, OWNER, every_event, job, retried
from tidegate.core.job import Defer, Lane, Refund, Succeed
from tidegate.core.query import LaneStats, Stats, WorkerInfo
from tidegate.core.upstream import State
from tidegate.telemetry import Emitter, events, finished, ref
from tidegate.telemetry.families import COUNTS, GAUGES, MOST_VALUES, OTHER, Bounded
from tidegate.telemetry.fleet import Circuit, Fleet
from tidegate.telemetry.gauges import Gauges
from tidegate.telemetry.metrics import HEARD, Metrics

SECOND = timedelta(seconds=1)
ANALYSIS = {"type": "analysis", "queue": "high"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Bounded(), Bounded(), Bounded())


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(sample, labels)


def gauges(fleet: Fleet | None) -> CollectorRegistry:
    registry, told = CollectorRegistry(), Gauges("1.0", Bounded(), Bounded())
    told.fleet = fleet
    registry.register(told)
    return registry


def test_every_event_that_it_asks_for_can_be_counted(metrics: Metrics) -> None:
    emit = Emitter()
    emit.subscribe(metrics, HEARD)
    for event in every_event():
        emit(event)
    assert emit.failures == 0


def test_a_submit_and_a_claim_are_counted_and_the_wait_is_timed(metrics: Metrics) -> None:
    metrics(events.Submitted(job=ref(job())))
    metrics(events.Claimed(job=ref(job()), latency=2 * SECOND))
    metrics(events.Claimed(job=ref(job())))
    assert value(metrics, "tidegate_jobs_submitted_total", **ANALYSIS) == 1
    assert value(metrics, "tidegate_runs_started_total", **ANALYSIS) == 2
    assert value(metrics, "tidegate_job_wait_seconds_sum", queue="high") == 2
    assert value(metrics, "tidegate_job_wait_seconds_count", queue="high") == 1


def test_an_ending_is_counted_by_what_it_came_to_and_by_what_it_cost(metrics: Metrics) -> None:
    deferred = Defer(delay=SECOND, refund=Refund.UPSTREAM_FAULT)
    metrics(finished(job(), Succeed(), now=NOW, latency=3 * SECOND))
    metrics(finished(job(), deferred, now=NOW, latency=SECOND))
    metrics(retried(job()))
    for ended in ("succeeded", "deferred", "retried"):
        assert value(metrics, "tidegate_runs_ended_total", **ANALYSIS, ended=ended) == 1
    causes = [value(metrics, "tidegate_runs_accounted_total", type="analysis", cause=cause) for cause in CAUSES]
    assert causes == [2, 1, None, None]
    assert value(metrics, "tidegate_run_duration_seconds_count", type="analysis") == 3
    assert value(metrics, "tidegate_run_duration_seconds_bucket", type="analysis", le="1.0") == 1


CAUSES = ("attempt", "upstream_fault", "crash", "interruption")


def test_a_job_that_ended_without_a_run_is_no_run(metrics: Metrics) -> None:
    metrics(events.Finished(job=ref(job()), ended=events.Ended.FAILED))
    assert value(metrics, "tidegate_runs_ended_total", **ANALYSIS, ended="failed") == 1
    assert value(metrics, "tidegate_runs_accounted_total", type="analysis", cause="attempt") is None


def test_a_clock_set_back_makes_no_negative_time(metrics: Metrics) -> None:
    metrics(events.Claimed(job=ref(job()), latency=-SECOND))
    assert value(metrics, "tidegate_job_wait_seconds_sum", queue="high") == 0


def test_changes_of_breakers_are_counted_by_what_they_are_of(metrics: Metrics) -> None:
    [changed] = [event for event in every_event() if isinstance(event, events.UpstreamChanged)]
    metrics(changed)
    assert value(metrics, "tidegate_upstream_transitions_total", kind="upstream", name="api", to="open") == 1


def test_pruned_jobs_are_counted_one_by_one(metrics: Metrics) -> None:
    metrics(events.Pruned(count=3))
    assert value(metrics, "tidegate_jobs_pruned_total") == 3


@pytest.mark.parametrize("form", ["text/plain", "application/openmetrics-text"])
def test_no_series_has_a_twin_that_tells_when_it_began(metrics: Metrics, form: str) -> None:
    for event in every_event():
        if type(event) in HEARD:
            metrics(event)
    metrics.request("/jobs", "GET", 200, 0.01)
    encode, _ = exposition.choose_encoder(form)
    told = encode(metrics.registry).decode()
    assert "tidegate_jobs_submitted_total" in told
    assert "tidegate_http_request_duration_seconds_bucket" in told
    assert "_created" not in told


def test_what_the_host_counts_is_left_as_it_is(metrics: Metrics) -> None:
    theirs = CollectorRegistry()
    Counter("orders", "Theirs.", registry=theirs).inc()
    assert theirs.get_sample_value("orders_created") is not None
    assert metrics.registry.get_sample_value("tidegate_jobs_pruned_total") == 0


def test_no_event_leaves_a_job_s_or_a_user_s_name_behind(metrics: Metrics) -> None:
    for event in every_event():
        if {type(event), getattr(event, "ended", None)} & HEARD:
            metrics(event)
    told = str(list(metrics.registry.collect()))
    assert not {"user-1", "job-a", "request-a"} & set(told.replace("'", " ").split())


def test_a_label_has_what_is_known_and_so_many_others() -> None:
    known: set[str] = set()
    label = Bounded(lambda: known)
    shown = [label(f"n{number}") for number in range(MOST_VALUES + 2)]
    assert shown == [*(f"n{number}" for number in range(MOST_VALUES)), OTHER, OTHER]
    known.add("late")
    assert [label("late"), label("n0"), label("n100")] == ["late", "n0", OTHER]


def test_names_tell_their_units_and_what_they_are() -> None:
    families = (*COUNTS, *GAUGES)
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.name.startswith("tidegate_")
        assert not family.name.endswith("_total")  # the library adds it
        assert (family.kind == "histogram") == bool(family.buckets)
        assert family.kind != "histogram" or family.name.endswith("_seconds")
        assert sorted(family.buckets) == list(family.buckets)


def test_where_the_store_is_away_no_gauge_but_that_is_told() -> None:
    told = {family.name for family in gauges(None).collect()}
    assert told == {"tidegate_build", "tidegate_http_lasting", "tidegate_store_up"}
    assert gauges(None).get_sample_value("tidegate_store_up") == 0


def _deliveries() -> list[LaneStats]:
    lanes = (Lane(queue="system", upstream=f"webhook.{number:016x}") for number in range(300))
    return [LaneStats(lane=lane, waiting=2) for lane in lanes]


def _fleet() -> Fleet:
    api, shared = Lane(queue="high", upstream="api", parents=("acme",)), Lane(queue="high", upstream="mail")
    lanes = (LaneStats(lane=api, ready=2, running=1), LaneStats(lane=shared, ready=3, dead_letter=4), *_deliveries())
    worker = WorkerInfo(owner=OWNER, host="h", pid=7, started_at=NOW, version="1", slots=8, busy=2, queues=("high",))
    return Fleet(
        stats=Stats(at=NOW, lanes=lanes, oldest_ready_at=NOW - 5 * SECOND),
        workers=(worker, worker),
        queues=("high", "low"),
        paused=frozenset({"low"}),
        upstreams={
            "api": Circuit(state=State.HALF_OPEN, limit=1),
            "acme": Circuit(state=State.CLOSED),
            **{f"webhook.{number:016x}": Circuit(state=State.CLOSED, limit=8) for number in range(300)},
            "webhook.dead": Circuit(state=State.OPEN, limit=1),
        },
        ages={"high": 5 * SECOND, "low": None},
        per_minute={"high": 30.0},
    )


@pytest.mark.parametrize(
    ("sample", "labels", "value"),
    [
        ("queue_jobs", {"queue": "high", "state": "ready"}, 5),
        ("queue_jobs", {"queue": "high", "state": "dead_letter"}, 4),
        ("queue_jobs", {"queue": "low", "state": "ready"}, 0),
        ("queue_oldest_ready_age_seconds", {"queue": "high"}, 5),
        ("queue_oldest_ready_age_seconds", {"queue": "low"}, None),
        ("queue_ended_per_second", {"queue": "high"}, 0.5),
        ("queue_ended_per_second", {"queue": "low"}, 0),
        ("queue_paused", {"queue": "low"}, 1),
        ("queue_workers", {"queue": "high"}, 2),
        ("queue_workers", {"queue": "low"}, 0),
        ("upstream_jobs", {"upstream": "api", "state": "running"}, 1),
        ("upstream_jobs", {"upstream": "acme", "state": "ready"}, 2),
        ("upstream_state", {"upstream": "api", "state": "half_open"}, 1),
        ("upstream_state", {"upstream": "api", "state": "open"}, 0),
        ("upstream_limit", {"upstream": "api"}, 1),
        ("upstream_limit", {"upstream": "acme"}, None),
        ("upstream_jobs", {"upstream": "webhooks", "state": "waiting"}, 600),
        ("upstream_state", {"upstream": "webhooks", "state": "open"}, None),
        ("upstream_limit", {"upstream": "webhooks"}, None),
        ("webhook_receivers", {"state": "closed"}, 300),
        ("webhook_receivers", {"state": "open"}, 1),
        ("webhook_receivers", {"state": "half_open"}, 0),
        ("oldest_ready_age_seconds", {}, 5),
        ("workers", {}, 2),
        ("worker_slots", {"state": "all"}, 16),
        ("worker_slots", {"state": "busy"}, 4),
        ("store_up", {}, 1),
        ("build", {"version": "1.0"}, 1),
    ],
)
def test_a_look_at_the_fleet_becomes_gauges(sample: str, labels: dict[str, str], value: float | None) -> None:
    assert gauges(_fleet()).get_sample_value(f"tidegate_{sample}", labels) == value


def test_every_gauge_is_in_the_list_and_every_one_of_the_list_is_told() -> None:
    assert {family.name for family in gauges(_fleet()).collect()} == {family.name for family in GAUGES}


def test_no_receiver_of_a_webhook_has_a_label_of_its_own_however_many_there_are(metrics: Metrics) -> None:
    [changed] = [event for event in every_event() if isinstance(event, events.UpstreamChanged)]
    for number in range(300):
        metrics(replace(changed, gate=f"upstream:webhook.{number:016x}"))
    assert value(metrics, "tidegate_upstream_transitions_total", kind="upstream", name="webhooks", to="open") == 300
    shown = [sample.labels for family in gauges(_fleet()).collect() for sample in family.samples]
    shown += [sample.labels for family in metrics.registry.collect() for sample in family.samples]
    assert [labels for labels in shown if any(text.startswith("webhook.") for text in labels.values())] == []
    assert len(shown) < 100


def test_without_a_rate_none_is_told() -> None:
    fleet = _fleet()
    told = Fleet(stats=fleet.stats, queues=fleet.queues)
    assert gauges(told).get_sample_value("tidegate_queue_ended_per_second", {"queue": "high"}) is None
