"""Every metric: its name, what it tells, its labels. docs/reference/telemetry.md shows this list."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Literal

from tidegate.core.rules import WEBHOOK_UPSTREAM

OTHER: Final = "other"
"""The label of whatever there are too many of."""

WEBHOOKS: Final = "webhooks"
"""The label of all receivers of webhooks together: they are users' own, and any number."""

MOST_VALUES: Final = 100
"""Different values that a label has at most, beside those known beforehand."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A metric, equal to itself alone. A counter's samples are named with `_total` added; units are seconds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    tells: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def of_upstream(name: str) -> str:
    """An upstream as a label names it."""
    return WEBHOOKS if name.startswith(WEBHOOK_UPSTREAM) else name


class Bounded:
    """The values of one label: those known, and the first 100 others that come; the rest are `other`."""

    def __init__(self, known: Callable[[], Collection[str]] = tuple) -> None:
        self._known = known
        self._told: set[str] = set()
        self._room = MOST_VALUES

    def __call__(self, value: str) -> str:
        """The value to show."""
        if value in self._told:
            return value
        if value not in self._known():
            if self._room <= 0:
                return OTHER
            self._room -= 1
        self._told.add(value)
        return value


_REQUEST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RUN: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_WAIT: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)

# What this process did --------------------------------------------------------------------------------------------

SUBMITTED: Final = Family("tidegate_jobs_submitted", "counter", "Jobs accepted.", ("type", "queue"))
REPLAYED: Final = Family("tidegate_jobs_replayed", "counter", "Submits that repeated an earlier one.", ("type",))
CLAIMED: Final = Family("tidegate_runs_started", "counter", "Runs begun.", ("type", "queue"))
ENDED: Final = Family(
    "tidegate_runs_ended",
    "counter",
    "Runs ended, and jobs that ended while they waited; succeeded, failed and cancelled end the job, retried and "
    "deferred queue it again.",
    ("type", "queue", "ended"),
)
CAUSES: Final = Family(
    "tidegate_runs_accounted",
    "counter",
    "Runs ended, by what they count as: attempt, or upstream_fault, crash or interruption, which use none up.",
    ("type", "cause"),
)
DURATION: Final = Family("tidegate_run_duration_seconds", "histogram", "Time of a run.", ("type",), _RUN)
WAIT: Final = Family("tidegate_job_wait_seconds", "histogram", "Time from due to begun.", ("queue",), _WAIT)
LOST: Final = Family("tidegate_endings_lost", "counter", "Runs that ended after their lease was somebody else's.")
RECLAIMED: Final = Family("tidegate_leases_reclaimed", "counter", "Leases taken over from workers.")
EXPIRED: Final = Family("tidegate_jobs_expired", "counter", "Jobs that waited past their expires_at.", ("type",))
PRUNED: Final = Family("tidegate_jobs_pruned", "counter", "Finished jobs forgotten.")
UNKEPT: Final = Family("tidegate_result_store_failures", "counter", "Results that no try could store.")
TRANSITIONS: Final = Family(
    "tidegate_upstream_transitions",
    "counter",
    "Changes of breakers that this process made; kind is upstream or queue.",
    ("kind", "name", "to"),
)
OUTAGES: Final = Family("tidegate_store_outages", "counter", "Times that the store stopped answering.")
LATE: Final = Family("tidegate_slow_heartbeats", "counter", "Renewals of leases that came late.")
LISTENERS: Final = Family("tidegate_listener_failures", "counter", "Telemetry listeners that broke.")
REQUESTS: Final = Family("tidegate_http_requests", "counter", "Answers, by route.", ("route", "method", "status"))
REQUEST_DURATION: Final = Family(
    "tidegate_http_request_duration_seconds",
    "histogram",
    "Time from a request to the end of its answer.",
    ("route", "method"),
    _REQUEST,
)

# How the fleet stands ---------------------------------------------------------------------------------------------

BUILD: Final = Family("tidegate_build", "gauge", "Always 1; the version of this process.", ("version",))
LASTING: Final = Family(
    "tidegate_http_lasting",
    "gauge",
    "Answers that last and are under way in this process: streams of events (stream), long polls (wait).",
    ("kind",),
)
STORE_UP: Final = Family("tidegate_store_up", "gauge", "Whether the store answered; where not, no gauge below is told.")
QUEUE_JOBS: Final = Family(
    "tidegate_queue_jobs",
    "gauge",
    "Jobs by where they stand: waiting, ready, running, dead_letter.",
    ("queue", "state"),
)
QUEUE_AGE: Final = Family(
    "tidegate_queue_oldest_ready_age_seconds",
    "gauge",
    "How long the queue's oldest ready job has been due; missing where finding it takes a search.",
    ("queue",),
)
QUEUE_RATE: Final = Family(
    "tidegate_queue_ended_per_second",
    "gauge",
    "Jobs that end, in the whole fleet, over the last 5 minutes that this process has followed.",
    ("queue",),
)
QUEUE_PAUSED: Final = Family("tidegate_queue_paused", "gauge", "Whether nothing of the queue is claimed.", ("queue",))
QUEUE_WORKERS: Final = Family("tidegate_queue_workers", "gauge", "Workers that serve the queue.", ("queue",))
OLDEST: Final = Family("tidegate_oldest_ready_age_seconds", "gauge", "How long the oldest ready job has been due.")
UPSTREAM_JOBS: Final = Family(
    "tidegate_upstream_jobs",
    "gauge",
    "Jobs of the upstream's lanes by where they stand: waiting, ready, running, dead_letter; webhooks together.",
    ("upstream", "state"),
)
UPSTREAM_STATE: Final = Family(
    "tidegate_upstream_state",
    "gauge",
    "1 for the state that its breaker is in, 0 for the others: closed, open, half_open.",
    ("upstream", "state"),
)
UPSTREAM_LIMIT: Final = Family(
    "tidegate_upstream_limit", "gauge", "Jobs that may run at once; missing where there is no limit.", ("upstream",)
)
UPSTREAM_SPENT: Final = Family(
    "tidegate_upstream_spent_dollars",
    "gauge",
    "What calls have cost in the present window of the upstream's budget; missing without one.",
    ("upstream",),
)
UPSTREAM_BUDGET: Final = Family(
    "tidegate_upstream_budget_dollars", "gauge", "What they may cost in it; missing without a budget.", ("upstream",)
)
RECEIVERS: Final = Family(
    "tidegate_webhook_receivers",
    "gauge",
    "Receivers of webhooks by the state of their breakers: closed, open, half_open.",
    ("state",),
)
WORKERS: Final = Family("tidegate_workers", "gauge", "Workers that are heard of.")
SLOTS: Final = Family("tidegate_worker_slots", "gauge", "Their slots: all, and those in use (busy).", ("state",))

COUNTS: Final = (
    SUBMITTED, REPLAYED, CLAIMED, ENDED, CAUSES, DURATION, WAIT, LOST, RECLAIMED, EXPIRED, PRUNED, UNKEPT,
    TRANSITIONS, OUTAGES, LATE, LISTENERS, REQUESTS, REQUEST_DURATION,
)  # fmt: skip
GAUGES: Final = (
    BUILD, LASTING, STORE_UP, QUEUE_JOBS, QUEUE_AGE, QUEUE_RATE, QUEUE_PAUSED, QUEUE_WORKERS, OLDEST, UPSTREAM_JOBS,
    UPSTREAM_STATE, UPSTREAM_LIMIT, UPSTREAM_SPENT, UPSTREAM_BUDGET, RECEIVERS, WORKERS, SLOTS,
)  # fmt: skip
