"""What every route works with, and what it reads off a request."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from tidegate.app import Tidegate
from tidegate.client import Client
from tidegate.config import Settings
from tidegate.core.access import Caller, Role
from tidegate.errors import AccessDenied, EngineUnavailable, InvalidInput, RateLimited, TidegateError
from tidegate.http.guards import limits, proxies
from tidegate.http.guards.auth import CALLER
from tidegate.http.guards.keyring import KeyRing
from tidegate.http.guards.limits import Limits
from tidegate.http.guards.turns import Turns
from tidegate.http.live.rooms import Rooms
from tidegate.http.problems import USER_MISSING, Refusal
from tidegate.http.routing import BASE_SCOPE
from tidegate.http.watching.lookout import Lookout
from tidegate.http.watching.meter import Meter
from tidegate.system_jobs import SYSTEM_PREFIX
from tidegate.wiring import System

USER_PATTERN: Final = r"^[!-~]([ -~]{0,253}[!-~])?$"
EVERYBODY: Final = "*"
"""What an operator writes in place of a user who means everybody."""

SOME_OPERATOR: Final = "operator"
"""The author of what an operator changes who has no name, for no key is asked for."""

_USER: Final = re.compile(USER_PATTERN)
_PATH: Final = "/:@!$&'()*+,;=~%"


@dataclass(frozen=True, slots=True)
class Face:
    """One application behind HTTP; it is open whenever a request is served."""

    application: Tidegate
    limits: Limits
    ring: KeyRing
    lookout: Lookout
    meter: Meter
    rooms: Rooms
    turns: Turns = field(default_factory=Turns)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def system(self) -> System:
        """Everything that is open."""
        return self.application.system

    @property
    def settings(self) -> Settings:
        """The settings that the application was opened with."""
        return self.system.settings

    @property
    def client(self) -> Client:
        """The client of the open store."""
        return self.system.client

    async def count_post(self, request: Request) -> None:
        """Count a POST that makes no job; raises RateLimited."""
        await self.limits.share(limits.post(self.settings, self.address(request)))

    async def count_refused(self, request: Request, exc: Exception) -> None:
        """Count a POST that is refused before it was counted; raises RateLimited where that is one too many."""
        if isinstance(exc, Refusal | TidegateError) and not isinstance(exc, RateLimited | EngineUnavailable):
            await self.count_post(request)

    def address(self, request: Request) -> str:
        """Where a request comes from, as limits count it."""
        return proxies.address(request, self.settings)


def caller_of(request: Request) -> Caller:
    """Who asks, as the gatekeeper found."""
    caller: Caller = request.scope["state"][CALLER]
    return caller


async def user_of(request: Request) -> str:
    """Whose the request is: the key's user, or who is named. Raises Refusal where nobody is, and AccessDenied."""
    return owner_of(request)


def owner_of(request: Request) -> str:
    """The same; a dependency must be a coroutine, or it is run in a thread."""
    given, caller = _named(request), caller_of(request)
    for user in given if caller.user_id is None else (*given, caller.user_id):
        if user.startswith(SYSTEM_PREFIX):
            raise AccessDenied(f"no user's name begins with {SYSTEM_PREFIX}: those are Tidegate's own")
        if user == EVERYBODY:
            raise Refusal(USER_MISSING, f"`{EVERYBODY}` is everybody, and no user: say for whom")
    if caller.user_id is not None:
        if given not in ([], [caller.user_id]):
            raise AccessDenied("this key is one user's: send no X-User-ID, or that user's")
        return caller.user_id
    if len(given) != 1 or not _USER.fullmatch(given[0]):
        wanted = "1 to 255 printable ASCII characters, no space first or last"
        raise Refusal(USER_MISSING, f"send one X-User-ID header: {wanted}")
    return given[0]


async def author_of(request: Request) -> str:
    """Who is told to have changed something: the user, or the key that acts for nobody."""
    caller, given = caller_of(request), _named(request)
    if given == [EVERYBODY] and caller.role.includes(Role.OPERATOR):
        return caller.user_id or caller.name or SOME_OPERATOR
    if caller.key_id and caller.user_id is None and not given:
        return caller.name
    return await user_of(request)


async def viewer_of(request: Request) -> str | None:
    """Whose jobs the caller may see and change; None for everybody's. Raises Refusal and AccessDenied."""
    caller, given = caller_of(request), _named(request)
    if given == [EVERYBODY] or (caller.key_id and not given):
        if caller.role.includes(Role.OPERATOR):
            return None
        if given:
            raise AccessDenied("everybody's jobs are shown to operators")
    return await user_of(request)


def _named(request: Request) -> list[str]:
    """Whom the request names."""
    return request.headers.getlist("x-user-id")


def whose(request: Request, viewer: str | None, asked: str | None) -> str | None:
    """Whose jobs a list shows, where it was asked for some user's; raises AccessDenied for who may not."""
    if asked in (None, viewer):
        return viewer
    if not caller_of(request).role.includes(Role.OPERATOR):
        raise AccessDenied("other users' jobs are shown to operators")
    return None if asked == EVERYBODY else asked


Viewer = Annotated[str | None, Depends(viewer_of)]
"""A route's parameter: whose jobs it may show or change, as `client` takes it for `user_id`."""

Author = Annotated[str, Depends(author_of)]
"""A route's parameter: who changes something that is nobody's own."""

UserId = Annotated[str, Depends(user_of)]
"""A route's parameter: who asks, from the header X-User-ID, which is required."""


def place(request: Request, path: str) -> str:
    """The path of one of our places, as this client reaches it, wherever we are mounted or included."""
    base = request.scope.get(BASE_SCOPE, request.scope.get("root_path", ""))
    return f"{quote(base, safe=_PATH)}{path}"


def single(request: Request, header: str) -> str | None:
    """The header's value, None where there is none; raises InvalidInput where there are several."""
    given = request.headers.getlist(header)
    if len(given) > 1:
        raise InvalidInput(header.lower(), "is there more than once: send it once")
    return given[0] if given else None


def told(model: BaseModel, status: int = 200) -> Response:
    """The model as a JSON answer; it was validated when it was made, so it is not validated again."""
    return Response(model.model_dump_json(), status, media_type="application/json")
