"""Routes for webhooks: who is told that jobs have ended, and what became of the telling."""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Body, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.idempotency import check_key, fingerprint
from tidegate.core.job import NewJob, Status
from tidegate.core.query import JobQuery
from tidegate.errors import IllegalTransition, JobNotFound, Refused
from tidegate.http.face import Face, UserId, Viewer, place, told
from tidegate.http.openapi import Object, refusals
from tidegate.http.problems import NOT_FOUND, Refusal
from tidegate.http.requests.asking import KEY_HEADER, header_key
from tidegate.http.routes.jobs import JobPath
from tidegate.http.schemas import views
from tidegate.http.schemas.jobs import JobAccepted, JobList
from tidegate.http.schemas.webhooks import (
    ID_PATTERN,
    DeliveryPage,
    WebhookChange,
    WebhookCreate,
    WebhookItem,
    WebhookList,
    WebhookWithSecret,
)
from tidegate.system_jobs.webhooks import JOB_TYPE
from tidegate.system_jobs.webhooks.endpoint import Endpoint, disabled, enabled
from tidegate.system_jobs.webhooks.service import Made, Webhooks, Wish

TAGS: list[str | Enum] = ["webhooks"]

BY_USER = "by its user"
"""Why a webhook is disabled that its user disabled."""

_KEY: Final = {
    **KEY_HEADER,
    "description": "The same key gives the same webhook: 201 the first time, 200 after. It is never free again.",
}

WebhookPath = Annotated[str, Path(pattern=ID_PATTERN, description="The webhook's id.", examples=["9f86d081884c7d65"])]


class WebhookRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def find(self, viewer: Viewer) -> Response:
        """List your webhooks."""
        return told(WebhookList(items=[_item(one) for one in await self._webhooks.find(viewer)]))

    async def create(self, request: Request, user_id: UserId, asked: Annotated[WebhookCreate, Body()]) -> Response:
        """Be told when your jobs end; the answer has the secret to verify it by, which is not shown again.

        200 where the idempotency key had made the webhook before; within ten minutes with the secret, unless that was
        rotated.
        """
        wish = _wish(user_id, asked, header_key(request))
        made = await self._webhooks.made(wish)
        if made is None:
            await self._face.count_post(request)
            made = await self._webhooks.create(wish)
        return self._made(request, made)

    def _made(self, request: Request, made: Made) -> Response:
        tells = made.tells(self._face.system.upstreams.now())
        shown = _with_secret(made.endpoint) if tells else _item(made.endpoint)
        headers = {"Location": place(request, f"/webhooks/{made.endpoint.id}")}
        if not made.created:
            headers["Idempotent-Replayed"] = "true"
        return Response(shown.model_dump_json(), 201 if made.created else 200, headers, "application/json")

    async def show(self, viewer: Viewer, webhook_id: WebhookPath) -> Response:
        """Show a webhook, and whether it works."""
        return told(_item(await self._found(webhook_id, viewer)))

    async def change(
        self, request: Request, viewer: Viewer, webhook_id: WebhookPath, asked: Annotated[WebhookChange, Body()]
    ) -> Response:
        """Change a webhook, disable or enable it."""
        await self._face.count_post(request)
        await self._found(webhook_id, viewer)
        if asked.url is not None:
            await self._webhooks.check(asked.url)
        return told(_item(_there(webhook_id, await self._webhooks.change(webhook_id, partial(self._changed, asked)))))

    def _changed(self, asked: WebhookChange, endpoint: Endpoint) -> Endpoint:
        if asked.disabled is not None:
            now = self._face.system.upstreams.now()
            endpoint = disabled(endpoint, BY_USER, now) if asked.disabled else enabled(endpoint)
        return replace(
            endpoint,
            url=endpoint.url if asked.url is None else asked.url,
            events=endpoint.events if asked.events is None else _statuses(asked.events),
            types=endpoint.types if asked.types is None else tuple(dict.fromkeys(asked.types)),
            description=endpoint.description if asked.description is None else asked.description,
        )

    async def remove(self, request: Request, viewer: Viewer, webhook_id: WebhookPath) -> Response:
        """Delete a webhook: what waits to be delivered is cancelled."""
        await self._face.count_post(request)
        await self._webhooks.remove(await self._found(webhook_id, viewer))
        return Response(status_code=204)

    async def rotate(self, request: Request, viewer: Viewer, webhook_id: WebhookPath) -> Response:
        """Give a webhook a new secret; for a day the one before signs too."""
        await self._face.count_post(request)
        await self._found(webhook_id, viewer)
        return told(_with_secret(_there(webhook_id, await self._webhooks.rotate(webhook_id))))

    async def test(self, request: Request, viewer: Viewer, webhook_id: WebhookPath) -> Response:
        """Send a test event, also to a webhook that is disabled."""
        await self._face.count_post(request)
        endpoint = await self._found(webhook_id, viewer)
        return await self._accepted(request, self._webhooks.tested(endpoint))

    async def deliveries(
        self, request: Request, viewer: Viewer, webhook_id: WebhookPath, asked: Annotated[DeliveryPage, Query()]
    ) -> Response:
        """List the jobs that deliver to a webhook, newest first."""
        endpoint, health = await self._found(webhook_id, viewer), self._face.system.upstreams
        page = await self._face.client.find(_query(endpoint, asked))
        sight = views.Sight(now=health.now(), link=partial(place, request), look=health.known, shut=health.shut())
        following = None if page.next is None else str(page.next)
        items = [views.job_item(job, sight) for job in page.jobs]
        return told(JobList(items=items, total=page.total, limit=asked.limit, offset=0, next=following))

    async def replay(self, request: Request, viewer: Viewer, webhook_id: WebhookPath, job_id: JobPath) -> Response:
        """Deliver once more what a delivery that has ended was to deliver.

        Under the same `webhook-id`. 409 where it has not ended, and where the webhook is disabled.
        """
        await self._face.count_post(request)
        endpoint, client = await self._found(webhook_id, viewer), self._face.client
        job = await client.get(job_id, user_id=viewer)
        if job.spec.type != JOB_TYPE or endpoint.tag not in job.spec.tags:
            raise JobNotFound(job_id)
        if not job.status.finished:
            raise IllegalTransition(job.id, job.status, "delivered again")
        if endpoint.disabled_at is not None:
            raise Refused("the webhook is disabled: enable it first")
        sent = (await client.body(job)).payload
        return await self._accepted(request, self._webhooks.replayed(endpoint, job.spec, sent))

    @property
    def _webhooks(self) -> Webhooks:
        return self._face.system.webhooks

    async def _found(self, webhook_id: str, viewer: str | None) -> Endpoint:
        return _there(webhook_id, await self._webhooks.get(webhook_id, viewer))

    async def _accepted(self, request: Request, job: NewJob) -> Response:
        [accepted] = await self._face.client.intake.store([job])
        one = place(request, f"/jobs/{accepted.job_id}")
        body = JobAccepted(job_id=accepted.job_id, status=Status.QUEUED, status_url=f"{one}/status")
        return Response(body.model_dump_json(), 201, {"Location": one}, "application/json")


