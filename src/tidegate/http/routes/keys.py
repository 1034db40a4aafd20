"""Routes for API keys, and for the sessions of browsers that have one."""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Annotated, NoReturn

from fastapi import APIRouter, Body, Path
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.access import ApiKey
from tidegate.errors import AccessDenied
from tidegate.http.face import Face, caller_of, place, told
from tidegate.http.guards.auth import COOKIE, Gatekeeper, own_page
from tidegate.http.guards.keyring import SESSION_LASTS, Wish
from tidegate.http.guards.proxies import over_tls
from tidegate.http.openapi import Object, refusals
from tidegate.http.problems import NOT_FOUND, Refusal
from tidegate.http.schemas.keys import KeyCreate, KeyItem, KeyList, KeyMade, SessionBegin, SessionItem

KEY_TAGS: list[str | Enum] = ["keys"]
SESSION_TAGS: list[str | Enum] = ["session"]

_DONE: Mapping[int | str, Object] = {204: {"description": "Done."}}

IdPath = Annotated[str, Path(pattern="^[a-z2-7]{8}$", description="The part of a key between its underscores.")]


class KeyRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def find(self) -> Response:
        """List the keys."""
        return told(KeyList(items=[_item(key) for key in await self._face.ring.all()]))

    async def make(self, request: Request, asked: Annotated[KeyCreate, Body()]) -> Response:
        """Make a key.

        Its text is told once, here. The first one locks the API: from then on whoever asks shows a key.
        """
        await self._face.count_post(request)
        lasts = None if asked.expires_in is None else timedelta(seconds=asked.expires_in)
        wish = Wish(name=asked.name, role=asked.role, user_id=asked.user_id, lasts=lasts)
        return self._made(request, *await self._face.ring.make(wish), status=201)

    async def show(self, key_id: IdPath) -> Response:
        """Show a key."""
        key = await self._face.ring.get(key_id)
        return told(_item(key or _unknown(key_id)))

    async def rotate(self, request: Request, key_id: IdPath) -> Response:
        """Give a key a new text.

        The former one is taken for 24 h more, and so are the sessions begun with it. 409 after ten in a day.
        """
        await self._face.count_post(request)
        return self._made(request, *(await self._face.ring.rotate(key_id) or _unknown(key_id)), status=200)

    async def revoke(self, key_id: IdPath) -> Response:
        """Take a key away, and the sessions begun with it.

        Other processes take it for 5 s more.
        """
        if not await self._face.ring.revoke(key_id):
            _unknown(key_id)
        return Response(status_code=204)

    def _made(self, request: Request, key: ApiKey, text: str, *, status: int) -> Response:
        answer = told(KeyMade(**_item(key).model_dump(), key=text), status)
        answer.headers["Location"] = place(request, f"/keys/{key.id}")
        return answer


class SessionRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face, gatekeeper: Gatekeeper) -> None:
        self._face = face
        self._gatekeeper = gatekeeper

    async def begin(self, request: Request, asked: Annotated[SessionBegin, Body()]) -> Response:
        """Begin a session: the cookie stands for the key from then on."""
        if not own_page(request) and "origin" in request.headers:
            raise AccessDenied("a session begins on a page of this server's own")
        shown = await self._face.ring.find(asked.key)
        if shown is None:
            await self._gatekeeper.unknown(request)  # which counts apart: it must shut nobody out who has a key
        await self._face.count_post(request)
        token, _ = await self._face.ring.begin(shown)
        answer = told(SessionItem(role=shown.key.role, name=shown.key.name, user_id=shown.key.user_id), 201)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=int(SESSION_LASTS.total_seconds()),
            path=place(request, "/"),
            secure=over_tls(request, self._face.settings),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def show(self, request: Request) -> Response:
        """Show who you are to this API."""
        caller = caller_of(request)
        return told(SessionItem(role=caller.role, name=caller.name, user_id=caller.user_id))

    async def end(self, request: Request) -> Response:
        """End the session of this browser."""
        token = request.cookies.get(COOKIE)
        if token is not None:
            await self._face.ring.end(token)
        answer = Response(status_code=204)
        secure = over_tls(request, self._face.settings)
        answer.delete_cookie(COOKIE, path=place(request, "/"), secure=secure, httponly=True, samesite="strict")
        return answer


def _item(key: ApiKey) -> KeyItem:
    return KeyItem(
        id=key.id,
        name=key.name,
        role=key.role,
        user_id=key.user_id,
        created_at=key.created_at,
        expires_at=key.expires_at,
        former_until=key.former_until,
    )


def _unknown(key_id: str) -> NoReturn:
    raise Refusal(NOT_FOUND, f"no key {key_id!r} is known here; GET /keys lists them")


def add_routes(router: APIRouter, face: Face, gatekeeper: Gatekeeper) -> None:
    """Put these routes on `router`."""
    _add_keys(router, KeyRoutes(face))
    _add_sessions(router, SessionRoutes(face, gatekeeper))


def _add_keys(router: APIRouter, keys: KeyRoutes) -> None:
    one, seen, acted = "/keys/{key_id}", refusals(404, 422, 503), refusals(404, 409, 422, 429, 503)
    gone: Mapping[int | str, Object] = {**_DONE, **seen}
    router.add_api_route("/keys", keys.find, response_model=KeyList, responses=refusals(503), tags=KEY_TAGS)
    router.add_api_route(
        "/keys",
        keys.make,
        methods=["POST"],
        status_code=201,
        response_model=KeyMade,
        responses=refusals(400, 413, 415, 422, 429, 503),
        tags=KEY_TAGS,
    )
    router.add_api_route(one, keys.show, response_model=KeyItem, responses=seen, tags=KEY_TAGS)
    router.add_api_route(
        f"{one}/rotate", keys.rotate, methods=["POST"], response_model=KeyMade, responses=acted, tags=KEY_TAGS
    )
    router.add_api_route(one, keys.revoke, methods=["DELETE"], status_code=204, responses=dict(gone), tags=KEY_TAGS)


def _add_sessions(router: APIRouter, sessions: SessionRoutes) -> None:
    one, shown = "/session", refusals(503)
    begun = refusals(400, 401, 403, 413, 415, 422, 429, 503)
    router.add_api_route(
        one,
        sessions.begin,
        methods=["POST"],
        status_code=201,
        response_model=SessionItem,
        responses=begun,
        tags=SESSION_TAGS,
    )
    router.add_api_route(one, sessions.show, response_model=SessionItem, responses=shown, tags=SESSION_TAGS)
    router.add_api_route(
        one, sessions.end, methods=["DELETE"], status_code=204, responses={**_DONE, **shown}, tags=SESSION_TAGS
    )
