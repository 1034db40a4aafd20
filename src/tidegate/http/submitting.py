"""`POST /jobs`: validate → replay → breaker → limits → submit. A replay costs no limit, also when it raced."""

import asyncio
import re
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from weakref import WeakValueDictionary

import msgspec
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from tidegate.client import Accepted
from tidegate.core.idempotency import JSON
from tidegate.core.job import NewJob, Status
from tidegate.core.retry_json import policy_from_json
from tidegate.errors import InvalidInput, JobNotFound, RateLimited, TidegateError, UpstreamOpen
from tidegate.http import limits
from tidegate.http.face import Face, address, place, single, user_of
from tidegate.http.openapi import Object, refusals
from tidegate.http.problems import invalid
from tidegate.http.reading import parse_json, read_json
from tidegate.http.schemas import KEY_PATTERN, JobAccepted, JobCreate
from tidegate.requests import JobRequest

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


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
_KEY_HEADER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key gives the same job: 201 the first time, 200 after. Kept at least 24 h.",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}


class _Raw(msgspec.Struct):
    """The payload as it was sent, to the byte."""

    payload: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: an accepted job, and the limits' headers where they were counted."""

    accepted: Accepted
    headers: dict[str, str]


class SubmitRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._turns = _Turns()

    async def submit(self, request: Request) -> Response:
        """Accept a job: it runs as soon as a worker is free.

        200 with the first job's id where the idempotency key had made it before.
        """
        face, user_id = self._face, await user_of(request)
        asked = _asked(request, user_id, await read_json(request))
        async with self._turns.turn(asked):
            answer = await _answer(face, asked, address(request))
        job_id, created = answer.accepted.job_id, answer.accepted.created
        status = Status.QUEUED if created else await _status(face, job_id)
        body = JobAccepted(job_id=job_id, status=status, status_url=place(request, f"/jobs/{job_id}/status"))
        headers = {"Location": place(request, f"/jobs/{job_id}"), **answer.headers}
        if not created:
            headers["Idempotent-Replayed"] = "true"
        return Response(body.model_dump_json(), 201 if created else 200, headers, "application/json")


def add_routes(router: APIRouter, face: Face) -> None:
    """Put this route on `router`."""
    replayed: dict[int | str, Object] = {
        200: {"model": JobAccepted, "description": "The idempotency key had made this job before."}
    }
    router.add_api_route(
        "/jobs",
        SubmitRoutes(face).submit,
        methods=["POST"],
        status_code=201,
        response_model=JobAccepted,
        responses={**replayed, **refusals(400, 413, 415, 422, 429, 503)},
        openapi_extra={"requestBody": {"required": True, "content": _CONTENT}, "parameters": [_KEY_HEADER]},
        tags=["jobs"],
    )


class _Turns:
    """Requests under one key go one after the other, so that twins in a race count against a limit once.

    That holds in this process. Between processes each may count once more, for as long as the race lasts.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def turn(self, asked: JobRequest) -> AbstractAsyncContextManager[None]:
        """Wait for the twins that came before."""
        if asked.idempotency_key is None:
            return nullcontext()
        return self._locks.setdefault((asked.user_id, asked.idempotency_key), asyncio.Lock())


async def _answer(face: Face, asked: JobRequest, peer: str) -> Answer:
    try:
        return await _accept(face, asked, peer)
    except (InvalidInput, RateLimited, UpstreamOpen):
        # What is refused today may have been accepted before: then its sender missed the answer.
        replay = await face.client.replayed(asked)
        if replay is None:
            raise
        return Answer(replay, {})


async def _accept(face: Face, asked: JobRequest, peer: str) -> Answer:
    job = await face.client.check(asked)
    _admit(face, job)
    takes = [*limits.post(face.settings, peer), *limits.enqueue(face.settings, asked.user_id)]
    grant = await face.limits.take(takes)
    try:
        [accepted] = await face.client.store([job])
    except TidegateError:
        await face.limits.give_back(grant)
        raise
    if accepted.created:
        return Answer(accepted, grant.headers)
    await face.limits.give_back(grant)
    return Answer(accepted, {})


def _admit(face: Face, job: NewJob) -> None:
    """Refuse a job whose upstream is open, where its type says so (REQUIREMENTS A10)."""
    health = face.system.upstreams
    if not face.application.registry.get(job.spec.type).rejects:
        return
    shut = health.open_until(job.spec.lane)
    if shut is not None:
        upstream, until = shut
        raise UpstreamOpen(upstream, retry_after=min(until - health.now(), LONGEST_WAIT))


async def _status(face: Face, job_id: str) -> Status | None:
    try:
        return (await face.client.get(job_id)).status
    except JobNotFound:
        return None


def _asked(request: Request, user_id: str, body: bytes) -> JobRequest:
    value = parse_json(body)
    if not isinstance(value, dict):
        raise InvalidInput("", "the body must be a JSON object")
    sent = _validated(value)
    return JobRequest(
        type=sent.type,
        payload=bytes(msgspec.json.decode(body, type=_Raw).payload),
        user_id=user_id,
        idempotency_key=_key(sent.idempotency_key, single(request, "Idempotency-Key")),
        queue=sent.queue,
        priority=sent.priority,
        run_at=sent.run_at,
        delay=_seconds(sent.delay),
        max_attempts=sent.max_attempts,
        retry=None if sent.retry is None else policy_from_json(sent.retry, "retry"),
        timeout=_seconds(sent.timeout),
        expires_at=sent.expires_at,
        tags=tuple(sent.tags or ()),
        request_id=request.state.request_id,
        traceparent=_traceparent(request),
        asked=value,
    )


def _validated(value: dict[str, JSON]) -> JobCreate:
    try:
        return JobCreate.model_validate(value)
    except ValidationError as exc:
        faults = exc.errors(include_url=False, include_context=False, include_input=False)
        raise invalid([(".".join(str(part) for part in fault["loc"]), fault["msg"]) for fault in faults]) from exc


def _key(in_body: str | None, in_header: str | None) -> str | None:
    if in_body is not None and in_header is not None and in_body != in_header:
        raise InvalidInput("idempotency_key", "differs from the header Idempotency-Key: send one of them")
    return in_header if in_body is None else in_body


def _seconds(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(seconds=number)


def _traceparent(request: Request) -> str:
    """The caller's W3C trace context; as the recommendation says, one that is not valid counts as none."""
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else ""
