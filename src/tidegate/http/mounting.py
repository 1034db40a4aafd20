"""The HTTP face as a part of another FastAPI application: a router with its lifespan, and a word on who asks."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import Request

from tidegate.app import Tidegate
from tidegate.core.access import Caller, Role
from tidegate.http import openapi
from tidegate.http.app import add_routes, faced
from tidegate.http.guards.auth import ACTING, COOKIE, OPEN
from tidegate.http.lifespan import tidegate_lifespan
from tidegate.http.openapi import Object, refusals
from tidegate.http.routing import OwnRoute, own_route

PROBLEM: Final[Object] = {
    "title": "Problem",
    "description": "RFC 9457; `type` is stable.",
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "instance", "request_id")},
        "status": {"type": "integer"},
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}


_SCHEMES: Final = (
    HTTPBearer(scheme_name="tidegate_key", description=openapi.SCHEMES["key"]["description"], auto_error=False),
    APIKeyCookie(
        name=COOKIE,
        scheme_name="tidegate_session",
        description=openapi.SCHEMES["session"]["description"],
        auto_error=False,
    ),
)
"""Put into the document; who asks, the gatekeeper finds out."""


def tidegate_router(application: Tidegate, *, worker: bool = True) -> APIRouter:
    """Every route of the API, for `app.include_router(tidegate_router(application), prefix="/jobs-api")`.

    It brings its lifespan: the store is open and, with `worker`, jobs run, for as long as your application is served.
    """
    face, gatekeeper = faced(application)
    router = APIRouter(
        lifespan=tidegate_lifespan(application, worker=worker),
        dependencies=[Depends(gatekeeper)],
        route_class=own_route(lambda: face.settings.http_receive_timeout, GuestRoute),
        generate_unique_id_function=_operation_id,
    )
    add_routes(router, face, gatekeeper)
    return router


def acting_as(request: Request, user_id: str, *, role: Role = Role.WRITER) -> None:
    """Say who asks, from a dependency of yours that has found out: no API key is asked for, no X-User-ID believed."""
    setattr(request.state, ACTING, Caller(role=role, name=user_id, user_id=user_id))


class GuestRoute(OwnRoute):
    """A route of ours in another's document: it says all there, and refers to nothing."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        extra = deepcopy(options.get("openapi_extra") or {})
        if path.startswith(openapi.OWNED):
            extra.setdefault("parameters", []).append({**openapi.USER, "required": False})
        if f"{options['tags'][-1]}_{options['name'] or endpoint.__name__}" not in OPEN:
            extra["security"] = [{}]  # while there is no key
            options["dependencies"] = [*(options.get("dependencies") or ()), *(Depends(one) for one in _SCHEMES)]
        told = {**refusals(400, 401, 403, 422, 429), **(options.get("responses") or {})}
        options["responses"] = _inlined(told, _schemas())
        options["openapi_extra"] = _inlined(extra, _schemas())
        options["summary"] = (endpoint.__doc__ or "").partition("\n")[0].rstrip(".")
        super().__init__(path, endpoint, **options)


def _operation_id(route: APIRoute) -> str:
    return f"tidegate_{openapi.operation_id(route)}"


@cache
def _schemas() -> Object:
    """What our documents refer to, by name."""
    return {**openapi.raw_schemas(), "Problem": PROBLEM}


def _inlined(value: Any, schemas: Object) -> Any:
    """The value with schemas in the place of references to them."""
    match value:
        case {"$ref": str(reference)} if (name := reference.rpartition("/")[2]) in schemas:
            return _inlined(schemas[name], schemas)
        case dict():
            # Which of several it is, a discriminator says by references.
            return {key: _inlined(inner, schemas) for key, inner in value.items() if key != "discriminator"}
        case list():
            return [_inlined(inner, schemas) for inner in value]
        case _:
            return value
