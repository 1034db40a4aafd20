"""`POST /jobs/bulk`: validate → replay → breaker → budget → limits → submit, as `POST /jobs` does.

Each step is one call. Of a batch under `all` either every job is accepted or none; under `each` the answer says which
were.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.job import NewJob
from tidegate.errors import EngineUnavailable, IdempotencyConflict, InvalidInput, RateLimited, TidegateError
from tidegate.http.face import Face, UserId, single
from tidegate.http.guards import limits
from tidegate.http.guards.limits import NOTHING_TAKEN, Grant
from tidegate.http.openapi import Object, refusals
from tidegate.http.problems import Refusal
from tidegate.http.requests.asking import origin_of
from tidegate.http.requests.batch import Asked, read_batch
from tidegate.http.requests.reading import read_json
from tidegate.http.routes.accepting import admit, grant_nonce, status_of
from tidegate.http.schemas.bulk import BulkReport, ItemAccepted, ItemProblem, ItemRefused
from tidegate.intake import Accepted
from tidegate.requests import JobRequest

Answer = TypeVar("Answer")

BULK_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a batch."""

_CONTENT: Final = {
    "application/json": {
        "schema": {"$ref": "#/components/schemas/BulkCreate"},
        "examples": {
            "two": {
                "summary": "Two jobs, or none",
                "value": {
                    "jobs": [
                        {"type": "analysis", "payload": {"file": "upload:01890a5d-ac96-774b-bcce-b302099a8057"}},
                        {"type": "content.generate", "payload": {"prompt": "A haiku"}, "idempotency_key": "haiku-1"},
                    ]
                },
            }
        },
    }
}


class BulkRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def submit_many(self, request: Request, user_id: UserId) -> Response:
        """Accept up to 500 jobs at once: all of them, or each that can be.

        200 where none is new, and always with `each`.
        """
        try:
            return await self._submit_many(request, user_id)
        except (Refusal, TidegateError) as exc:
            await self._face.count_refused(request, exc)
            raise

    async def _submit_many(self, request: Request, user_id: str) -> Response:
        if single(request, "Idempotency-Key") is not None:
            raise InvalidInput("idempotency-key", "each job of a batch has a key of its own: send it in the job")
        body = await read_json(request, BULK_LIMIT)
        # In a thread: parsing megabytes must hold nobody else up.
        asked = await asyncio.to_thread(read_batch, body, origin_of(request, user_id))
        async with self._face.turns.turns(asked.requests.values()):
            headers = await _Door(self._face, asked, user_id).let_in(self._face.address(request))
        return await self._report(asked, headers)

    async def _report(self, asked: Asked, headers: dict[str, str]) -> Response:
        accepted, refused = await self._items_accepted(asked), _items_refused(asked)
        items: list[ItemAccepted | ItemRefused] = [*accepted, *refused]
        items.sort(key=lambda item: item.index)
        report = BulkReport(items=items, accepted=len(accepted), refused=len(refused))
        created = any(item.created for item in accepted)
        if not (created or refused):
            headers = {**headers, "Idempotent-Replayed": "true"}
        status = 201 if created and asked.mode == "all" else 200
        return Response(report.model_dump_json(), status, headers, "application/json")

    async def _items_accepted(self, asked: Asked) -> list[ItemAccepted]:
        places = sorted(asked.accepted)
        jobs = [asked.accepted[place] for place in places]
        statuses = await asyncio.gather(*(status_of(self._face, job.job_id) for job in jobs))
        return [
            ItemAccepted(index=place, job_id=job.job_id, status=status, created=job.created)
            for place, job, status in zip(places, jobs, statuses, strict=True)
        ]


def add_routes(router: APIRouter, face: Face) -> None:
    """Put this route on `router`."""
    reported: dict[int | str, Object] = {
        200: {"model": BulkReport, "description": "With `each`: what became of every job. With `all`: none is new."}
    }
    router.add_api_route(
        "/jobs/bulk",
        BulkRoutes(face).submit_many,
        methods=["POST"],
        status_code=201,
        response_model=BulkReport,
        responses={**reported, **refusals(400, 413, 415, 422, 429, 503)},
        openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
        tags=["jobs"],
    )


