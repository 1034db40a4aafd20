"""`POST /jobs/actions`: retry, cancel or dismiss every job that fits a filter, in a job of Tidegate's own."""

from dataclasses import replace
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.idempotency import check_key
from tidegate.core.job import Status
from tidegate.errors import InvalidInput, TidegateError
from tidegate.handlers import encode
from tidegate.http.face import Author, Face, Viewer, caller_of, place, told, whose
from tidegate.http.guards import limits
from tidegate.http.openapi import Object, refusals
from tidegate.http.requests.asking import KEY_HEADER, header_key, one_key, origin_of, validated
from tidegate.http.requests.parameters import JobFilter
from tidegate.http.requests.reading import parse_json, read_json
from tidegate.http.routes.accepting import status_of
from tidegate.http.routes.jobs import query_of
from tidegate.http.schemas.bulk import BulkAct, BulkMatches
from tidegate.http.schemas.jobs import JobAccepted
from tidegate.intake import Accepted
from tidegate.requests import LONGEST_TEXT, JobRequest
from tidegate.system_jobs import SYSTEM_PREFIX
from tidegate.system_jobs.bulk import NAME, own_types
from tidegate.system_jobs.scope import Action, Work, matches

OPERATORS: Final = f"{SYSTEM_PREFIX}operator."
"""Begins the user id of a job that an operator had made to act on others' jobs: it is no user's to retry."""

RETRIES_PER_SECOND: Final = 100.0
"""Unless another pace is asked for: what has just healed shall not be trampled on."""

_CONTENT: Final = {
    "application/json": {
        "schema": {"$ref": "#/components/schemas/BulkAct"},
        "examples": {
            "retry": {
                "summary": "Retry what an upstream's outage buried",
                "value": {
                    "action": "retry",
                    "filter": {"upstream": "openrouter", "error": "server_error"},
                    "per_second": 20,
                    "dry_run": True,
                },
            }
        },
    }
}


class ActionRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def act_on_many(self, request: Request, author: Author, viewer: Viewer) -> Response:
        """Retry, cancel or dismiss every job that fits a filter, in a job whose status tells how far it is.

        200 with their number where `dry_run` asks only for that, or where the idempotency key had made that job before.
        """
        value = parse_json(await read_json(request))
        sent = validated(BulkAct, value)
        work = _work(sent, whose(request, viewer, sent.filter.user))
        holder = _holder(request, author, viewer, work)
        asked = replace(self._asked(request, holder, work), idempotency_key=_key(request, sent), asked=value)
        if sent.dry_run:
            return await self._counted(request, work)
        async with self._face.turns.turn(asked):
            accepted = await self._accept(asked, self._face.address(request))
        return await self._told(request, accepted)

    async def _counted(self, request: Request, work: Work) -> Response:
        await self._face.count_post(request)
        system = self._face.system
        found = await matches(system.engine.find, work, own_types(system.registry))
        return told(BulkMatches(action=work.action, matches=found.count, exact=found.exact, sample=list(found.sample)))

    def _asked(self, request: Request, holder: str, work: Work) -> JobRequest:
        """The job that does the work on every job accepted until now, by the store's clock."""
        origin = origin_of(request, holder)
        return JobRequest(
            type=NAME,
            payload=encode(replace(work, before=self._face.system.upstreams.now())),
            user_id=origin.user_id,
            request_id=origin.request_id,
            traceparent=origin.traceparent,
        )

    async def _accept(self, asked: JobRequest, peer: str) -> Accepted:
        replay = await self._face.client.intake.replayed(asked)
        if replay is not None:
            return replay
        job = await self._face.client.intake.check(asked)
        grant = await self._face.limits.take(limits.post(self._face.settings, peer))
        try:
            [accepted] = await self._face.client.intake.store([job])
        except TidegateError:
            await self._face.limits.give_back(grant)
            raise
        if not accepted.created:
            await self._face.limits.give_back(grant)
        return accepted

    async def _told(self, request: Request, accepted: Accepted) -> Response:
        job_id, created = accepted.job_id, accepted.created
        status = Status.QUEUED if created else await status_of(self._face, job_id)
        shown = JobAccepted(job_id=job_id, status=status, status_url=place(request, f"/jobs/{job_id}/status"))
        headers = {"Location": place(request, f"/jobs/{job_id}")}
        if not created:
            headers["Idempotent-Replayed"] = "true"
        return Response(shown.model_dump_json(), 202 if created else 200, headers, "application/json")


def add_routes(router: APIRouter, face: Face) -> None:
    """Put this route on `router`."""
    told_at_once: dict[int | str, Object] = {
        200: {"model": BulkMatches | JobAccepted, "description": "How many match, or the job that the key had made."}
    }
    router.add_api_route(
        "/jobs/actions",
        ActionRoutes(face).act_on_many,
        methods=["POST"],
        status_code=202,
        response_model=JobAccepted,
        responses={**told_at_once, **refusals(400, 413, 415, 422, 429, 503)},
        openapi_extra={"requestBody": {"required": True, "content": _CONTENT}, "parameters": [KEY_HEADER]},
        tags=["jobs"],
    )


def _holder(request: Request, author: str, viewer: str | None, work: Work) -> str:
    """Whose the job is. What acts on others' jobs no user must hold: other keys of that user's are no operator's.

    While there is no key it is whose name was given, or else nobody would see it.
    """
    asked_as_operator = caller_of(request).key_id != "" or viewer is None
    others = work.where.user_id != author
    return f"{OPERATORS}{author}"[:LONGEST_TEXT] if asked_as_operator and others else author


def _key(request: Request, sent: BulkAct) -> str | None:
    key = one_key(sent.idempotency_key, header_key(request))
    return None if key is None else check_key(key)


def _work(sent: BulkAct, owner: str | None) -> Work:
    """The work that was asked for, on the jobs of `owner`, None for everybody's; raises InvalidInput."""
    if sent.all != sent.filter.empty:
        wrong = "goes with an empty filter" if sent.all else "an empty filter means every job: say so by `all`"
        raise InvalidInput("all" if sent.all else "filter", wrong)
    if (sent.filter.type or "").startswith(SYSTEM_PREFIX):
        raise InvalidInput("filter.type", "Tidegate's own jobs are not acted on in bulk")
    action = Action(sent.action)
    pace = RETRIES_PER_SECOND if action is Action.RETRY and sent.per_second is None else sent.per_second
    where = query_of(JobFilter.model_validate(sent.filter.model_dump()), owner)
    return Work(action=action, where=where, per_second=pace, limit=sent.limit)
