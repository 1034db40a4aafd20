"""What changes while a provider runs: its clock, and what each tenant's calls meet."""

from collections.abc import Mapping
from typing import Final

from tidegate.clock import Clock
from tidegate.provider.decision import Decision, Verdict, decide, draws
from tidegate.provider.log import Line, Log, plain
from tidegate.provider.script import Script, Step, compile_phase, compile_tenant
from tidegate.provider.timeline import Phase, Tenant, Timeline


class Tenancy:
    """One tenant: its script, what was set over it by hand, and the calls being answered."""

    def __init__(self, name: str, tenant: Tenant, scale: float, *, repeat: bool) -> None:
        self.name: Final = name
        self._tenant = tenant
        self._scale = scale
        self._script: Script = compile_tenant(tenant, scale, repeat=repeat)
        self._override: Step | None = None
        self.in_flight = 0
        self.calls = 0

    def restart(self) -> None:
        """The first call again."""
        self._override, self.calls = None, 0

    def override(self, phase: Phase | None, now: float) -> None:
        """Put a phase over the script, from now on for as long as it says; None takes it away."""
        self._override = None if phase is None else compile_phase(phase, self._tenant, self._scale, now)

    def overridden(self, now: float) -> bool:
        """Whether the script is not what holds."""
        return self._override is not None and now < self._override.end

    def at(self, now: float) -> tuple[Step, float]:
        """The step that holds, and the instant on its own time."""
        if self._override is not None:
            if now < self._override.end:
                return self._override, now
            self._override = None
        return self._script.at(now)


class Provider:
    """Tenants on one clock, and their log."""

    def __init__(self, timeline: Timeline, log: Log, clock: Clock) -> None:
        self.timeline: Final = timeline
        self.log: Final = log
        self._clock = clock
        self.started = clock.monotonic()
        self.run = 1
        self._serial = 0
        self.tenants: Mapping[str, Tenancy] = {
            name: Tenancy(name, tenant, timeline.scale, repeat=timeline.repeat)
            for name, tenant in timeline.tenants.items()
        }

    def begin(self) -> None:
        """Begin the timeline now."""
        self.started = self._clock.monotonic()

    def restart(self) -> None:
        """Begin it anew; what is being answered is answered as it was to be."""
        self.begin()
        self.run += 1
        for tenancy in self.tenants.values():
            tenancy.restart()

    def now(self) -> float:
        """Seconds since the start of the timeline."""
        return self.since(self.started)

    def since(self, instant: float) -> float:
        """Seconds since a reading of the clock: a call that outlives a new start keeps to its own."""
        return self._clock.monotonic() - instant

    def wall(self) -> int:
        """The second that answers say they were made in."""
        return int(self._clock.now().timestamp())

    def arrive(self, tenancy: Tenancy) -> "Call":
        """A call that begins now."""
        self._serial += 1
        return Call(self, tenancy, self._serial)


class Call:
    """One call, from its arrival to its line in the log."""

    def __init__(self, provider: Provider, tenancy: Tenancy, serial: int) -> None:
        self.id: Final = f"chatcmpl-{tenancy.name}-{serial:06}"
        self.job: str | None = None
        self._provider = provider
        self._tenancy = tenancy
        self._run, self._started = provider.run, provider.started
        self._arrived = provider.now()
        self._in_flight = tenancy.in_flight
        self._step, self._instant = tenancy.at(self._arrived)
        self._held = False

    def decide(self) -> Decision:
        """What it meets. It holds a place from here on, unless none is left."""
        tenancy = self._tenancy
        tenancy.calls += 1
        self._in_flight = tenancy.in_flight
        chance = draws(self._provider.timeline.seed, tenancy.name, tenancy.calls)
        decision = decide(self._step, self._instant, self._in_flight, chance)
        self._held = decision.capacity is None or self._in_flight < decision.capacity
        tenancy.in_flight += self._held
        return decision

    def end(self, verdict: Verdict, status: int | None) -> None:
        """Give the place back, and write the line."""
        self._tenancy.in_flight -= self._held
        ended = round(self._provider.since(self._started), 6)
        self._provider.log.add(
            Line(
                id=self.id,
                run=self._run,
                tenant=self._tenancy.name,
                arrived=round(self._arrived, 6),
                answered=None if status is None else ended,
                ended=ended,
                phase=self._step.name,
                in_flight=self._in_flight,
                capacity=self._step.capacity_at(self._instant),
                verdict=verdict,
                status=status,
                job=plain(self.job),
            )
        )
