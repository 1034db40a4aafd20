"""What every route works with, and what it reads off a request."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from tidegate.app import Tidegate
from tidegate.client import Client
from tidegate.config import Settings
from tidegate.errors import InvalidInput
from tidegate.http import limits
from tidegate.http.limits import Limits
from tidegate.http.problems import USER_MISSING, Refusal
from tidegate.wiring import System

USER_PATTERN: Final = r"^[!-~]([ -~]{0,253}[!-~])?$"
_USER: Final = re.compile(USER_PATTERN)


@dataclass(frozen=True, slots=True)
class Face:
    """One application behind HTTP; it is open whenever a request is served."""

    application: Tidegate
    limits: Limits

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
        await self.limits.take(limits.post(self.settings, address(request)))


async def user_of(request: Request) -> str:
    """Who asks; raises Refusal where it is not said, or said twice."""
    given = request.headers.getlist("x-user-id")
    if len(given) != 1 or not _USER.fullmatch(given[0]):
        wanted = "1 to 255 printable ASCII characters, no space first or last"
        raise Refusal(USER_MISSING, f"send one X-User-ID header: {wanted}")
    return given[0]


UserId = Annotated[str, Depends(user_of)]
"""A route's parameter: who asks, from the header X-User-ID, which is required."""


def address(request: Request) -> str:
    """Where a request came from: its peer's address, "" where the peer has none."""
    return request.client.host if request.client is not None else ""


def place(request: Request, path: str) -> str:
    """The path of one of our places, as this client reaches it, wherever the application is mounted."""
    return f"{request.scope.get('root_path', '')}{path}"


def single(request: Request, header: str) -> str | None:
    """The header's value, None where there is none; raises InvalidInput where there are several."""
    given = request.headers.getlist(header)
    if len(given) > 1:
        raise InvalidInput(header.lower(), "is there more than once: send it once")
    return given[0] if given else None


def told(model: BaseModel, status: int = 200) -> Response:
    """The model as a JSON answer; it was validated when it was made, so it is not validated again."""
    return Response(model.model_dump_json(), status, media_type="application/json")
