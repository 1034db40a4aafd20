"""Long polls: an answer that waits for a job's end."""

import asyncio
from datetime import timedelta

from starlette.requests import ClientDisconnect, Request

from tidegate.core.job import Job
from tidegate.http.face import Face
from tidegate.http.live.rooms import Guest
from tidegate.http.live.streams import first, gone


async def waited(face: Face, request: Request, job_id: str, seconds: float, viewer: str | None) -> Job:
    """The job once it has ended, or as it is after so long, or as the server stops.

    Raises as `client.wait` does, RateLimited where too many wait, and ClientDisconnect where nobody waits for the
    answer any more.
    """
    with face.rooms.waits.taken(Guest(viewer, face.address(request))):
        waiting = asyncio.ensure_future(face.client.wait(job_id, timedelta(seconds=seconds), user_id=viewer))
        leaving = asyncio.ensure_future(gone(request.receive))
        await first(waiting, leaving, face.stopping.wait())
    if not waiting.cancelled():
        return waiting.result()
    if not leaving.cancelled():
        raise ClientDisconnect
    return await face.client.get(job_id, user_id=viewer)
