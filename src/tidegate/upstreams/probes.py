"""Calls under way, so that a probe that hangs is noticed."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to an upstream: of which job, and the eras of its gates as it was let through."""

    upstream: str
    parents: tuple[str, ...] = ()
    eras: Mapping[str, int] = field(default_factory=dict)
    job: str = ""

    @property
    def gates(self) -> tuple[str, ...]:
        """Its own gate, then its parents', nearest first."""
        return tuple(f"upstream:{name}" for name in (self.upstream, *self.parents))


class Probes:
    """When calls began, by the eras they began in. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, tuple[Call, float]] = {}

    def began(self, call: Call, at: float) -> None:
        """A call is under way since `at`, in seconds that never go back."""
        with self._lock:
            self._calls[id(call)] = call, at

    def ended(self, call: Call) -> None:
        """It is over, whatever it came to."""
        with self._lock:
            self._calls.pop(id(call), None)

    def oldest(self, gate: str, since: int) -> float | None:
        """When the oldest call through a gate began, of those in era `since` or later."""
        with self._lock:
            return min((at for call, at in self._calls.values() if call.eras.get(gate, -1) >= since), default=None)
