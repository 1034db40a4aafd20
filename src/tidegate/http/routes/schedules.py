"""Routes that show, make and hold schedules. Another user's schedule is as unknown as one that never was."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.cron import Schedule
from tidegate.core.job import Status
from tidegate.core.retry_json import policy_from_json, policy_to_json
from tidegate.errors import Refused, TidegateError
from tidegate.http.face import Author, Face, UserId, Viewer, place, told
from tidegate.http.guards import limits
from tidegate.http.openapi import Object, refusals
from tidegate.http.problems import NOT_FOUND, Refusal
from tidegate.http.requests.asking import KEY_HEADER, check_queue, header_key, validated
from tidegate.http.requests.reading import parse_json, read_json
from tidegate.http.routes.accepting import status_of
from tidegate.http.schemas import schedule_views
from tidegate.http.schemas.jobs import JobAccepted
from tidegate.http.schemas.schedules import ScheduleItem, ScheduleList, ScheduleSent, ScheduleWhole
from tidegate.http.schemas.upstreams import NAME_PATTERN
from tidegate.intake import Accepted
from tidegate.requests import JobRequest
from tidegate.schedules import Book, Origin, Plan, Record, Standing, parse
from tidegate.schedules.declaring import check
from tidegate.schedules.plans import paused, planned_as, resumed

MOST_SCHEDULES: Final = 1_000
"""Schedules of one user: every worker keeps them all in memory."""

TAGS: list[str | Enum] = ["schedules"]

NamePath = Annotated[str, Path(pattern=NAME_PATTERN, description="The schedule's name.", examples=["nightly-report"])]

_BODY: Final = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/ScheduleSent"},
            "example": {"expression": "0 3 * * *", "timezone": "Europe/Berlin", "type": "report", "payload": {}},
        }
    },
}


class _Raw(msgspec.Struct):
    """The payload as it was sent, to the byte."""

    payload: msgspec.Raw = msgspec.Raw(b"{}")


class ScheduleRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def find(self, viewer: Viewer) -> Response:
        """List your schedules, by name."""
        now = self._face.system.upstreams.now()
        found = [record.standing for record in await self._book.all()]
        mine = [one for one in found if one is not None and viewer in (None, one.plan.user_id)]
        return told(ScheduleList(items=[ScheduleItem.model_validate(schedule_views.item(one, now)) for one in mine]))

    async def show(self, viewer: Viewer, name: NamePath) -> Response:
        """Show a schedule and its next ticks."""
        return self._shown(await self._known(name, viewer))

    async def put(self, request: Request, user_id: UserId, name: NamePath) -> Response:
        """Make a schedule, or replace one.

        201 where there was none. A pause holds on.
        """
        await self._face.count_post(request)
        body = await read_json(request)
        plan = _plan(name, user_id, validated(ScheduleSent, parse_json(body)), body)
        check(plan, self._face.application.registry.get(plan.type))
        [seen] = await self._book.load([plan.key])
        if seen.standing is None:
            await self._check_count(user_id, MOST_SCHEDULES - 1)
        now = await self._book.present()
        record, _ = await self._book.change(plan.key, partial(_put, plan=plan, now=now), seen)
        if seen.standing is None:
            await self._check_made(record, user_id)
        return self._shown(record, 201 if seen.standing is None else 200)

    async def delete(self, request: Request, viewer: Viewer, name: NamePath) -> Response:
        """Remove a schedule; its jobs stay. One that code declares is back at the next start."""
        await self._face.count_post(request)
        known = await self._known(name, viewer)
        await self._book.change(known.key, lambda _: None, known)
        return self._shown(known)

    async def pause(self, request: Request, viewer: Viewer, author: Author, name: NamePath) -> Response:
        """Let no tick make a job until the schedule is resumed."""
        return await self._act(request, viewer, name, partial(paused, author=author))

    async def resume(self, request: Request, viewer: Viewer, name: NamePath) -> Response:
        """Let ticks make jobs again, from now on; those of the pause are not made up for."""
        return await self._act(request, viewer, name, resumed)

    async def trigger(self, request: Request, viewer: Viewer, name: NamePath) -> Response:
        """Make one job now, whatever the clock says; also while it is paused."""
        standing = (await self._known(name, viewer)).standing
        assert standing is not None
        key = header_key(request)
        asked = replace(standing.plan.request(), idempotency_key=key, request_id=request.state.request_id)
        async with self._face.turns.turn(asked):
            accepted, headers = await self._accept(asked, self._face.address(request))
        job_id = accepted.job_id
        status = Status.QUEUED if accepted.created else await status_of(self._face, job_id)
        body = JobAccepted(job_id=job_id, status=status, status_url=place(request, f"/jobs/{job_id}/status"))
        headers = {"Location": place(request, f"/jobs/{job_id}"), **headers}
        if not accepted.created:
            headers["Idempotent-Replayed"] = "true"
        return Response(body.model_dump_json(), 201 if accepted.created else 200, headers, "application/json")

    async def _accept(self, asked: JobRequest, peer: str) -> tuple[Accepted, dict[str, str]]:
        """The job, counted against the limits as any other; a replay is not."""
        face = self._face
        job = await face.client.intake.check(asked)
        grant = await face.limits.take(
            [*limits.post(face.settings, peer), *limits.enqueue(face.settings, asked.user_id)]
        )
        try:
            [accepted] = await face.client.intake.store([job])
        except TidegateError:
            await face.limits.give_back(grant)
            raise
        if accepted.created:
            return accepted, grant.headers
        await face.limits.give_back(grant)
        return accepted, {}

    @property
    def _book(self) -> Book:
        return Book(self._face.system.engine, self._face.system.runtime.nonce)

    async def _known(self, name: str, viewer: str | None) -> Record:
        record = await self._book.find(name, viewer)
        if record is None:
            raise _unknown(name)
        return record

    async def _act(self, request: Request, viewer: str | None, name: str, change: Callable[..., Standing]) -> Response:
        await self._face.count_post(request)
        known, now = await self._known(name, viewer), await self._book.present()
        record, _ = await self._book.change(
            known.key, lambda before: None if before is None else change(before, now=now), known
        )
        if record.standing is None:  # deleted in this moment
            raise _unknown(name)
        return self._shown(record)

    async def _check_made(self, made: Record, user_id: str) -> None:
        """Count again with the new one in the store: of many that race for the last places none goes beyond."""
        try:
            await self._check_count(user_id, MOST_SCHEDULES)
        except Refused:
            await self._book.change(made.key, partial(_unmade, made=made.standing), made)
            raise

    async def _check_count(self, user_id: str, most: int) -> None:
        found = [record.standing for record in await self._book.all()]
        if sum(one is not None and one.plan.user_id == user_id for one in found) > most:
            raise Refused(f"a user has at most {MOST_SCHEDULES} schedules: remove some")

    def _shown(self, record: Record, status: int = 200) -> Response:
        assert record.standing is not None
        shown = ScheduleWhole.model_validate(schedule_views.whole(record.standing, self._face.system.upstreams.now()))
        text = shown.model_dump_json(exclude={"payload"}).encode()
        content = b'%b,"payload":%b}' % (text[:-1], record.standing.plan.payload.encode())
        return Response(content, status, media_type="application/json")


def _unknown(name: str) -> Refusal:
    return Refusal(NOT_FOUND, f"no schedule {name[:128]!r} is known here; GET /schedules lists them")


def _put(before: Standing | None, plan: Plan, now: datetime) -> Standing:
    if before is not None and before.origin is Origin.CODE and before.retired_at is None:
        raise Refused(f"schedule {plan.name!r} is declared in code: change it there, or remove it both there and here")
    return planned_as(before, plan, Origin.API, now)


def _unmade(before: Standing | None, made: Standing | None) -> Standing | None:
    """Nothing, unless what is there now is another one."""
    return None if before is None or made is None or before.created_at == made.created_at else before


def _plan(name: str, user_id: str, asked: ScheduleSent, sent: bytes) -> Plan:
    """What was asked for; raises InvalidInput."""
    check_queue(asked.queue)
    parse(asked.expression, asked.timezone)
    policy = None if asked.retry is None else policy_from_json(asked.retry, "retry")
    return Plan(
        schedule=Schedule(
            name=name,
            expression=asked.expression,
            timezone=asked.timezone,
            misfire=asked.misfire,
            max_catch_up=asked.max_catch_up,
        ),
        type=asked.type,
        payload=bytes(msgspec.json.decode(sent, type=_Raw).payload).decode(),
        user_id=user_id,
        queue=asked.queue,
        priority=asked.priority,
        max_attempts=asked.max_attempts,
        retry=None if policy is None else json.dumps(policy_to_json(policy)),
        timeout=asked.timeout,
        tags=tuple(asked.tags or ()),
    )


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`."""
    routes, one = ScheduleRoutes(face), "/schedules/{name}"
    seen, acted = refusals(400, 404, 409, 422, 503), refusals(400, 404, 409, 422, 429, 503)
    made: dict[int | str, Object] = {201: {"model": ScheduleWhole, "description": "There was none."}}
    replayed: dict[int | str, Object] = {
        200: {"model": JobAccepted, "description": "The key had made this job before."}
    }
    router.add_api_route(
        "/schedules", routes.find, response_model=ScheduleList, responses=refusals(400, 503), tags=TAGS
    )
    router.add_api_route(one, routes.show, response_model=ScheduleWhole, responses=seen, tags=TAGS)
    router.add_api_route(
        one,
        routes.put,
        methods=["PUT"],
        response_model=ScheduleWhole,
        responses={**made, **refusals(400, 409, 413, 415, 422, 429, 503)},
        openapi_extra={"requestBody": _BODY},
        tags=TAGS,
    )
    for method, path, act in (
        ("DELETE", "", routes.delete),
        ("POST", "/pause", routes.pause),
        ("POST", "/resume", routes.resume),
    ):
        router.add_api_route(
            f"{one}{path}", act, methods=[method], response_model=ScheduleWhole, responses=acted, tags=TAGS
        )
    router.add_api_route(
        f"{one}/trigger",
        routes.trigger,
        methods=["POST"],
        status_code=201,
        response_model=JobAccepted,
        responses={**replayed, **acted},
        openapi_extra={"parameters": [KEY_HEADER]},
        tags=TAGS,
    )
