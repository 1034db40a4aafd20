"""`POST /jobs`: validate → replay → breaker → budget → limits → submit. A replay costs no limit, also when it raced."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.job import NewJob, Status
from tidegate.errors import (
    EngineUnavailable,
    InvalidInput,
    JobNotFound,
    RateLimited,
    TidegateError,
)
from tidegate.http.face import Face, place, user_of
from tidegate.http.guards.limits import NOTHING_TAKEN, Grant
from tidegate.http.knock import Knock
from tidegate.http.live.waiting import waited
from tidegate.http.openapi import Object, refusals
from tidegate.http.problems import Refusal
from tidegate.http.requests.asking import KEY_HEADER
from tidegate.http.requests.parameters import Waiting
from tidegate.http.requests.reading import json_here, read_json
from tidegate.http.routes.accepting import Answer, accepted, asked_of, status_of, takes_of
from tidegate.http.routing import straighten
from tidegate.http.schemas.jobs import JobAccepted
from tidegate.intake import Accepted
from tidegate.requests import JobRequest

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
class _Draft:
    """A job that was asked for, not stored yet."""

    knock: Knock
    asked: JobRequest
    job: NewJob


class SubmitRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def submit(self, request: Request, asked_to: Annotated[Waiting, Query()]) -> Response:
        """Accept a job: it runs as soon as a worker is free.

        200 with the first job's id where the idempotency key had made it before. With `wait`, the answer comes once the
        job has ended.
        """
        try:
            return await self._submit(request, asked_of(request, await read_json(request)), asked_to.wait)
        except (Refusal, TidegateError) as exc:
            await self._face.count_refused(request, exc)
            raise

    async def plain(self, knocks: Sequence[Knock]) -> None:
        """The same for requests without a query: those that need nothing but to be counted and stored, together."""
        drafts = list[_Draft]()
        async with asyncio.TaskGroup() as alone:
            for knock in knocks:
                try:
                    asked = asked_of(knock.request, json_here(knock.request))
                    job = self._simple(asked)
                except Exception as exc:
                    alone.create_task(self._refuse(knock, exc))
                    continue
                if job is None:
                    alone.create_task(self._alone(knock, asked))
                else:
                    drafts.append(_Draft(knock, asked, job))
            try:
                await self._store(drafts, alone)
            except Exception as exc:
                for draft in drafts:
                    draft.knock.refuse(exc)

    def _simple(self, asked: JobRequest) -> NewJob | None:
        """The job to store; None where more is to be asked first: of files, an upstream, or an earlier request."""
        keyed = asked.idempotency_key is not None
        try:
            job_type = self._face.application.registry.get(asked.type)
            if job_type.files or job_type.rejects or (keyed and self._counts()):
                return None
            return self._face.client.intake.build(asked)
        except InvalidInput:
            if keyed:
                return None
            raise

    def _counts(self) -> bool:
        settings = self._face.settings
        return bool(settings.limit_ip_per_minute or settings.limit_user_per_hour)

    async def _alone(self, knock: Knock, asked: JobRequest) -> None:
        try:
            knock.respond(await self._submit(knock.request, asked, None))
        except Exception as exc:
            await self._refuse(knock, exc)

    async def _give_back(self, knock: Knock, grant: Grant, exc: Exception) -> None:
        await self._face.limits.give_back(grant)
        await self._refuse(knock, exc)

    async def _again(self, knock: Knock, answer: Accepted) -> None:
        """Answer a request that had made its job before."""
        try:
            knock.tell(*_told(knock.request, Answer(answer, {}), await status_of(self._face, answer.job_id)))
        except Exception as exc:
            knock.refuse(exc)

    async def _refuse(self, knock: Knock, exc: Exception) -> None:
        try:
            await self._face.count_refused(knock.request, exc)
        except Exception as instead:
            knock.refuse(instead)
        else:
            knock.refuse(exc)

    async def _store(self, drafts: Sequence[_Draft], alone: asyncio.TaskGroup) -> None:
        """Count and store new jobs, and answer."""
        face, counted = self._face, list[tuple[_Draft, Grant]]()
        for draft, grant in zip(drafts, await self._counted(drafts), strict=True):
            if isinstance(grant, Exception):
                draft.knock.refuse(grant)
            else:
                counted.append((draft, grant))
        accepted = await face.client.intake.store_each([draft.job for draft, _ in counted])
        for (draft, grant), answer in zip(counted, accepted, strict=True):
            if isinstance(answer, Exception):
                alone.create_task(self._give_back(draft.knock, grant, answer))
            elif not answer.created:
                alone.create_task(self._again(draft.knock, answer))
            else:
                draft.knock.tell(*_told(draft.knock.request, Answer(answer, grant.headers), Status.QUEUED))

    async def _counted(self, drafts: Sequence[_Draft]) -> Sequence[Grant | Exception]:
        face = self._face
        if not self._counts():
            return [NOTHING_TAKEN] * len(drafts)
        return await face.limits.share_each(
            [takes_of(face, draft.asked, face.address(draft.knock.request)) for draft in drafts]
        )

    async def _submit(self, request: Request, asked: JobRequest, wait: float | None) -> Response:
        face = self._face
        async with face.turns.turn(asked):
            answer = await accepted(face, asked, face.address(request))
        status, headers, body = _told(request, answer, await _stands(face, request, answer.accepted, wait))
        response = Response(body, status)
        response.raw_headers = headers
        return response


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


def _told(request: Request, answer: Answer, status: Status | None) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """What is answered: the status, all headers, and the body."""
    job_id, created = answer.accepted.job_id, answer.accepted.created
    shown = JobAccepted(job_id=job_id, status=status, status_url=place(request, f"/jobs/{job_id}/status"))
    body = shown.model_dump_json().encode()
    headers = [
        (b"location", place(request, f"/jobs/{job_id}").encode("latin-1")),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()),
        (b"content-length", b"%d" % len(body)),
        (b"content-type", b"application/json"),
    ]
    if not created:
        headers.append((b"idempotent-replayed", b"true"))
    return 201 if created else 200, headers, body


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