def _wish(user_id: str, asked: WebhookCreate, key: str | None) -> Wish:
    """What was asked for; raises InvalidInput."""
    return Wish(
        user_id=user_id,
        url=asked.url,
        events=_statuses(asked.events),
        types=tuple(dict.fromkeys(asked.types)),
        description=asked.description,
        key=None if key is None else check_key(key),
        asked="" if key is None else fingerprint(asked.model_dump(mode="json", exclude_unset=True)),
    )


def _there(webhook_id: str, endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise Refusal(NOT_FOUND, f"no webhook {webhook_id!r} is known here; GET /webhooks lists them")
    return endpoint


def _item(endpoint: Endpoint) -> WebhookItem:
    return WebhookItem.model_validate(_shown(endpoint))


def _with_secret(endpoint: Endpoint) -> WebhookWithSecret:
    return WebhookWithSecret.model_validate(_shown(endpoint) | {"secret": endpoint.secrets[0].text})


def _shown(endpoint: Endpoint) -> dict[str, object]:
    former = endpoint.secrets[1:2]
    return {
        "id": endpoint.id,
        "user_id": endpoint.user_id,
        "url": endpoint.url,
        "events": [str(status) for status in endpoint.events],
        "types": list(endpoint.types),
        "description": endpoint.description,
        "upstream": endpoint.upstream,
        "created_at": endpoint.created_at,
        "disabled": endpoint.disabled_at is not None,
        "disabled_at": endpoint.disabled_at,
        "disabled_why": endpoint.disabled_why,
        "failing_since": endpoint.failing_since,
        "former_secret_until": former[0].until if former else None,
    }


def _statuses(words: Sequence[str]) -> tuple[Status, ...]:
    return tuple(dict.fromkeys(Status(word) for word in words))


def _query(endpoint: Endpoint, asked: DeliveryPage) -> JobQuery:
    return JobQuery(
        type=JOB_TYPE,
        user_id=endpoint.user_id,
        tag=endpoint.tag,
        after=None if asked.cursor is None else int(asked.cursor),
        limit=asked.limit,
    )


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`."""
    routes, one = WebhookRoutes(face), "/webhooks/{webhook_id}"
    made, seen, acted = (
        refusals(400, 409, 413, 415, 422, 429, 503),
        refusals(400, 404, 422, 503),
        refusals(400, 404, 422, 429, 503),
    )
    again = refusals(400, 404, 409, 422, 429, 503)
    replayed: dict[int | str, Object] = {
        200: {"model": WebhookWithSecret | WebhookItem, "description": "The key had made this webhook before."}
    }
    add = partial(router.add_api_route, tags=TAGS)
    add("/webhooks", routes.find, response_model=WebhookList, responses=refusals(400, 503))
    add(
        "/webhooks",
        routes.create,
        methods=["POST"],
        status_code=201,
        response_model=WebhookWithSecret,
        responses=replayed | made,
        openapi_extra={"parameters": [_KEY]},
    )
    add(one, routes.show, response_model=WebhookItem, responses=seen)
    add(one, routes.change, methods=["PATCH"], response_model=WebhookItem, responses=acted | refusals(413, 415))
    add(one, routes.remove, methods=["DELETE"], status_code=204, responses=acted)
    add(f"{one}/rotate", routes.rotate, methods=["POST"], response_model=WebhookWithSecret, responses=acted)
    add(f"{one}/test", routes.test, methods=["POST"], status_code=201, response_model=JobAccepted, responses=acted)
    add(f"{one}/deliveries", routes.deliveries, response_model=JobList, responses=seen)
    add(
        f"{one}/deliveries/{{job_id}}/replay",
        routes.replay,
        methods=["POST"],
        status_code=201,
        response_model=JobAccepted,
        responses=again,
    )
