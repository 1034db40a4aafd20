"""`tidegate doctor` and `tidegate db migrate`: is everything in place?"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import httpx2
from cyclopts import Parameter

from tidegate.artifacts import open_artifacts
from tidegate.artifacts.settings import Folder, place
from tidegate.cli import EXIT_FAILED
from tidegate.cli.service import Running, missing, running
from tidegate.cli.variables import unknown
from tidegate.config import Settings, load
from tidegate.engines import open_engine, shown
from tidegate.errors import StoreOwned, TidegateError
from tidegate.telemetry.events import Emitter
from tidegate.wiring import artifact_settings, observe


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found."""

    name: str
    state: State
    detail: str


def doctor(*, as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")] = False) -> int:
    """Check settings, engine, artifact store and server; exit code 1 when anything is wrong."""
    checks = asyncio.run(_examine())
    if as_json:
        found = [
            {"check": one.name, "ok": one.state is not State.FAIL, "state": one.state.lower(), "detail": one.detail}
            for one in checks
        ]
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for one in checks:
            sys.stdout.write(f"{one.state:4} {one.name:10} {one.detail}\n")
    return EXIT_FAILED if any(one.state is State.FAIL for one in checks) else 0


def migrate() -> int:
    """Bring the engine's schema up to this release; safe to repeat, and done at every start anyway."""
    settings = load()
    observe(settings)

    async def run() -> str:
        async with open_engine(settings.engine_url) as engine:
            return (await engine.check()).schema

    sys.stdout.write(f"the schema is at {asyncio.run(run())}\n")
    return 0


async def _examine() -> list[Check]:
    try:
        settings = load(log_level="error")
    except TidegateError as exc:
        return [Check("settings", State.FAIL, str(exc))]
    observe(settings)  # what the engine logs goes to stderr: stdout is for the checks
    server = running(settings)
    # Not last: a thread of the artifact store that still hands its answer over would abort the end of the process.
    artifacts = await _checked("artifacts", lambda: _artifacts(settings))
    return [
        _settings(settings),
        await _checked("jobs", lambda: _jobs(settings)),
        await _checked("engine", lambda: _engine(settings, server)),
        artifacts,
        await _checked("server", lambda: _server(settings, server)),
    ]


def _settings(settings: Settings) -> Check:
    strange = unknown()
    detail = "; ".join([f"data in {settings.data_dir.absolute()}", *strange])
    return Check("settings", State.WARN if strange else State.OK, detail)


async def _checked(name: str, look: Callable[[], Awaitable[tuple[State, str]]]) -> Check:
    try:
        return Check(name, *await look())
    except TidegateError as exc:
        return Check(name, State.FAIL, str(exc))


async def _jobs(settings: Settings) -> tuple[State, str]:
    """The application's job types, and which of them no worker runs that has these settings."""
    from tidegate.cli.serving import loaded

    whose = f"of {settings.app}" if settings.app else "built in"
    try:
        registry = loaded(settings, Emitter()).registry
    except TidegateError:
        raise
    except Exception as exc:  # an application that is imported may raise anything
        return State.FAIL, f"application {settings.app!r} can't be loaded: {type(exc).__name__}"
    found = f"{len(registry.names)} job types {whose}"
    left_out = registry.outside(settings.queues)
    if not left_out:
        return State.OK, found
    told = "; ".join(f"queue {queue} ({', '.join(types)})" for queue, types in left_out.items())
    return State.WARN, f"{found}; a worker with this TIDEGATE_QUEUES does not serve {told}"


async def _engine(settings: Settings, server: Running | None) -> tuple[State, str]:
    file = missing(settings)
    if file is not None:
        return State.OK, f"no store yet: the first start makes {file}"
    where = shown(settings.engine_url)
    if settings.engine:
        where = f"{where}, by {settings.engine_from}"
    try:
        async with open_engine(settings.engine_url) as engine:
            health = await engine.check()
    except StoreOwned:
        if server is None:
            raise
        return State.OK, f"{where}: an embedded store, in use by the running server"
    found = f"{where}: {health.engine} {health.version}, durability {health.durability}, schema {health.schema}"
    if health.durability in ("none", "interval"):
        return State.WARN, f"{found}; accepted jobs may be lost when its machine fails"
    return State.OK, found


async def _artifacts(settings: Settings) -> tuple[State, str]:
    kept = artifact_settings(settings)
    match place(kept.url):
        case Folder(path) if not path.exists():
            return State.OK, f"no folder yet: the first start makes {path}"
        case _:
            await open_artifacts(kept).check()
            return State.OK, kept.url


async def _server(settings: Settings, server: Running | None) -> tuple[State, str]:
    named = os.environ.get("TIDEGATE_URL")
    if named:
        return await _answers(named)
    if server is None:
        return State.OK, "not running"
    if server.elsewhere(settings):
        return State.WARN, f"running at {server.url}, on another store: {server.store}"
    return State.OK, f"running at {server.url}"


async def _answers(url: str) -> tuple[State, str]:
    try:
        async with httpx2.AsyncClient(base_url=url, timeout=5) as http:
            status = (await http.get("/health")).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        return State.FAIL, f"TIDEGATE_URL can't be reached ({type(exc).__name__})"
    if status != 200:
        return State.FAIL, f"what answers at TIDEGATE_URL is no Tidegate, or not well (status {status})"
    return State.OK, "TIDEGATE_URL answers"
