"""`/health`: the process answers. `/readyz`: everything that work needs is there."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Final, TypeVar

from fastapi import APIRouter
from starlette.responses import Response

from tidegate.core.query import Stats, WorkerInfo
from tidegate.errors import TidegateError
from tidegate.http.face import Face, told
from tidegate.http.openapi import refusals
from tidegate.http.problems import NOT_READY, Refusal
from tidegate.http.schemas.service import Alive, Ready
from tidegate.http.watching.lookout import unserved

PATIENCE: Final = 5.0
"""Seconds that a check may take; probes that ask us mostly wait no longer."""

ARTIFACT_CHECK_KEPT: Final = 10.0
"""Seconds that the artifact check's answer stands: it writes, and an object store bills writes."""

MOST_WARNINGS: Final = 10

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
        health, engine_fault = await _tried(engine.check())
        stats, stats_fault = await _tried(engine.stats())
        workers, workers_fault = await _tried(self._workers())
        faults = {"engine": engine_fault or stats_fault or workers_fault, "artifacts": await self._artifact_fault()}
        if health is None or stats is None or workers is None or faults["artifacts"]:
            checks = {name: fault or "ok" for name, fault in faults.items()}
            broken = ", ".join(name for name, fault in faults.items() if fault)
            raise Refusal(NOT_READY, f"not ready: {broken}", checks=checks)
        ready = Ready(
            status="ready",
            engine=health.engine,
            engine_version=health.version,
            schema_version=health.schema,
            durability=health.durability,
            artifacts="ok",
            oldest_ready_age=stats.oldest_ready_age.total_seconds(),
            workers=len(workers),
            warnings=_warnings(stats, workers),
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


def _warnings(stats: Stats, workers: Iterable[WorkerInfo]) -> list[str]:
    """What does not keep this process from its work, and is still wrong."""
    waiting = sorted(unserved(stats, workers).items())[:MOST_WARNINGS]
    return [f"no worker serves queue {queue!r}, where jobs wait: {count}" for queue, count in waiting]


async def _tried(check: Awaitable[T]) -> tuple[T | None, str]:
    """A check's answer, or its fault as a class name: a message may name hosts and users of the store."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await check, ""
    except (TidegateError, TimeoutError) as exc:
        return None, type(exc).__name__
