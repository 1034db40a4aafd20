"""What one application's process counts, and what it reads the fleet into."""

from collections.abc import Callable, Mapping

from prometheus_client import exposition

from tidegate.app import Tidegate
from tidegate.errors import ConfigError
from tidegate.telemetry.families import Bounded
from tidegate.telemetry.fleet import Fleet
from tidegate.telemetry.gauges import Gauges
from tidegate.telemetry.metrics import HEARD, Metrics
from tidegate.wiring import VERSION


class Meter:
    """Listens to the application from now on. `lasting` tells how many answers that last are under way, by sort."""

    def __init__(self, application: Tidegate, lasting: Callable[[], Mapping[str, int]]) -> None:
        self._application = application
        queues, upstreams = Bounded(self.queues), Bounded(self._upstreams)
        self.metrics = Metrics(Bounded(lambda: application.registry.names), queues, upstreams)
        self._gauges = Gauges(VERSION, queues, upstreams, lasting)
        self.metrics.registry.register(self._gauges)
        application.emit.subscribe(self.metrics, HEARD)

    def shown(self, form: str, fleet: Fleet | None) -> tuple[bytes, str]:
        """All metrics in the form of that media type, and its whole name; `fleet` is None where nobody knows."""
        self._gauges.fleet = fleet
        encode, content_type = exposition.choose_encoder(form)
        return encode(self.metrics.registry), content_type

    def queues(self) -> set[str]:
        """The queues that the application or its settings name; clients may name any others."""
        of_types = {job_type.lane.queue for job_type in self._application.registry}
        try:
            return of_types | set(self._application.system.settings.queues)
        except ConfigError:  # it is not open
            return of_types

    def _upstreams(self) -> set[str]:
        declared = self._application.policies.upstreams
        parents = {parent for known in declared.values() for parent in known.parents}
        return {*declared, *parents, *(job_type.lane.upstream or "" for job_type in self._application.registry)}
