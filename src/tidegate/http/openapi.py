"""The OpenAPI document: what FastAPI finds out by itself, and the rest of the truth."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from tidegate.http.examples import exemplify
from tidegate.http.face import USER_PATTERN
from tidegate.http.guards.auth import COOKIE, OPEN
from tidegate.http.headers import HEADERS, tell_headers
from tidegate.http.links import link
from tidegate.http.problems import MEDIA_TYPE
from tidegate.http.schemas.base import Problem
from tidegate.http.schemas.bulk import BulkAct, BulkCreate
from tidegate.http.schemas.events import FeedEvent, JobEvent, StreamNotice
from tidegate.http.schemas.jobs import JobCreate
from tidegate.http.schemas.schedules import ScheduleSent

Object = dict[str, Any]
"""A part of the document; FastAPI's own type for it."""

DESCRIPTION: Final = """\
Background jobs for handlers that call things that fail. Every refusal is a problem (RFC 9457) whose `type` is
stable; instants are RFC 3339 in UTC; durations are seconds."""

USER: Final[Object] = {
    "name": "X-User-ID",
    "in": "header",
    "required": True,
    "description": "Who asks; `*`, from operators, for everybody. Users never see one another's jobs. "
    "Not needed with a key that is a user's own.",
    "schema": {"type": "string", "pattern": USER_PATTERN},
    "example": "ada",
}
SCHEMES: Final[Object] = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key: `tg_…`."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Begun by `POST /session`."},
}
OWNED: Final = (
    "/jobs", "/uploads", "/upstreams", "/queues", "/schedules", "/webhooks", "/events", "/workers", "/dead-letters",
)  # fmt: skip


RAW: Final[tuple[type[BaseModel], ...]] = (
    JobCreate,
    ScheduleSent,
    BulkCreate,
    BulkAct,
    JobEvent,
    FeedEvent,
    StreamNotice,
    Problem,
)


def refusals(*statuses: int) -> dict[int | str, Object]:
    """The problems that a route may answer with, for its documentation."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def document(app: FastAPI) -> Object:
    """The document of `app`, made once."""
    if not app.openapi_schema:
        made = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas.update(raw_schemas())
        made["components"] |= {"headers": HEADERS, "securitySchemes": SCHEMES}
        for path, operations in made["paths"].items():
            for operation in operations.values():
                _complete(path, operation)
        link(made["paths"])
        app.openapi_schema = made
    return app.openapi_schema


def raw_schemas() -> Object:
    """The schemas of what FastAPI does not see: bodies read raw, and refusals."""
    schemas: Object = {}
    for model in RAW:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    return schemas


def operation_id(route: APIRoute) -> str:
    """What generated clients call the operation: `jobs_find`, `uploads_receive`."""
    return f"{route.tags[-1]}_{route.name}"


def _complete(path: str, operation: Object) -> None:
    if operation["operationId"] not in OPEN:
        operation["security"] = [{}, *({name: []} for name in SCHEMES)]  # {}: while there is no key
        operation["responses"] |= {str(status): known for status, known in refusals(400, 401, 403, 429).items()}
    operation["responses"] |= {str(status): known for status, known in refusals(422).items()}
    operation["summary"] = operation["description"].partition("\n")[0].rstrip(".")
    if path.startswith(OWNED):
        operation.setdefault("parameters", []).append(USER)
    for answer in operation["responses"].values():
        for content in answer.get("content", {}).values():
            if "itemSchema" in content:  # a stream, which FastAPI says a text of
                content.pop("schema", None)
    exemplify(operation)
    tell_headers(operation)
