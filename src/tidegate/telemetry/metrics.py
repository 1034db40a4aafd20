"""Counts what happens in this process, for Prometheus: a listener on events, and what HTTP requests come to."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric

from tidegate.telemetry import events, families
from tidegate.telemetry.events import Ended, Event, Kind
from tidegate.telemetry.families import Bounded, Family

HEARD: Final[frozenset[Kind]] = frozenset(
    {
        events.Submitted, events.Replayed, events.Claimed, *Ended, events.EndingLost, events.Reclaimed,
        events.Expired, events.Pruned, events.ResultStoreFailed, events.UpstreamChanged, events.StoreDown,
        events.SlowHeartbeat, events.ListenerFailed,
    }
)  # fmt: skip
"""What `Metrics` wants to be told."""

ATTEMPT: Final = "attempt"
"""The cause of a run that is held against `max_attempts`."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Instrument = TypeVar("Instrument", Counter, Histogram)


class _Labelled(dict[tuple[str, ...], Instrument]):
    """A metric's children by their labels: found here they cost half of what the library's own look-up does."""

    def __init__(self, parent: Instrument) -> None:
        super().__init__()
        self._parent: Instrument = parent

    def __missing__(self, labels: tuple[str, ...]) -> Instrument:
        child: Instrument = self._parent.labels(*labels) if labels else self._parent
        self[labels] = child
        return child


class _Registry(CollectorRegistry):
    """One that leaves out when each series began: a second series for each, which the text form calls a gauge."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class Metrics:
    """The counts of one application, in a registry of its own; told from any thread. Names nobody's job or user."""

    def __init__(self, types: Bounded, queues: Bounded, upstreams: Bounded) -> None:
        self.registry: CollectorRegistry = _Registry()
        self._type, self._queue, self._upstream = types, queues, upstreams
        self._counters = {
            each: _Labelled(_counter(each, self.registry)) for each in families.COUNTS if not each.buckets
        }
        self._times = {each: _Labelled(_histogram(each, self.registry)) for each in families.COUNTS if each.buckets}
        self._tell: dict[type[Event], Callable[..., None]] = {
            events.Submitted: self._submitted,
            events.Claimed: self._claimed,
            events.Finished: self._finished,
            events.Replayed: lambda event: self._count(families.REPLAYED, self._type(event.job.type)),
            events.Expired: lambda event: self._count(families.EXPIRED, self._type(event.job.type)),
            events.UpstreamChanged: self._changed,
            events.Pruned: lambda event: self._counters[families.PRUNED][()].inc(event.count),
            events.EndingLost: partial(self._plain, families.LOST),
            events.Reclaimed: partial(self._plain, families.RECLAIMED),
            events.ResultStoreFailed: partial(self._plain, families.UNKEPT),
            events.StoreDown: partial(self._plain, families.OUTAGES),
            events.SlowHeartbeat: partial(self._plain, families.LATE),
            events.ListenerFailed: partial(self._plain, families.LISTENERS),
        }

    def __call__(self, event: Event) -> None:
        """Count one event."""
        self._tell[type(event)](event)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one HTTP answer; `route` is its template."""
        known = method if method in METHODS else families.OTHER
        self._counters[families.REQUESTS][route, known, f"{status // 100}xx"].inc()
        self._times[families.REQUEST_DURATION][route, known].observe(seconds)

    def _count(self, family: Family, *labels: str) -> None:
        self._counters[family][labels].inc()

    def _plain(self, family: Family, _: Event) -> None:
        self._count(family)

    def _submitted(self, event: events.Submitted) -> None:
        self._count(families.SUBMITTED, self._type(event.job.type), self._queue(event.job.queue))

    def _claimed(self, event: events.Claimed) -> None:
        queue = self._queue(event.job.queue)
        self._count(families.CLAIMED, self._type(event.job.type), queue)
        self._time(families.WAIT, event.latency, queue)

    def _finished(self, event: events.Finished) -> None:
        job_type = self._type(event.job.type)
        self._count(families.ENDED, job_type, self._queue(event.job.queue), event.ended.value)
        if event.latency is not None:  # else it never ran
            self._count(families.CAUSES, job_type, ATTEMPT if event.refund is None else event.refund.value)
            self._time(families.DURATION, event.latency, job_type)

    def _changed(self, event: events.UpstreamChanged) -> None:
        kind, _, name = event.gate.partition(":")
        self._count(families.TRANSITIONS, kind, self._upstream(families.of_upstream(name)), event.transition.to)

    def _time(self, family: Family, took: timedelta | None, *labels: str) -> None:
        if took is not None:
            self._times[family][labels].observe(max(took.total_seconds(), 0.0))


def _counter(family: Family, registry: CollectorRegistry) -> Counter:
    return Counter(family.name, family.tells, family.labels, registry=registry)


def _histogram(family: Family, registry: CollectorRegistry) -> Histogram:
    return Histogram(family.name, family.tells, family.labels, registry=registry, buckets=family.buckets)