class _Door:
    """What a batch passes on its way in."""

    def __init__(self, face: Face, asked: Asked, user_id: str) -> None:
        self._face = face
        self._asked = asked
        self._user_id = user_id
        self._jobs: dict[int, NewJob] = {}

    async def let_in(self, peer: str) -> dict[str, str]:
        """Accept what can be accepted; the limits' headers. Raises what the whole batch is refused with."""
        await self._replay()
        await self._check()
        self._asked.stop_if_refused()
        await self._admit()
        self._asked.stop_if_refused()
        headers: dict[str, str] = {}
        if self._jobs:
            headers = await self._counted(peer)
        self._asked.settle_twins()
        return headers

    async def _replay(self) -> None:
        """What earlier requests had made under the same keys. It costs nothing, and may be what is refused today."""
        keyed = [place for place in self._asked.open if self._asked.requests[place].idempotency_key is not None]
        for place, found in await self._each(keyed, self._face.client.intake.replayed):
            if found is not None:
                self._asked.accepted[place] = found

    async def _check(self) -> None:
        for place, job in await self._each(self._asked.open, self._checked):
            self._jobs[place] = job

    async def _checked(self, request: JobRequest) -> NewJob:
        self._face.application.registry.get(request.type)  # which has none of Tidegate's own
        return await self._face.client.intake.check(request)

    async def _each(
        self, places: list[int], ask: Callable[[JobRequest], Awaitable[Answer]]
    ) -> list[tuple[int, Answer]]:
        """What is answered for the jobs at some places, all asked at once; refusals are noted."""
        asked = [ask(self._asked.requests[place]) for place in places]
        answered: list[tuple[int, Answer]] = []
        for place, answer in zip(places, await asyncio.gather(*asked, return_exceptions=True), strict=True):
            if isinstance(answer, IdempotencyConflict | InvalidInput):
                self._asked.refuse(place, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                answered.append((place, answer))
        return answered

    async def _admit(self) -> None:
        for place, job in list(self._jobs.items()):
            try:
                await admit(self._face, job)
            except TidegateError as exc:
                self._refuse(place, exc)

    def _refuse(self, place: int, why: TidegateError) -> None:
        del self._jobs[place]
        self._asked.refuse(place, why)

    async def _counted(self, peer: str) -> dict[str, str]:
        """Store the new jobs, counted against the limits; those that were none after all are uncounted."""
        grant = await (self._granted if self._asked.mode == "all" else self._granted_each)(peer)
        many, nonce = len(self._jobs), self._nonce()
        try:
            created = await self._store()
        except (TidegateError, Refusal) as exc:
            # Where nobody knows whether the jobs are stored, their count stays: a repeat of the batch finds it taken.
            if nonce is None or not isinstance(exc, EngineUnavailable):
                await self._face.limits.give_back(grant)
            raise
        if created == many:
            return grant.headers
        if nonce is not None and created == 0 and len(self._jobs) == many:
            return {}  # a twin that was first has taken the same grant, and keeps it
        await self._face.limits.give_back(grant)
        with suppress(RateLimited):  # they are stored: all that could still be refused is their count
            return (await self._take(peer, created)).headers if created else {}
        return {}

    async def _granted(self, peer: str) -> Grant:
        """Count all of the new jobs, or raise what refuses the batch."""
        most, many = self._face.settings.limit_user_per_hour, len(self._jobs)
        if most and many > most:
            raise InvalidInput("jobs", f"{many} new jobs are over the {most} that a user may submit in an hour")
        return await self._take(peer, many, self._nonce())

    async def _granted_each(self, peer: str) -> Grant:
        """Count as many of the new jobs as the limits leave room for, the first ones; the others are refused."""
        for take in limits.enqueue(self._face.settings, self._user_id):
            # Once that many are taken now, there is none more for as long as the window lasts.
            self._refuse_behind(take.limit, limits.refusal(take, take.window))
        while self._jobs:
            try:
                return await self._take(peer, len(self._jobs), self._nonce())
            except RateLimited as exc:
                self._refuse_behind(min(exc.left, len(self._jobs) - 1), exc)
        return NOTHING_TAKEN

    def _refuse_behind(self, many: int, why: RateLimited) -> None:
        for place in list(self._jobs)[many:]:
            self._refuse(place, why)

    def _nonce(self) -> str | None:
        return grant_nonce([self._asked.requests[place] for place in self._jobs])

    async def _take(self, peer: str, many: int, nonce: str | None = None) -> Grant:
        settings = self._face.settings
        takes = [*limits.post(settings, peer), *limits.enqueue(settings, self._user_id, many)]
        return await self._face.limits.take(takes, nonce)

    async def _store(self) -> int:
        """Store the new jobs in one call; how many were new. One more call for each key that another process took."""
        while self._jobs:
            places, jobs = list(self._jobs), list(self._jobs.values())
            try:
                receipts = await self._face.client.intake.store(jobs)
            except IdempotencyConflict as exc:
                taken = next(place for place, job in self._jobs.items() if job.spec.idempotency_key == exc.key)
                self._refuse(taken, exc)
                self._asked.stop_if_refused()
                continue
            return self._accept(places, jobs, receipts)
        return 0

    def _accept(self, places: Sequence[int], jobs: Sequence[NewJob], receipts: Sequence[Accepted]) -> int:
        """The ids are ours: a receipt with another one is for what somebody else had made under the same key."""
        made = [receipt.job_id == job.id for job, receipt in zip(jobs, receipts, strict=True)]
        for place, receipt, created in zip(places, receipts, made, strict=True):
            self._asked.accepted[place] = Accepted(receipt.job_id, created)
        return sum(made)


def _items_refused(asked: Asked) -> list[ItemRefused]:
    return [ItemRefused(index=place, problem=_problem(refusal)) for place, refusal in asked.refused.items()]


def _problem(refusal: Refusal) -> ItemProblem:
    kind = refusal.kind
    said: dict[str, object] = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": refusal.detail}
    return ItemProblem.model_validate({**said, **refusal.members})
