"""What the API shows of schedules."""

import json
from datetime import datetime
from typing import Final

from tidegate.errors import InvalidInput
from tidegate.schedules import Standing, parse, ticks_after

TICKS_SHOWN: Final = 5


def item(standing: Standing, now: datetime) -> dict[str, object]:
    """A `ScheduleItem`."""
    plan = standing.plan
    schedule = plan.schedule
    return {
        "name": plan.name,
        "user_id": plan.user_id,
        "origin": standing.origin,
        "expression": schedule.expression,
        "timezone": schedule.timezone,
        "misfire": schedule.misfire,
        "max_catch_up": schedule.max_catch_up,
        "type": plan.type,
        "queue": plan.queue,
        "created_at": standing.created_at,
        "paused": standing.paused_at is not None,
        "paused_at": standing.paused_at,
        "paused_by": standing.paused_by,
        "next_at": next(iter(_next_ticks(standing, now, 1)), None),
        "last_tick": standing.last_tick,
        "last_job": standing.last_job,
        "error": standing.error,
        "retired_at": standing.retired_at,
    }


def whole(standing: Standing, now: datetime) -> dict[str, object]:
    """A `ScheduleWhole`, but for its payload."""
    plan = standing.plan
    return {
        **item(standing, now),
        "next_ticks": _next_ticks(standing, now, TICKS_SHOWN),
        "priority": plan.priority,
        "max_attempts": plan.max_attempts,
        "retry": None if plan.retry is None else json.loads(plan.retry),
        "timeout": plan.timeout,
        "tags": list(plan.tags),
        "payload": None,  # put there as it was sent
    }


def _next_ticks(standing: Standing, now: datetime, count: int) -> list[datetime]:
    """The ticks that are to come; none while it is paused or retired, or where its time zone is not known here."""
    if standing.paused_at is not None or standing.retired_at is not None:
        return []
    schedule = standing.plan.schedule
    try:
        return ticks_after(parse(schedule.expression, schedule.timezone), max(now, standing.looked), count)
    except InvalidInput:
        return []
