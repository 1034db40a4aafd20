"""`python -m bench.http.bare FOLDER`: what POST /jobs is held against, and no more than that.

One Starlette route that validates the same body with the same model and answers as many bytes, on the very same
server: uvicorn as `tidegate serve` sets it up.
"""

import gc
import json
import socket
import sys
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.config import load
from tidegate.http.schemas.jobs import JobCreate
from tidegate.http.server import SERVER_FILE, uvicorn_config

_ID: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
ANSWER: Final = json.dumps(
    {"job_id": _ID, "status": "queued", "status_url": f"/jobs/{_ID}/status"}, separators=(",", ":")
).encode()


async def submit(request: Request) -> Response:
    """Validate, and answer."""
    try:
        JobCreate.model_validate_json(await request.body())
    except ValidationError:
        return Response(status_code=422)
    return Response(ANSWER, 201, media_type="application/json")


app = Starlette(routes=[Route("/jobs", submit, methods=["POST"])])


async def serve(folder: Path) -> None:
    """Serve until SIGTERM, on a free port that is noted in the folder as `tidegate serve` notes its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        note = {"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        part = folder / "part"
        part.write_text(json.dumps(note))
        part.replace(folder / SERVER_FILE)
        gc.collect()
        gc.freeze()  # as `tidegate serve` does
        await uvicorn.Server(uvicorn_config(app, load(data_dir=folder))).serve([listener])


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
