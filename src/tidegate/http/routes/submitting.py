"""`POST /jobs`: validate → replay → breaker → budget → limits → submit. A replay costs no limit, also when it raced."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tidegate.client import Accepted
from tidegate.core.job import NewJob, Status
from tidegate.core.verbs import Take
from tidegate.errors import (
    BudgetSpent,
    EngineUnavailable,
    InvalidInput,
    JobNotFound,
    RateLimited,
    TidegateError,
    UpstreamOpen,
)
from tidegate.http.face import Face, place, single, user_of
from tidegate.http.guards import limits
from tidegate.http.guards.limits import Grant
from tidegate.http.live.waiting import waited
from tidegate.http.openapi import Object, refusals
from tidegate.http.requests.asking import KEY_HEADER, job_request, origin_of
from tidegate.http.requests.parameters import Waiting
from tidegate.http.requests.reading import parse_json, read_json
from tidegate.http.routing import straighten
from tidegate.http.schemas.jobs import JobAccepted
from tidegate.requests import JobRequest, fingerprint_of

LONGEST_WAIT: Final = timedelta(hours=1)
"""What a client is told to wait at most: an operator's word without an end has one nobody knows of."""

_CONTENT: Final = {
    "application/json": {
        "schema": {"$ref": "#/components/schemas/JobCreate"},
        "examples": {
            "analysis": {
                "summary": "Analyse an uploaded file",
                "value": {
                    "type": "analysis",
                    "payload": {"file": "upload:01890a5d-ac96-774b-bcce-b302099a8057"},
                    "idempotency_key": "sales-2026-01",
                },
            }
        },
    }
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: an accepted job, and the limits' headers where they were counted."""

    accepted: Accepted
    headers: dict[str, str]


class SubmitRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def submit(self, request: Request, asked_to: Annotated[Waiting, Query()]) -> Response:
        """Accept a job: it runs as soon as a worker is free.

        200 with the first job's id where the idempotency key had made it before. With `wait`, the answer comes once the
        job has ended.
        """
        return await self._submit(request, asked_to.wait)

    async def plain(self, request: Request) -> Response:
        """The same, without a query."""
        return await self._submit(request, None)

    async def _submit(self, request: Request, wait: float | None) -> Response:
        face, user_id = self._face, await user_of(request)
        body = await read_json(request)
        asked = job_request(parse_json(body), body, origin_of(request, user_id), single(request, "Idempotency-Key"))
        async with face.turns.turn(asked):
            answer = await _answer(face, asked, face.address(request))
        job_id, created = answer.accepted.job_id, answer.accepted.created
        status = await _stands(face, request, answer.accepted, wait)
        shown = JobAccepted(job_id=job_id, status=status, status_url=place(request, f"/jobs/{job_id}/status"))
        headers = {"Location": place(request, f"/jobs/{job_id}"), **answer.headers}
        if not created:
            headers["Idempotent-Replayed"] = "true"
        return Response(shown.model_dump_json(), 201 if created else 200, headers, "application/json")


def add_routes(router: APIRouter, face: Face) -> None:
    """Put this route on `router`."""
    replayed: dict[int | str, Object] = {
        200: {"model": JobAccepted, "description": "The idempotency key had made this job before."}
    }
    routes = SubmitRoutes(face)
    router.add_api_route(
        "/jobs",
        routes.submit,
        methods=["POST"],
        status_code=201,
        response_model=JobAccepted,
        responses={**replayed, **refusals(400, 413, 415, 422, 429, 503)},
        openapi_extra={"requestBody": {"required": True, "content": _CONTENT}, "parameters": [KEY_HEADER]},
        tags=["jobs"],
    )
    straighten(router, routes.plain)


async def _stands(face: Face, request: Request, accepted: Accepted, wait: float | None) -> Status | None:
    """The job's status for the answer; that it was accepted is said also where the store is away by now."""
    if wait is None:
        return Status.QUEUED if accepted.created else await status_of(face, accepted.job_id)
    try:
        return (await waited(face, request, accepted.job_id, wait, await user_of(request))).status
    except JobNotFound:
        return None
    except RateLimited:  # too many wait: that it was accepted stands
        return Status.QUEUED if accepted.created else await status_of(face, accepted.job_id)
    except EngineUnavailable:
        if accepted.created:
            return Status.QUEUED
        raise


async def _answer(face: Face, asked: JobRequest, peer: str) -> Answer:
    try:
        return await _accept(face, asked, peer)
    except (InvalidInput, RateLimited, UpstreamOpen, BudgetSpent):
        # What is refused today may have been accepted before: then its sender missed the answer.
        replay = await face.client.replayed(asked)
        if replay is None:
            raise
        return Answer(replay, {})


async def _accept(face: Face, asked: JobRequest, peer: str) -> Answer:
    face.application.registry.get(asked.type)  # which has none of Tidegate's own
    job = await face.client.check(asked)
    takes = [*limits.post(face.settings, peer), *limits.enqueue(face.settings, asked.user_id)]
    replay = await face.client.replayed(asked) if takes else None
    if replay is not None:
        return Answer(replay, {})
    await admit(face, job)
    grant = await _count(face, asked, takes)
    try:
        [accepted] = await face.client.store([job])
    except TidegateError as exc:
        # Where nobody knows whether the job is stored, its count stays: a repeat of the request finds it taken.
        if asked.idempotency_key is None or not isinstance(exc, EngineUnavailable):
            await face.limits.give_back(grant)
        raise
    # A twin that was first has taken the same grant, and keeps it.
    return Answer(accepted, grant.headers if accepted.created else {})


async def _count(face: Face, asked: JobRequest, takes: Sequence[Take]) -> Grant:
    """Count a request: under its key once, and without one together with those that come meanwhile."""
    if asked.idempotency_key is None or not takes:
        return await face.limits.share(takes)
    return await face.limits.take(takes, grant_nonce([asked]))


def grant_nonce(asked: Sequence[JobRequest]) -> str | None:
    """The same for twins, in whichever process: they take one grant between them, and none is refused for another.

    None where a request has no key.
    """
    said = [(one.user_id, one.idempotency_key, fingerprint_of(one)) for one in asked if one.idempotency_key is not None]
    if len(said) < len(asked):
        return None
    return hashlib.sha256("\0".join(chain.from_iterable(sorted(said))).encode()).hexdigest()[:32]


async def admit(face: Face, job: NewJob) -> None:
    """Refuse a job whose upstream is open, or whose user has no money left there, where its type says so.

    REQUIREMENTS A10. The store is asked only of upstreams that have a budget for each user.
    """
    health = face.system.upstreams
    if not face.application.registry.get(job.spec.type).rejects:
        return
    shut = health.open_until(job.spec.lane)
    if shut is not None:
        upstream, until = shut
        raise UpstreamOpen(upstream, retry_after=min(until - health.now(), LONGEST_WAIT))
    gates, user = job.spec.lane.gates[1:], job.spec.user_id
    if health.budgets.concern(gates, user):
        spent = await health.budgets.spent_out(gates, user)
        if spent is not None:
            upstream, until = spent
            raise BudgetSpent(upstream, retry_after=until - health.now(), until=until)


async def status_of(face: Face, job_id: str) -> Status | None:
    """The status of a job that an earlier request made; None where it has been pruned since."""
    try:
        return (await face.client.get(job_id)).status
    except JobNotFound:
        return None
