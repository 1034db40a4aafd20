"""A schedule as the store has it: what it does, and how it stands."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from tidegate.core.cron import Schedule, tick_key
from tidegate.core.retry_json import policy_from_json
from tidegate.errors import ConfigError
from tidegate.requests import JobRequest

KIND: Final = "schedule"
"""Of its document. The key is `key_of`."""


class Origin(StrEnum):
    """Who says what a schedule does."""

    CODE = "code"  # an application, each time that it starts
    API = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When a schedule ticks, and the job that each tick makes. `payload` and `retry` are JSON; `timeout` is seconds."""

    schedule: Schedule
    type: str
    payload: str = "{}"
    user_id: str = ""
    queue: str | None = None
    priority: int = 0
    max_attempts: int | None = None
    retry: str | None = None
    timeout: float | None = None
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """One user has one schedule of a name."""
        return self.schedule.name

    @property
    def key(self) -> str:
        """The key of its document."""
        return key_of(self.name, self.user_id)

    def tick_request(self, tick: datetime) -> JobRequest:
        """What a tick asks for: one job under one key, whatever the plan was when it was made."""
        key = tick_key(self.name, tick)
        return replace(self.request(), idempotency_key=key, asked={"schedule": self.name, "tick": key})

    def request(self) -> JobRequest:
        """What it asks for apart from its ticks."""
        return JobRequest(
            type=self.type,
            payload=self.payload.encode(),
            user_id=self.user_id,
            queue=self.queue,
            priority=self.priority,
            max_attempts=self.max_attempts,
            retry=None if self.retry is None else policy_from_json(json.loads(self.retry), "retry"),
            timeout=None if self.timeout is None else timedelta(seconds=self.timeout),
            tags=self.tags,
            asked={"schedule": self.name},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A plan and what became of it.

    Ticks up to `looked` are dealt with and never run again. `last_job` is that of `last_tick`. `error` says why ticks
    make no job; it is "" once one does. `retired_at` is when its ticks were found to be nobody's: no worker runs code
    any more that declares it.
    """

    plan: Plan
    origin: Origin
    created_at: datetime
    looked: datetime
    paused_at: datetime | None = None
    paused_by: str = ""
    last_tick: datetime | None = None
    last_job: str | None = None
    error: str = ""
    retired_at: datetime | None = None


def key_of(name: str, user_id: str) -> str:
    """The key of the document of a user's schedule; no name has a slash."""
    return f"{name}/{user_id}"


_decoder: Final = msgspec.json.Decoder(Standing)


def encode(standing: Standing) -> bytes:
    """The value of a schedule's document."""
    return msgspec.json.encode(standing)


def decode(value: bytes | None) -> Standing | None:
    """What `encode` wrote; None for nothing, and for what can't be read: a release after this one wrote it."""
    if value is None:
        return None
    try:
        read = _decoder.decode(value)
    except (msgspec.MsgspecError, ConfigError):
        return None
    instants = (read.created_at, read.looked, read.paused_at, read.last_tick, read.retired_at)
    return read if all(at is None or at.tzinfo is not None for at in instants) else None


def planned_as(before: Standing | None, plan: Plan, origin: Origin, now: datetime) -> Standing:
    """The schedule with that plan. A new one, or one with other ticks, begins now; a pause holds on."""
    if before is None:
        return Standing(plan=plan, origin=origin, created_at=now, looked=now)
    if (before.plan, before.origin) == (plan, origin):
        return replace(before, retired_at=None)
    old, new = before.plan.schedule, plan.schedule
    alike = (old.expression, old.timezone) == (new.expression, new.timezone)
    looked = before.looked if alike else max(before.looked, now)
    return replace(before, plan=plan, origin=origin, looked=looked, error="", retired_at=None)


def paused(before: Standing, author: str, now: datetime) -> Standing:
    """Let no tick make a job."""
    return before if before.paused_at is not None else replace(before, paused_at=now, paused_by=author)


def resumed(before: Standing, now: datetime) -> Standing:
    """Let ticks make jobs again, from now on: those of the pause were not missed."""
    if before.paused_at is None:
        return before
    return replace(before, paused_at=None, paused_by="", looked=max(before.looked, now))


def ticked(before: Standing | None, tick: datetime, job_id: str, error: str = "") -> Standing | None:
    """Ticks up to `tick` are done; the last one made that job."""
    if before is None or tick <= before.looked:
        return before
    return replace(before, looked=tick, last_tick=tick, last_job=job_id, error=error, retired_at=None)


def passed(before: Standing | None, until: datetime) -> Standing | None:
    """Ticks up to then were missed, and don't run."""
    return before if before is None or until <= before.looked else replace(before, looked=until, retired_at=None)


def failing(before: Standing | None, looked: datetime, error: str) -> Standing | None:
    """Ticks after `looked` make no job, unless somebody dealt with them since; the first reason stands."""
    return before if before is None or before.error or before.looked > looked else replace(before, error=error)


def retired(before: Standing | None, tick: datetime, now: datetime) -> Standing | None:
    """`tick` passed, and nobody whose code declares the schedule dealt with it: no later one is looked for.

    Declared again it goes on, and what passed meanwhile was missed.
    """
    if before is None or before.origin is not Origin.CODE or before.retired_at is not None or before.looked >= tick:
        return before
    return replace(before, retired_at=now)
