"""What stands in line and is claimed all the same by nobody, for a gate before it is shut: how many jobs, and why."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tidegate.core.query import LaneStats
from tidegate.core.rules import WEBHOOK_UPSTREAM
from tidegate.core.waiting import Look, WaitReason, shut_by

RECEIVERS: Final = "receivers of webhooks are down, or asked to wait"
"""All that is said of them: whose they are is for operators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """So many `jobs` in line are held for one reason, `until` then; `upstream` is None for their queue's pause."""

    jobs: int
    why: str
    upstream: str | None = None
    until: datetime | None = None


def held(lanes: Iterable[LaneStats], now: datetime, look: Look) -> list[Held]:
    """What holds the jobs in line of these lanes, the most first; what holds none is left out."""
    found: dict[str, Held] = {}
    for stats in lanes:
        reason = shut_by(stats.lane, now, look) if stats.ready else None
        if reason is not None:
            new = _held(stats.ready, reason, now)
            before = found.get(new.why)
            found[new.why] = new if before is None else replace(new, jobs=before.jobs + new.jobs)
    return sorted(found.values(), key=lambda one: (-one.jobs, one.why))


def _held(jobs: int, reason: WaitReason, now: datetime) -> Held:
    kind, _, name = (reason.gate or "").partition(":")
    if name.startswith(WEBHOOK_UPSTREAM):
        return Held(jobs=jobs, why=RECEIVERS)
    until = reason.until if reason.until is not None and reason.until > now else None
    return Held(jobs=jobs, why=reason.message, upstream=name if kind == "upstream" else None, until=until)
