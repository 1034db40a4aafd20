"""What a request brings that its route does not ask for: refused, for whoever sends it believes that it counts."""

from starlette.requests import Request

from tidegate.errors import InvalidInput
from tidegate.http.problems import BAD_REQUEST, Refusal, invalid
from tidegate.http.requests.reading import announced, timed

_NOTHING = b"{}"
"""What some clients send who have nothing to say."""


def refuse_query(request: Request) -> None:
    """Refuse every parameter of the query; raises Refusal that names them all."""
    names = dict.fromkeys(name for name, _ in request.query_params.multi_items())
    if names:
        raise invalid([(name[:100], "there is no such parameter here") for name in names])


def refuse_repeats(request: Request) -> None:
    """Refuse a parameter that is there twice: one of the two would count, and the other not. Raises Refusal."""
    names = [name for name, _ in request.query_params.multi_items()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Refusal(BAD_REQUEST, f"the parameter {twice[:100]!r} is there more than once: send it once")


async def refuse_body(request: Request) -> None:
    """Refuse a body, but for an empty object; raises InvalidInput, and Refusal where it does not come in time."""
    if not announced(request) and "transfer-encoding" not in request.headers:
        return
    body = b""
    if announced(request) <= len(_NOTHING):
        async for chunk in timed(request):
            body += chunk
            if len(body) > len(_NOTHING):
                break
        if body in (b"", _NOTHING):
            return
    raise InvalidInput("", "there is nothing to send here: send no body")
