"""The schedules of a user."""

from dataclasses import dataclass
from datetime import datetime
from typing import Unpack

from tidegate.core.cron import Misfire
from tidegate.core.idempotency import check_key
from tidegate.sdk import bodies
from tidegate.sdk.asking import fetch
from tidegate.sdk.exchange import Request
from tidegate.sdk.options import ScheduleOptions, check_names
from tidegate.sdk.requests import JSON, Page, change, get, named
from tidegate.sdk.resources import Call, J, L, Resource
from tidegate.sdk.submitting import accepted, new_key


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInfo:
    """A schedule; `origin` is "code" where an application declares it at each start.

    `next_at` is None while it is paused or retired, `last_job` the job of `last_tick`, and `error` why ticks make no
    job. `retired_at`: no worker runs the code any more that declared it.
    """

    name: str
    user_id: str
    origin: str
    expression: str
    timezone: str
    misfire: Misfire
    max_catch_up: int
    type: str
    queue: str | None
    created_at: datetime
    paused: bool
    paused_at: datetime | None
    paused_by: str
    next_at: datetime | None
    last_tick: datetime | None
    last_job: str | None
    error: str
    retired_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDetails(ScheduleInfo):
    """All of a schedule, with its next five ticks."""

    next_ticks: list[datetime]
    priority: int
    max_attempts: int | None
    retry: dict[str, object] | None
    timeout: float | None
    tags: list[str]
    payload: object


class Schedules(Resource[L, J]):
    """What `client.schedules` does."""

    @Call
    async def list(self) -> list[ScheduleInfo]:
        """All of them, by name."""
        return (await fetch(self._means, get("/schedules"), Page[ScheduleInfo])).items

    @Call
    async def show(self, name: str) -> ScheduleDetails:
        """One of them; raises InvalidInput for one that is not known."""
        return await fetch(self._means, get(named("schedule", name)), ScheduleDetails)

    @Call
    async def put(
        self, name: str, expression: str, job_type: str, payload: object = None, **options: Unpack[ScheduleOptions]
    ) -> ScheduleDetails:
        """Make it, or replace one of that name: a job at each tick of a cron expression.

        A pause holds on. Raises InvalidInput, and Refused for one that code declares.
        """
        check_names("put", options, ScheduleOptions)
        body = bodies.written({"expression": expression, **bodies.asked(job_type, payload, options)})
        asked = Request(method="PUT", path=named("schedule", name), headers=JSON, content=body, repeatable=True)
        return await fetch(self._means, asked, ScheduleDetails)

    @Call
    async def delete(self, name: str) -> ScheduleDetails:
        """Remove it, and say what it was; its jobs stay. One that code declares is back at the next start."""
        return await fetch(self._means, change("DELETE", named("schedule", name)), ScheduleDetails)

    @Call
    async def pause(self, name: str) -> ScheduleDetails:
        """Let no tick make a job until it is resumed."""
        asked = change("POST", f"{named('schedule', name)}/pause", repeatable=True)
        return await fetch(self._means, asked, ScheduleDetails)

    @Call
    async def resume(self, name: str) -> ScheduleDetails:
        """Let ticks make jobs again, from now on; those of the pause are not made up for."""
        asked = change("POST", f"{named('schedule', name)}/resume", repeatable=True)
        return await fetch(self._means, asked, ScheduleDetails)

    @Call
    async def trigger(self, name: str, *, idempotency_key: str | None = None) -> J:
        """Make one job now, whatever the clock says; also while it is paused. Without a key it gets one of its own."""
        key = check_key(new_key() if idempotency_key is None else idempotency_key)
        path, headers = f"{named('schedule', name)}/trigger", {"Idempotency-Key": key}
        asked = Request(method="POST", path=path, headers=headers, repeatable=True, key=key)
        made = await accepted(self._means, asked, own=idempotency_key is None)
        return self._side.job(made.job_id, created=made.created)
