"""Which job types every open system has besides its application's, and what they work with."""

from dataclasses import dataclass

from tidegate.client import Client
from tidegate.clock import Clock
from tidegate.handlers import Registry
from tidegate.ports import Engine
from tidegate.system_jobs import bulk
from tidegate.system_jobs.webhooks.service import Webhooks
from tidegate.telemetry.events import Emitter


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemReach:
    """What Tidegate's own jobs reach. `bulk_of_a_user` is how many bulk actions of one user run at once."""

    engine: Engine
    client: Client
    clock: Clock
    emit: Emitter
    webhooks: Webhooks
    bulk_of_a_user: int


def register(registry: Registry, to: SystemReach) -> None:
    """Add Tidegate's own job types to `registry`."""
    reach = bulk.BulkReach(
        engine=to.engine,
        emit=to.emit,
        clock=to.clock,
        of_a_user=to.bulk_of_a_user,
        cancelled=to.webhooks.cancelled_ids,
    )
    bulk.register(registry, reach)
    to.webhooks.register(registry)
