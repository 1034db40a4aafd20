"""What one look at the whole fleet finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tidegate.core.query import Stats, WorkerInfo
from tidegate.core.upstream import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """An upstream's breaker: its state, and how many jobs it lets run at once, None for any number.

    `spent` are the dollars of its `budget` that calls have cost in the present window; None without one.
    """

    state: State
    limit: int | None = None
    spent: float | None = None
    budget: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Jobs, workers, queues and upstreams.

    `queues` are all of them, also those without jobs. `ages` are those of the oldest ready jobs by queue, None where
    nobody knows. `per_minute` are the jobs that ended, None while there is nothing to go by.
    """

    stats: Stats
    workers: tuple[WorkerInfo, ...] = ()
    queues: tuple[str, ...] = ()
    paused: frozenset[str] = frozenset()
    upstreams: Mapping[str, Circuit] = field(default_factory=dict)
    ages: Mapping[str, timedelta | None] = field(default_factory=dict)
    per_minute: Mapping[str, float] | None = None
