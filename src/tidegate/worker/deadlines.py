"""Make runs end at their timeouts, with one timer for all of them."""

import asyncio
from math import inf

from tidegate.clock import Clock
from tidegate.worker.active import Active, Actives, Stop


class Deadlines:
    """Stops every run that is past its timeout.

    The timer stands at the earliest timeout that was known when it was set. Runs that end before it leave it
    alone: it rings too early at most once for each time it is set, looks at the runs there are, and is set again.
    """

    def __init__(self, actives: Actives, clock: Clock) -> None:
        self._clock = clock
        self._actives = actives
        self._rings_at = inf
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, active: Active) -> None:
        """A run begins now."""
        timeout = active.lease.job.spec.timeout.total_seconds()
        active.due = active.started + timeout
        if active.due < self._rings_at:
            self._set(active.due, timeout)

    def close(self) -> None:
        """Stop nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, at: float, within: float) -> None:
        self.close()
        self._rings_at = at
        self._timer = asyncio.get_running_loop().call_later(within, self._ring) if at < inf else None

    def _ring(self) -> None:
        now = self._clock.monotonic()
        running = [active for active in self._actives if not active.ending and active.why is None]
        for active in running:
            if active.due <= now:
                active.stop(Stop.TIMEOUT)
        at = min((active.due for active in running if active.due > now), default=inf)
        self._set(at, at - now)
