"""A request as our routes read it."""

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from tidegate.core.idempotency import JSON
from tidegate.http.requests.reading import parse_json, read_json


class _Headers(Headers):
    """Headers that are asked for again and again: found by name, not one after the other."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(self._list)}

    def __getitem__(self, key: str) -> str:
        return self._first[key.lower()]

    def get(self, key: str, default: Any = None) -> Any:
        """Its first value."""
        return self._first.get(key.lower(), default)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._first

    def getlist(self, key: str) -> list[str]:
        """Every value of that name."""
        return super().getlist(key) if key.lower() in self._first else []


class StrictRequest(Request):
    """A request whose JSON is read as ours is: counted, in time, and only what means one thing."""

    @property
    def headers(self) -> Headers:
        """Its headers."""
        if not hasattr(self, "_headers"):
            self._headers = _Headers(self.scope)
        return self._headers

    async def body(self) -> bytes:
        """The whole body; raises TooLarge and Refusal."""
        if not hasattr(self, "_body"):
            self._body = await read_json(self)
        return self._body

    async def json(self) -> JSON:
        """What the body means; raises Refusal."""
        return parse_json(await self.body())
