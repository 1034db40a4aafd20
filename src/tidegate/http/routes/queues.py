"""Routes that show queues, and pause and resume them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from enum import Enum
from typing import Annotated, Final

from fastapi import APIRouter, Body, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.query import LaneStats, Stats
from tidegate.http.face import Author, Face, author_of, told
from tidegate.http.openapi import refusals
from tidegate.http.problems import NOT_FOUND, Refusal
from tidegate.http.routes.upstreams import transition_item
from tidegate.http.schemas.upstreams import NAME_PATTERN, HeldItem, PauseSent, QueueHistory, QueueItem, QueueList
from tidegate.http.watching.holding import Held, held
from tidegate.http.watching.lookout import Flow, queues_of
from tidegate.upstreams import QueueCircuit, QueueCircuits
from tidegate.upstreams.policies import QUEUES, gate_of

TAGS: list[str | Enum] = ["queues"]

_FOR_GOOD: Final = PauseSent()
"""What a pause without a body asks for."""

NamePath = Annotated[str, Path(pattern=NAME_PATTERN, description="The queue's name.", examples=["content"])]


class QueueRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def find(self) -> Response:
        """List the queues."""
        stats = await self._face.system.engine.stats()
        flow = await self._face.lookout.flow(stats)
        return told(
            QueueList(items=[self._item(self._circuits.known(name), stats, flow) for name in self._names(stats)])
        )

    async def show(self, name: NamePath) -> Response:
        """Show a queue, and how its breaker stands."""
        stats = await self._face.system.engine.stats()
        if name not in self._names(stats):
            raise _unknown(name)
        circuit = await self._circuits.get_queue_circuit_status(name)
        return told(self._item(circuit, stats, await self._face.lookout.flow(stats)))

    async def history(self, name: NamePath) -> Response:
        """Show when a queue was paused and resumed, and why, newest first."""
        health = self._face.system.upstreams
        await health.keeper.refresh()
        if name not in self._names(await self._face.system.engine.stats()):
            raise _unknown(name)
        queue, _ = health.known(gate_of(QUEUES, name))
        return told(QueueHistory(items=[transition_item(change) for change in queue.log]))

    async def pause(
        self, request: Request, author: Author, name: NamePath, asked: Annotated[PauseSent, Body()] = _FOR_GOOD
    ) -> Response:
        """Claim none of a queue's jobs.

        Running ones go on, new ones are accepted and wait. Without a body, until it is resumed. Every name is a
        queue's: one that no job has named yet is paused too.
        """
        await self._face.count_post(request)
        last = None if asked.seconds is None else timedelta(seconds=asked.seconds)
        return await self._shown(await self._circuits.pause_queue(name, author=author, last=last))

    async def resume(self, request: Request, author: Author, name: NamePath) -> Response:
        """Claim a queue's jobs again, a few at first."""
        await self._face.count_post(request)
        return await self._shown(await self._circuits.resume_queue(name, author=author))

    async def limited(self, request: Request, name: NamePath) -> Response:
        """Tell that a job of a queue met a rate limit; the fifth in a row pauses it."""
        await self._face.count_post(request)
        return await self._shown(await self._circuits.record_queue_rate_limit_error(name))

    async def succeeded(self, request: Request, name: NamePath) -> Response:
        """Tell that a job of a queue succeeded: rate limits are counted anew."""
        await self._face.count_post(request)
        return await self._shown(await self._circuits.record_queue_success(name))

    @property
    def _circuits(self) -> QueueCircuits:
        return QueueCircuits(self._face.system.upstreams)

    def _names(self, stats: Stats) -> list[str]:
        return queues_of(stats, self._face.settings.queues, self._face.system.upstreams)

    async def _shown(self, circuit: QueueCircuit) -> Response:
        stats = await self._face.system.engine.stats()
        return told(self._item(circuit, stats, await self._face.lookout.flow(stats)))

    def _item(self, circuit: QueueCircuit, stats: Stats, flow: Flow) -> QueueItem:
        lanes, health = [lane for lane in stats.lanes if lane.lane.queue == circuit.queue], self._face.system.upstreams
        return _shown(circuit, lanes, held(lanes, health.now(), health.known), flow)


def _unknown(name: str) -> Refusal:
    return Refusal(NOT_FOUND, f"no queue {name[:128]!r} is known here; GET /queues lists them")


def _shown(circuit: QueueCircuit, lanes: Sequence[LaneStats], holds: Sequence[Held], flow: Flow) -> QueueItem:
    age = flow.ages.get(circuit.queue, timedelta(0))
    rates = flow.per_minute
    return QueueItem(
        name=circuit.queue,
        paused=circuit.is_paused,
        paused_at=circuit.paused_at,
        resumes_at=circuit.resumes_at,
        why=circuit.why,
        consecutive_errors=circuit.consecutive_errors,
        last_error_at=circuit.last_error_at,
        limit=circuit.limit,
        waiting=sum(lane.waiting for lane in lanes),
        ready=sum(lane.ready for lane in lanes),
        running=sum(lane.running for lane in lanes),
        dead_letters=sum(lane.dead_letter for lane in lanes),
        depth=sum(lane.waiting + lane.ready for lane in lanes),
        held=sum(one.jobs for one in holds),
        held_by=[HeldItem.model_validate(asdict(one)) for one in holds],
        oldest_ready_age=None if age is None else age.total_seconds(),
        throughput=None if rates is None else rates.get(circuit.queue, 0.0),
    )


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`. Each asks who it is for."""
    routes, asks, one = QueueRoutes(face), [Depends(author_of)], "/queues/{name}"
    acted = refusals(400, 404, 422, 429, 503)
    router.add_api_route(
        "/queues", routes.find, response_model=QueueList, responses=refusals(400, 503), tags=TAGS, dependencies=asks
    )
    router.add_api_route(
        one, routes.show, response_model=QueueItem, responses=refusals(400, 404, 422, 503), tags=TAGS, dependencies=asks
    )
    router.add_api_route(
        f"{one}/history",
        routes.history,
        response_model=QueueHistory,
        responses=refusals(400, 404, 422, 503),
        tags=TAGS,
        dependencies=asks,
    )
    for path, act, answers in (
        ("pause", routes.pause, acted | refusals(413, 415)),
        ("resume", routes.resume, acted),
        ("rate-limit-errors", routes.limited, acted),
        ("successes", routes.succeeded, acted),
    ):
        router.add_api_route(
            f"{one}/{path}",
            act,
            methods=["POST"],
            response_model=QueueItem,
            responses=answers,
            tags=TAGS,
            dependencies=asks,
        )
