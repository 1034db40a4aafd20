"""`tidegate serve` and `tidegate worker`."""

import asyncio
import importlib
import os
import signal
import sys
from dataclasses import replace
from decimal import Decimal
from typing import Annotated

import structlog
import uvloop
from cyclopts import Parameter

from tidegate.app import Tidegate
from tidegate.cli.variables import unknown
from tidegate.config import Settings, load
from tidegate.core.budget import Budget
from tidegate.core.retry import Exponential
from tidegate.core.rules import LLM, CountRule
from tidegate.engines import open_engine, shown
from tidegate.errors import ConfigError, InvalidInput
from tidegate.jobs import builtin
from tidegate.jobs.models import ModelSettings
from tidegate.telemetry.events import Emitter
from tidegate.wiring import observe

Flag = Annotated[str | None, Parameter()]


def serve(
    app: Annotated[str, Parameter(help="module:attribute of a Tidegate application; empty: the built-in types.")] = "",
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on (TIDEGATE_HOST).")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen on (TIDEGATE_PORT); 0 picks a free one.")] = None,
    worker: Annotated[bool, Parameter(help="Run jobs in this process too.")] = True,
) -> None:
    """Serve the HTTP API, with an embedded worker, until SIGTERM or Ctrl-C."""
    from tidegate.http.server import serve as serve_http

    _check_port("--port", port)
    given = {name: value for name, value in (("app", app), ("host", host), ("port", port)) if value not in ("", None)}
    settings = load(**given)
    served = application(settings)
    if not worker:
        warn_of_own_artifacts(settings)
    uvloop.run(serve_http(served, settings, worker=worker))


def work(
    app: Annotated[str, Parameter(help="module:attribute of a Tidegate application; empty: the built-in types.")] = "",
    *,
    metrics_port: Annotated[
        int | None, Parameter(help="Tell metrics and health there (TIDEGATE_METRICS_PORT); 0 picks a free port.")
    ] = None,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; a second signal gives them back at once."""
    _check_port("--metrics-port", metrics_port)
    given = {name: value for name, value in (("app", app), ("metrics_port", metrics_port)) if value not in ("", None)}
    settings = load(**given)
    served = application(settings)
    warn_of_own_artifacts(settings)
    if settings.metrics_port is None:
        uvloop.run(_work(served))
        return
    from tidegate.http.watching.serving import watch

    uvloop.run(watch(served, settings))


def _check_port(flag: str, port: int | None) -> None:
    """Raise InvalidInput by the flag's name: a setting's would be that of its variable."""
    if port is not None and not 0 <= port <= 65535:
        raise InvalidInput(flag, "0 to 65535")


async def _work(served: Tidegate) -> None:
    loop = asyncio.get_running_loop()
    signals = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        signals[1 if signals[0].is_set() else 0].set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with served.connected():
        worker = served.system.worker()
        await worker.start()
        await signals[0].wait()
        stopping = asyncio.create_task(worker.stop())
        impatient = asyncio.create_task(signals[1].wait())
        await asyncio.wait((stopping, impatient), return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            worker.hurry()
        await stopping
        impatient.cancel()


def application(settings: Settings) -> Tidegate:
    """The application that settings name, with its logs set up, or the one with the built-in job types."""
    emit = observe(settings)
    strange = unknown()
    if strange:
        structlog.get_logger().warning("settings.unknown", found=strange)
    _check_engine(settings)
    return loaded(settings, emit)


def loaded(settings: Settings, emit: Emitter) -> Tidegate:
    """The same, and nothing else is set up or said; raises ConfigError."""
    if not settings.app:
        served = Tidegate(settings, emit=emit)
        models = _models(settings)
        served.policies = builtin.register(
            served.registry, served.policies, timeout=settings.job_timeout, models=models
        )
        return served
    found = load_application(settings.app)
    return found.configured(settings, emit)


def _models(settings: Settings) -> ModelSettings:
    count = CountRule(more_than=settings.llm_circuit_threshold - 1, within=settings.llm_circuit_window)
    shut = settings.llm_circuit_cooldown
    return ModelSettings(
        environment=settings.llm_environment,
        fallback=settings.llm_fallback_model,
        tries=settings.llm_retry_attempts,
        backoff=Exponential(
            initial=settings.retry_initial_delay,
            factor=settings.retry_factor,
            cap=max(settings.retry_max_delay, settings.retry_initial_delay),
        ),
        overall=settings.llm_timeout,
        limit=settings.llm_limit,
        budget=_budget(settings.llm_budget, settings),
        budget_per_user=_budget(settings.llm_budget_per_user, settings),
        prices=settings.llm_prices,
        breaker=replace(LLM, count=count, open_time=replace(LLM.open_time, first=shut, cap=shut)),
    )


def _budget(dollars: Decimal, settings: Settings) -> Budget | None:
    return Budget(dollars, per=settings.llm_budget_window) if dollars else None


def _check_engine(settings: Settings) -> None:
    """Raises ConfigError that names the variable where the engine's URL can't be read."""
    try:
        open_engine(settings.engine_url)  # reads the URL; nothing opens until it is entered
    except ConfigError as exc:
        raise ConfigError(f"{settings.engine_from}: {exc}") from exc


def warn_of_own_artifacts(settings: Settings) -> None:
    """Who serves without a worker, or works without serving, has others elsewhere that need the same files."""
    embedded = shown(settings.engine_url).startswith(("sqlite:", "memory:"))
    if not embedded and not settings.artifacts:
        structlog.get_logger().warning(
            "artifacts.local",
            folder=settings.artifacts_url,
            remedy="processes on other machines don't see these files: set TIDEGATE_ARTIFACTS to a place all share",
        )


def load_application(place: str) -> Tidegate:
    """Import `module:attribute`; raises ConfigError when that is no application."""
    module, _, attribute = place.partition(":")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a console script does not look where it is called
    try:
        found = getattr(importlib.import_module(module), attribute or "app")
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"application {place!r} can't be loaded: {exc}") from exc
    if not isinstance(found, Tidegate):
        raise ConfigError(f"application {place!r} is a {type(found).__name__}, not a Tidegate")
    return found
