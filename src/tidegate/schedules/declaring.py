"""Schedules that an application declares in its code."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal, TypedDict

from tidegate.core.cron import Misfire, Schedule
from tidegate.core.job import JobId
from tidegate.core.retry import RetryPolicy
from tidegate.core.retry_json import policy_to_json
from tidegate.core.text import check_name, listed
from tidegate.errors import ConfigError, InvalidInput
from tidegate.handlers import JobType, encode
from tidegate.requests import Builder
from tidegate.schedules.book import Book
from tidegate.schedules.expressions import parse
from tidegate.schedules.plans import Origin, Plan, planned_as

PAYLOAD_LIMIT: Final = 64 * 1024
"""Bytes of a schedule's payload: every worker keeps all schedules in memory."""

_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


class ScheduleOptions(TypedDict, total=False):
    """What `app.schedule` takes beside name, expression, job and payload. `timeout` is seconds or a timedelta."""

    timezone: str
    misfire: Literal["skip", "latest", "all"]
    max_catch_up: int
    user_id: str
    queue: str
    priority: int
    max_attempts: int
    retry: RetryPolicy
    timeout: float | timedelta
    tags: tuple[str, ...]


def planned(schedule: Schedule, job_type: JobType, payload: object, options: ScheduleOptions) -> Plan:
    """The plan of a schedule of jobs of that type; raises ConfigError."""
    retry = options.get("retry")
    try:
        plan = Plan(
            schedule=schedule,
            type=job_type.name,
            payload="{}" if payload is None else encode(payload).decode(),
            user_id=options.get("user_id", ""),
            queue=options.get("queue"),
            priority=options.get("priority", 0),
            max_attempts=options.get("max_attempts"),
            retry=None if retry is None else json.dumps(policy_to_json(retry)),
            timeout=_seconds(options.get("timeout")),
            tags=listed("tags", options.get("tags", ())),
        )
        check(plan, job_type)
    except InvalidInput as exc:
        raise ConfigError(f"schedule {schedule.name!r}: {exc}") from exc
    return plan


def timetable(name: str, expression: str, options: ScheduleOptions) -> Schedule:
    """When a schedule ticks, unchecked but for its name; raises ConfigError."""
    misfire = options.get("misfire", Misfire.LATEST.value)
    if misfire not in set(Misfire):
        raise ConfigError(f"schedule {name!r}: misfire is one of {', '.join(Misfire)}, not {misfire!r}")
    return Schedule(
        name=name,
        expression=expression,
        timezone=options.get("timezone", "UTC"),
        misfire=Misfire(misfire),
        max_catch_up=options.get("max_catch_up", 10),
    )


def check(plan: Plan, job_type: JobType) -> None:
    """Raise InvalidInput, which names the field, unless ticks will make jobs of that type."""
    check_name("name", plan.name)
    parse(plan.schedule.expression, plan.schedule.timezone)
    if len(plan.payload.encode()) > PAYLOAD_LIMIT:
        raise InvalidInput("payload", f"it is over the {PAYLOAD_LIMIT} bytes that a schedule may hold")
    Builder().build(plan.request(), job_type, JobId(""), _ANY_TIME)  # made to be refused, and thrown away


def _seconds(duration: float | timedelta | None) -> float | None:
    if duration is None or isinstance(duration, timedelta):
        return None if duration is None else duration.total_seconds()
    try:
        return timedelta(seconds=duration).total_seconds()
    except (ValueError, OverflowError) as exc:
        raise InvalidInput("timeout", f"{duration} is no number of seconds") from exc


async def declare(book: Book, plans: Iterable[Plan]) -> None:
    """Have what the code declares in the store. An operator's pause holds on; raises EngineUnavailable."""
    now = await book.present()
    for plan in plans:
        await book.change(plan.key, partial(planned_as, plan=plan, origin=Origin.CODE, now=now))
