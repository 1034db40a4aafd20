"""`/health`: the process answers. `/readyz`: everything that work needs is there."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from typing import Final, TypeVar

from fastapi import APIRouter
from starlette.responses import Response

from tidegate.core.query import WorkerInfo
from tidegate.errors import TidegateError
from tidegate.http.face import Face, told
from tidegate.http.openapi import refusals
from tidegate.http.problems import NOT_READY, STORE_RETRY_AFTER, Refusal, seconds_up
from tidegate.http.schemas.service import Alive, Ready
from tidegate.http.watching.lookout import unserved

PATIENCE: Final = 2.0
"""Seconds that all checks together may take, which are made at the same time; probes mostly wait little longer."""

ARTIFACT_CHECK_KEPT: Final = 10.0
"""Seconds that the artifact check's answer stands: it writes, and an object store bills writes."""

MOST_NAMED: Final = 5
"""Queues that warnings name: those alone that the application or its settings do, since anybody may ask."""

T = TypeVar("T")


class HealthRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._checking = asyncio.Lock()
        self._checked_at = float("-inf")
        self._artifacts = ""

    async def health(self) -> Response:
        """Say that the process answers."""
        return told(Alive(status="ok"))

    async def ready(self) -> Response:
        """Say whether jobs can be accepted, run and kept.

        503 tells what is missing.
        """
        engine = self._face.system.engine
        (health, engine_fault), (stats, stats_fault), (workers, workers_fault), artifact_fault = await asyncio.gather(
            _tried(engine.check()), _tried(engine.stats()), _tried(self._workers()), self._artifact_fault()
        )
        faults = {"engine": engine_fault or stats_fault or workers_fault, "artifacts": artifact_fault}
        if health is None or stats is None or workers is None or faults["artifacts"]:
            checks = {name: fault or "ok" for name, fault in faults.items()}
            broken = ", ".join(name for name, fault in faults.items() if fault)
            refusal = Refusal(NOT_READY, f"not ready: {broken}", checks=checks)
            refusal.headers = {"Retry-After": str(seconds_up(STORE_RETRY_AFTER))}
            raise refusal
        ready = Ready(
            status="ready",
            engine=health.engine,
            engine_version=health.version,
            schema_version=health.schema,
            durability=health.durability,
            artifacts="ok",
            oldest_ready_age=stats.oldest_ready_age.total_seconds(),
            workers=len(workers),
            warnings=_warnings(unserved(stats, workers), self._face.meter.queues()),
        )
        return told(ready)

    async def _workers(self) -> list[WorkerInfo]:
        """Those at work."""
        system = self._face.system
        return [worker for worker in await system.engine.workers() if worker.lives(system.upstreams.now())]

    async def _artifact_fault(self) -> str:
        """The newest check's fault, "" where there was none; one check at a time."""
        clock = self._face.system.clock
        async with self._checking:
            if clock.monotonic() - self._checked_at >= ARTIFACT_CHECK_KEPT:
                _, self._artifacts = await _tried(self._face.system.artifacts.check())
                self._checked_at = clock.monotonic()
            return self._artifacts


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`."""
    health = HealthRoutes(face)
    router.add_api_route("/health", health.health, response_model=Alive, tags=["service"])
    router.add_api_route("/readyz", health.ready, response_model=Ready, responses=refusals(503), tags=["service"])


def _warnings(waiting: Mapping[str, int], known: Collection[str]) -> list[str]:
    """What does not keep this process from its work, and is still wrong: jobs that wait where no worker serves."""
    named = sorted(queue for queue in waiting if queue in known)[:MOST_NAMED]
    told = [f"no worker serves queue {queue!r}, where jobs wait: {waiting[queue]}" for queue in named]
    rest = len(waiting) - len(named)
    if rest:
        jobs = sum(waiting.values()) - sum(waiting[queue] for queue in named)
        told.append(f"no worker serves {rest} other queue{'s' if rest > 1 else ''}, where jobs wait: {jobs}")
    return told


async def _tried(check: Awaitable[T]) -> tuple[T | None, str]:
    """A check's answer, or its fault as a class name: a message may name hosts and users of the store."""
    asked = asyncio.ensure_future(check)
    asked.add_done_callback(_heard)
    try:
        # Not `asyncio.timeout`: a driver that is told to stop may wait for the very store that does not answer.
        await asyncio.wait([asked], timeout=PATIENCE)
        return (asked.result(), "") if asked.done() else (None, TimeoutError.__name__)
    except (TidegateError, TimeoutError) as exc:
        return None, type(exc).__name__
    finally:
        asked.cancel()


def _heard(asked: asyncio.Future[T]) -> None:
    """What a check came to that nobody waited for is no news."""
    if not asked.cancelled():
        asked.exception()
