"""How the fleet stands, as gauges: what a look at the store found, in Prometheus's form."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegate.core.query import LaneStats, WorkerInfo
from tidegate.core.upstream import State
from tidegate.telemetry import families
from tidegate.telemetry.families import Bounded, Family, of_upstream
from tidegate.telemetry.fleet import Fleet

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""A value and its labels."""

Samples: TypeAlias = Iterable[Sample]

_STANDING: Final = ("waiting", "ready", "running", "dead_letter")


class Gauges(Collector):
    """Told what was found just before its registry is read; where that is None, the store did not answer."""

    def __init__(
        self, version: str, queues: Bounded, upstreams: Bounded, lasting: Callable[[], Mapping[str, int]] = dict
    ) -> None:
        self.fleet: Fleet | None = None
        self._version = version
        self._lasting = lasting
        self._queue, self._upstream = queues, upstreams

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every gauge."""
        fleet = self.fleet
        yield _gauge(families.BUILD, [((self._version,), 1)])
        yield _gauge(families.LASTING, [((kind,), count) for kind, count in self._lasting().items()])
        yield _gauge(families.STORE_UP, [((), float(fleet is not None))])
        if fleet is None:
            return
        yield from self._of_queues(fleet)
        yield from self._of_upstreams(fleet)
        yield _gauge(families.OLDEST, [((), fleet.stats.oldest_ready_age.total_seconds())])
        yield _gauge(families.WORKERS, [((), len(fleet.workers))])
        yield _gauge(families.SLOTS, _slots(fleet.workers))

    def _of_queues(self, fleet: Fleet) -> Iterator[GaugeMetricFamily]:
        names = [(queue, (self._queue(queue),)) for queue in fleet.queues]
        jobs: list[Sample] = [((*shown, stand), 0.0) for _, shown in names for stand in _STANDING]
        jobs += [sample for lane in fleet.stats.lanes for sample in _standing(self._queue(lane.lane.queue), lane)]
        served = [queue for worker in fleet.workers for queue in worker.queues]
        ages = [((self._queue(queue),), age.total_seconds()) for queue, age in fleet.ages.items() if age is not None]
        yield _gauge(families.QUEUE_JOBS, jobs)
        yield _gauge(families.QUEUE_AGE, _highest(ages))
        yield _gauge(families.QUEUE_PAUSED, _highest((shown, float(queue in fleet.paused)) for queue, shown in names))
        yield _gauge(families.QUEUE_WORKERS, _highest((shown, float(served.count(queue))) for queue, shown in names))
        if fleet.per_minute is not None:
            rates = fleet.per_minute
            yield _gauge(families.QUEUE_RATE, [(shown, rates.get(queue, 0.0) / 60) for queue, shown in names])

    def _of_upstreams(self, fleet: Fleet) -> Iterator[GaugeMetricFamily]:
        names = {name: self._upstream(of_upstream(name)) for name in fleet.upstreams}
        own = {name: circuit for name, circuit in fleet.upstreams.items() if of_upstream(name) != families.WEBHOOKS}
        receivers = Counter(fleet.upstreams[name].state for name in fleet.upstreams.keys() - own.keys())
        jobs: list[Sample] = [((shown, stand), 0.0) for shown in names.values() for stand in _STANDING]
        for lane in fleet.stats.lanes:
            for gate in lane.lane.gates[1:]:
                jobs += _standing(self._upstream(of_upstream(gate.partition(":")[2])), lane)
        states = [
            ((names[name], state.value), float(circuit.state is state))
            for name, circuit in own.items()
            for state in State
        ]
        limits = [((names[name],), each.limit) for name, each in own.items() if each.limit is not None]
        spent = [((names[name],), each.spent) for name, each in own.items() if each.spent is not None]
        budgets = [((names[name],), each.budget) for name, each in own.items() if each.budget is not None]
        yield _gauge(families.UPSTREAM_JOBS, jobs)
        yield _gauge(families.UPSTREAM_STATE, _highest(states))
        yield _gauge(families.UPSTREAM_LIMIT, _highest(limits))
        yield _gauge(families.UPSTREAM_SPENT, spent)
        yield _gauge(families.UPSTREAM_BUDGET, budgets)
        yield _gauge(families.RECEIVERS, [((state.value,), receivers[state]) for state in State])


def _gauge(family: Family, samples: Samples) -> GaugeMetricFamily:
    """Samples of like labels, of those that are shown as one, are added up."""
    found: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        found[labels] = found.get(labels, 0.0) + value
    made = GaugeMetricFamily(family.name, family.tells, labels=family.labels)
    for labels, value in found.items():
        made.add_metric(labels, value)
    return made


def _highest(samples: Samples) -> Samples:
    """Of like labels the highest value alone."""
    found: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        found[labels] = max(found.get(labels, value), value)
    return found.items()


def _standing(name: str, lane: LaneStats) -> list[Sample]:
    counts = (lane.waiting, lane.ready, lane.running, lane.dead_letter)
    return [((name, stand), float(count)) for stand, count in zip(_STANDING, counts, strict=True)]


def _slots(workers: Iterable[WorkerInfo]) -> Samples:
    return [(("all",), sum(each.slots for each in workers)), (("busy",), sum(each.busy for each in workers))]
