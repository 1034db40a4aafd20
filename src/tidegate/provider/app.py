"""The ASGI application: chat completions go straight to `chat`, everything else through Starlette."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec
from pydantic import Field, ValidationError, model_validator
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tidegate.core.text import plainly
from tidegate.provider.answers import encode, error_body, models
from tidegate.provider.chat import Chat, allowed
from tidegate.provider.decision import Verdict
from tidegate.provider.state import Provider, Tenancy
from tidegate.provider.timeline import Phase

COMPLETIONS: Final = "/v1/chat/completions"


class Override(Phase):
    """A phase put over the script by hand, for one tenant or for all of them."""

    tenant: str | None = Field(None, max_length=40)

    @model_validator(mode="after")
    def _from_now(self) -> "Override":
        if self.at is not None:
            raise ValueError("at: it begins now")
        if self.lasts is None and self.capacity is not None and self.capacity.start != self.capacity.end:
            raise ValueError("capacity: one that changes needs a `for`")
        if self.lasts == 0:
            raise ValueError("for: it lasts no time")
        return self


class Application:
    """A provider, served. `key` is what every caller must show."""

    def __init__(self, provider: Provider, key: str | None = None) -> None:
        self._key = None if key is None else key.encode()
        self._chat = Chat(provider, self._key)
        self._tenants = _paths(provider)
        self._others = Starlette(
            routes=[*_control(_Control(provider)), *(Route(f"{base}/v1/models", _models) for base in _bases(provider))],
            exception_handlers={HTTPException: _problem},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        tenancy = self._tenants.get(scope["path"])
        if tenancy is not None:
            await self._chat.handle(tenancy, scope, receive, send)
        elif allowed(scope, self._key):
            await self._others(scope, receive, send)
        else:
            await _refused(401, "Incorrect API key provided.")(scope, receive, send)


def _bases(provider: Provider) -> Mapping[str, Tenancy]:
    """Where each tenant is; the only one is at the root too."""
    found = {f"/{name}": tenancy for name, tenancy in provider.tenants.items()}
    return found | ({"": next(iter(found.values()))} if len(found) == 1 else {})


def _paths(provider: Provider) -> Mapping[str, Tenancy]:
    return {f"{base}{COMPLETIONS}": tenancy for base, tenancy in _bases(provider).items()}


class _Control:
    """What a person or a test asks and says beside the calls."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def show(self, _: Request) -> Response:
        return _json(status(self._provider))

    async def override(self, request: Request) -> Response:
        try:
            phase = Override.model_validate_json(await request.body())
        except ValidationError as exc:
            wrong = [
                f"{'.'.join(map(str, error['loc']))}: {plainly(error['msg'])}".lstrip(": ") for error in exc.errors()
            ]
            return _refused(400, "; ".join(wrong)[:2_000])
        return self._set(phase.tenant, phase)

    async def clear(self, request: Request) -> Response:
        return self._set(request.query_params.get("tenant"), None)

    async def start(self, _: Request) -> Response:
        self._provider.restart()
        return _json(status(self._provider))

    async def lines(self, request: Request) -> Response:
        given = request.query_params.get("after", "0")
        if not (given.isdecimal() and given.isascii() and len(given) < 16):
            return _refused(400, "after: must be a number of lines")
        following, lines = self._provider.log.after(int(given))
        return _json({"next": following, "lines": [msgspec.Raw(line) for line in lines]})

    def _set(self, tenant: str | None, phase: Phase | None) -> Response:
        tenants = self._provider.tenants
        if tenant is not None and tenant not in tenants:
            return _refused(404, f"there is no tenant of that name; there are {', '.join(tenants)}")
        for name, tenancy in tenants.items():
            if tenant in (None, name):
                tenancy.override(phase, self._provider.now())
        return _json(status(self._provider))


def _control(control: _Control) -> list[Route]:
    return [
        Route("/control", control.show, methods=["GET"]),
        Route("/control", control.override, methods=["POST"]),
        Route("/control", control.clear, methods=["DELETE"]),
        Route("/control/start", control.start, methods=["POST"]),
        Route("/control/log", control.lines, methods=["GET"]),
    ]


def status(provider: Provider) -> dict[str, object]:
    """Where the timeline is, and what has been answered since its start. Seconds as they pass."""
    now = provider.now()
    return {
        "about": provider.timeline.about,
        "seed": provider.timeline.seed,
        "scale": provider.timeline.scale,
        "run": provider.run,
        "elapsed": round(now, 3),
        "lines": provider.log.count,
        "tenants": {name: _tenant(provider, tenancy, now) for name, tenancy in provider.tenants.items()},
    }


def _tenant(provider: Provider, tenancy: Tenancy, now: float) -> dict[str, object]:
    step, instant = tenancy.at(now)
    counted: Counter[Verdict] = Counter()
    for (run, name, _), verdicts in provider.log.verdicts.items():
        if (run, name) == (provider.run, tenancy.name):
            counted += verdicts
    return {
        "phase": step.name,
        "does": step.does,
        "left": None if step.end == float("inf") else round(step.end - instant, 3),
        "capacity": step.capacity_at(instant),
        "in_flight": tenancy.in_flight,
        "overridden": tenancy.overridden(now),
        "verdicts": {verdict.value: count for verdict, count in counted.items()},
    }


async def _models(_: Request) -> Response:
    return Response(models(), media_type="application/json")


async def _problem(_: Request, exc: Exception) -> Response:
    code = exc.status_code if isinstance(exc, HTTPException) else 500
    return _refused(code, exc.detail if isinstance(exc, HTTPException) else "")


def _refused(code: int, message: str) -> Response:
    return _json(error_body(message, "invalid_request_error", None), code)


def _json(value: object, code: int = 200) -> Response:
    return Response(encode(value), code, media_type="application/json")
