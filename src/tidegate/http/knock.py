"""A plain request on the short way (see `straight`), and how it is answered."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from starlette.responses import Response

from tidegate.errors import TidegateError
from tidegate.http.problems import Refusal, internal_error, refusal_of, respond
from tidegate.http.requests.strict import StrictRequest

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

_log: Final = logging.getLogger(__name__)


class Knock:
    """One request, whose whole body is here. It is answered once: what is told of it after that goes nowhere."""

    __slots__ = ("_tell", "began", "request", "told")

    def __init__(
        self, request: StrictRequest, began: float, tell: Callable[["Knock", int, RawHeaders, bytes], None]
    ) -> None:
        self.request = request
        self.began = began
        self.told = False
        self._tell = tell

    def tell(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Answer; `headers` have all that this answer has of its own."""
        if not self.told:
            self.told = True
            self._tell(self, status, headers, body)

    def respond(self, response: Response) -> None:
        """Answer as a route does."""
        self.tell(response.status_code, response.raw_headers, bytes(response.body))

    def refuse(self, exc: Exception) -> None:
        """Answer what went wrong, as the layers on the long way do."""
        match exc:
            case Refusal():
                refusal = exc
            case TidegateError():
                refusal = refusal_of(exc)
            case _:
                _log.error("http.fault request_id=%s", self.request.scope["state"]["request_id"], exc_info=exc)
                refusal = internal_error()
        self.respond(respond(self.request, refusal))
