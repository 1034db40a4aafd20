"""What the page about HTTP shows of the API, as Markdown."""

from collections.abc import Mapping

import msgspec

from tests.docs.tables import table
from tidegate.app import Tidegate
from tidegate.http import problems as wire
from tidegate.http.app import create_app


class Parameter(msgspec.Struct, rename={"place": "in"}):
    """A parameter of a route, as OpenAPI has it."""

    name: str
    place: str


class Operation(msgspec.Struct):
    """What a route does, as OpenAPI has it."""

    description: str
    responses: dict[str, object]
    parameters: list[Parameter] = []


def operations() -> Mapping[tuple[str, str], Operation]:
    """Every (method, path) of the API."""
    paths = msgspec.convert(create_app(Tidegate()).openapi()["paths"], dict[str, dict[str, Operation]])
    return {(method.upper(), path): found for path, methods in paths.items() for method, found in methods.items()}


def routes() -> str:
    """Every route of the HTTP API, what it does, and its statuses."""
    rows = (
        (f"`{method} {path}`", found.description.partition("\n")[0], " ".join(sorted(found.responses)))
        for (method, path), found in operations().items()
    )
    return table(("route", "what for", "answers"), rows)


def filters() -> set[str]:
    """The query parameters of `GET /jobs`."""
    return {one.name for one in operations()["GET", "/jobs"].parameters if one.place == "query"}


def kinds() -> set[wire.Kind]:
    """Every kind of problem."""
    return {kind for kind in (*vars(wire).values(), *wire.KINDS.values()) if isinstance(kind, wire.Kind)}


def problems() -> str:
    """Every kind of problem, by status and type."""
    ordered = sorted(kinds(), key=lambda kind: (kind.status, kind.slug))
    return table(("type", "status", "title"), ((f"`{kind.uri}`", str(kind.status), kind.title) for kind in ordered))
