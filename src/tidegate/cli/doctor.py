"""`tidegate doctor` and `tidegate db migrate`: is everything in place?"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

from cyclopts import Parameter

from tidegate.artifacts import open_artifacts
from tidegate.cli import EXIT_FAILED
from tidegate.cli.service import running
from tidegate.config import Settings, load
from tidegate.engines import open_engine
from tidegate.errors import StoreOwned, TidegateError
from tidegate.wiring import artifact_settings

Check = tuple[str, bool, str]


def doctor(*, as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")] = False) -> int:
    """Check settings, engine, artifact store and server; exit code 1 when anything is wrong."""
    checks = asyncio.run(_examine())
    if as_json:
        found = [{"check": name, "ok": ok, "detail": detail} for name, ok, detail in checks]
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for name, ok, detail in checks:
            sys.stdout.write(f"{'ok  ' if ok else 'FAIL'} {name:10} {detail}\n")
    return 0 if all(ok for _, ok, _ in checks) else EXIT_FAILED


def migrate() -> int:
    """Bring the engine's schema up to this release; safe to repeat, and done at every start anyway."""

    async def run() -> str:
        async with open_engine(load().engine_url) as engine:
            return (await engine.check()).schema

    sys.stdout.write(f"the schema is at {asyncio.run(run())}\n")
    return 0


async def _examine() -> list[Check]:
    try:
        settings = load()
    except TidegateError as exc:
        return [("settings", False, str(exc))]
    address = running(settings)
    return [
        ("settings", True, f"data in {settings.data_dir.absolute()}"),
        await _checked("engine", lambda: _engine(settings, address)),
        await _checked("artifacts", lambda: _artifacts(settings)),
        ("server", True, f"running at {address}" if address else "not running"),
    ]


async def _checked(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    try:
        return name, True, await look()
    except TidegateError as exc:
        return name, False, str(exc)


async def _engine(settings: Settings, address: str | None) -> str:
    try:
        async with open_engine(settings.engine_url) as engine:
            health = await engine.check()
    except StoreOwned:
        if address is None:
            raise
        return "an embedded store, in use by the running server"
    return f"{health.engine} {health.version}, durability {health.durability}, schema {health.schema}"


async def _artifacts(settings: Settings) -> str:
    await open_artifacts(artifact_settings(settings)).check()
    return settings.artifacts_url
