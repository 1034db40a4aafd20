"""`python -m bench.http.bare FOLDER`: what POST /jobs is held against, and no more than that.

One Starlette route that validates what POST /jobs validates, by the same functions, and answers as many bytes, on the
very same server: uvicorn as `tidegate serve` sets it up. With `thin` behind the folder it validates the body's fields
alone, by one call of Pydantic.
"""

import gc
import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import uvicorn
import uvloop
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.http.orders import Order
from tidegate.config import load
from tidegate.errors import TidegateError
from tidegate.http.face import USER_PATTERN
from tidegate.http.problems import Refusal
from tidegate.http.requests.asking import validated
from tidegate.http.requests.reading import parse_json
from tidegate.http.schemas.jobs import JobCreate
from tidegate.http.server import COLLECTING, SERVER_FILE, uvicorn_config

_ID: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
ANSWER: Final = json.dumps(
    {"job_id": _ID, "status": "queued", "status_url": f"/jobs/{_ID}/status"}, separators=(",", ":")
).encode()

_USER: Final = re.compile(USER_PATTERN)
_ORDER: Final = TypeAdapter(Order)


class _Raw(msgspec.Struct):
    payload: msgspec.Raw


_raw: Final = msgspec.json.Decoder(_Raw)


def checked(request: Request, body: bytes) -> None:
    """Who asks, JSON that means one thing, the fields, and the payload by its type's model; raises what they raise."""
    if not _USER.fullmatch(request.headers.get("x-user-id", "")):
        raise ValueError("x-user-id")
    validated(JobCreate, parse_json(body))
    _ORDER.validate_json(bytes(_raw.decode(body).payload), strict=True, extra="forbid")


def fields_checked(_: Request, body: bytes) -> None:
    """The fields alone."""
    JobCreate.model_validate_json(body)


def made(check: Callable[[Request, bytes], None]) -> Starlette:
    """An application that checks, and answers."""

    async def submit(request: Request) -> Response:
        try:
            check(request, await request.body())
        except (Refusal, TidegateError, ValidationError, ValueError):
            return Response(status_code=422)
        return Response(ANSWER, 201, media_type="application/json")

    return Starlette(routes=[Route("/jobs", submit, methods=["POST"])])


async def serve(folder: Path, app: Starlette) -> None:
    """Serve until SIGTERM, on a free port that is noted in the folder as `tidegate serve` notes its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        note = {"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        part = folder / "part"
        part.write_text(json.dumps(note))
        part.replace(folder / SERVER_FILE)
        gc.collect()
        gc.freeze()  # as `tidegate serve` does
        gc.set_threshold(*COLLECTING)
        await uvicorn.Server(uvicorn_config(app, load(data_dir=folder))).serve([listener])


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), made(fields_checked if "thin" in sys.argv[2:] else checked)))
