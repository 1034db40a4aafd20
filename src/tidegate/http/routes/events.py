"""Streams of events: one job's, and those of all jobs that one may see."""

from enum import Enum
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.access import GIVEN
from tidegate.errors import InvalidInput
from tidegate.http.face import Face, Viewer, caller_of, single
from tidegate.http.live.feed import Feed
from tidegate.http.live.feed_pages import Pages
from tidegate.http.live.following import Follower
from tidegate.http.live.rooms import Guest
from tidegate.http.live.streams import EventStream, Holds, Streams
from tidegate.http.openapi import Object, refusals
from tidegate.http.requests.parameters import FeedAfter, HistoryAfter
from tidegate.http.routes.jobs import TAGS, JobPath

LAST_SEQ: Final = 2**31 - 1

FEED_TAGS: list[str | Enum] = ["events"]

_LAST_ID: Final = "Last-Event-ID"
_SEQ: Final[Object] = {"type": "integer", "minimum": 0, "maximum": LAST_SEQ}


class EventRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._streams = Streams(face.rooms.streams, face.stopping)
        self.feed = Feed(Pages(lambda: face.system.engine), lambda: face.settings.poll)

    async def follow(
        self, request: Request, viewer: Viewer, job_id: JobPath, asked: Annotated[HistoryAfter, Query()]
    ) -> Response:
        """Follow a job: its steps and its progress as they happen, until it has ended.

        Each event's data is a `JobEvent`. 204 where it has ended and you had its last step.
        """
        follower = Follower(self._face.system, job_id, viewer, _seq(single(request, _LAST_ID), asked.after))
        first = await follower.look()
        if follower.ended and not first:
            return Response(status_code=204)
        return self._streams.answer(self._guest(request, viewer), follower.rounds(first), self._holds(request))

    async def listen(self, request: Request, viewer: Viewer, asked: Annotated[FeedAfter, Query()]) -> Response:
        """Follow all your jobs: every step as it happens.

        Each event's data is a `FeedEvent`, but for `reset`: then steps were missed, and lists are to be read anew.
        """
        listener = await self.feed.listener(viewer, single(request, _LAST_ID) or asked.after)
        pieces, guest = self.feed.follow(listener), self._guest(request, viewer)
        return self._streams.answer(guest, pieces, self._holds(request), listener.alive)

    def _guest(self, request: Request, viewer: str | None) -> Guest:
        return Guest(viewer, self._face.address(request))

    def _holds(self, request: Request) -> Holds:
        """Whether the text of a key that was shown still holds, where one of the store's was."""
        caller, ring = caller_of(request), self._face.ring

        async def holds() -> bool:
            return caller.key_id in ("", GIVEN) or await ring.holds(caller.key_id, caller.digest)

        return holds


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`."""
    events = EventRoutes(face)
    seen: dict[int | str, Object] = {204: {"description": "It has ended, and you had its last step."}}
    router.add_api_route(
        "/jobs/{job_id}/events",
        events.follow,
        status_code=200,
        response_class=EventStream,
        responses={200: _stream("JobEvent"), **seen, **refusals(400, 404, 422, 429, 503)},
        openapi_extra={"parameters": [_last("The `seq` of the last step that you had.", _SEQ)]},
        tags=TAGS,
    )
    router.add_api_route(
        "/events",
        events.listen,
        status_code=200,
        response_class=EventStream,
        responses={200: _stream("FeedEvent"), **refusals(400, 422, 429, 503)},
        openapi_extra={"parameters": [_last("The id of the last event that you had.", {"type": "string"})]},
        tags=FEED_TAGS,
    )


def _seq(given: str | None, after: int) -> int:
    """Where a client goes on: a browser that comes back sends the header, at the address it first asked."""
    if given is None:
        return after
    if not (given.isascii() and given.isdigit() and len(given) <= 10) or int(given) > LAST_SEQ:
        raise InvalidInput("last-event-id", "is no id of an event of this stream: they are numbers")
    return int(given)


def _stream(event: str) -> Object:
    told = [{"$ref": f"#/components/schemas/{name}"} for name in (event, "StreamNotice")]
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"anyOf": told}}
    words = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
    item = {"type": "object", "properties": words, "required": ["event", "data"]}
    return {"description": "The stream of events.", "content": {EventStream.media_type: {"itemSchema": item}}}


def _last(description: str, schema: Object) -> Object:
    return {"name": _LAST_ID, "in": "header", "description": f"{description} Wins over `after`.", "schema": schema}
