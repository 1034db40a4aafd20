"""The composition root: from settings to everything that runs, and the only place that knows concrete classes."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog

from tidegate import clock
from tidegate.artifacts import ArtifactSettings, ArtifactStore, open_artifacts, uploads, warm_up
from tidegate.client import Client, Reach
from tidegate.clock import SystemClock
from tidegate.config import Settings
from tidegate.context import LocalFile
from tidegate.core.ids import uuid7
from tidegate.core.job import JobId
from tidegate.engines import open_engine
from tidegate.errors import ConfigError, EngineUnavailable
from tidegate.handlers import Registry
from tidegate.intake import Intake, IntakeReach
from tidegate.ports import Engine
from tidegate.system_jobs import SYSTEM_QUEUE, SYSTEM_WEIGHT
from tidegate.system_jobs.registering import SystemReach, register
from tidegate.system_jobs.webhooks.egress import Egress, networks
from tidegate.system_jobs.webhooks.service import Reach as WebhookReach
from tidegate.system_jobs.webhooks.service import Webhooks
from tidegate.telemetry.events import Emitter
from tidegate.telemetry.hooks import adopt_uncaught
from tidegate.telemetry.logs import configure, told_at
from tidegate.upstreams import UPSTREAM, Policies, Upstreams, gate_of
from tidegate.upstreams import Reach as Health
from tidegate.worker.identity import identity
from tidegate.worker.reaper import settle_overdue
from tidegate.worker.runtime import Fetch, Runtime, WorkerSettings
from tidegate.worker.worker import Worker

VERSION = version("tidegate")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One process's Tidegate, open: what faces are built on."""

    settings: Settings
    engine: Engine
    artifacts: ArtifactStore
    registry: Registry
    client: Client
    emit: Emitter
    clock: clock.Clock
    runtime: Runtime
    upstreams: Upstreams
    webhooks: Webhooks

    def worker(self) -> Worker:
        """A worker on this system, not started. What it will not run is said in the log."""
        left_out = self.registry.outside(self.runtime.settings.queues)
        if left_out:
            told = "; ".join(f"queue {queue} ({', '.join(types)})" for queue, types in left_out.items())
            _log.warning("this process runs no jobs of types whose queues TIDEGATE_QUEUES leaves out: %s", told)
        return Worker(self.runtime, version=VERSION)


@asynccontextmanager
async def open_system(
    settings: Settings,
    registry: Registry,
    emit: Emitter,
    policies: Policies | None = None,
    declared: frozenset[str] = frozenset(),
) -> AsyncIterator[System]:
    """Open the engine and the artifact store and put a client on them; raises ConfigError or EngineError.

    `declared` are the keys of the schedules that the application's code declares.
    """
    policies = (policies or Policies()).beside(job_type.lane for job_type in registry)
    artifacts = open_artifacts(artifact_settings(settings))
    await warm_up()
    async with (
        open_engine(settings.engine_url) as engine,
        _health(engine, settings, policies, emit) as upstreams,
        _webhooks(settings, engine, upstreams, emit) as webhooks,
    ):
        runtime = Runtime(
            engine=engine,
            upstreams=upstreams,
            registry=registry.copy(),  # the system's own job types are no part of the application's
            artifacts=artifacts,
            fetch=_fetcher(artifacts),
            sweep_uploads=partial(uploads.sweep_uploads, artifacts),
            clock=SystemClock(),
            emit=emit,
            dice=clock.dice,
            nonce=clock.token,
            scratch=settings.data_dir.absolute() / "scratch",
            settings=_worker_settings(settings),
            follow=webhooks.book.follow,
            declared=declared,
        )
        yield _assembled(settings, runtime, artifacts, webhooks)


def _assembled(settings: Settings, runtime: Runtime, artifacts: ArtifactStore, webhooks: Webhooks) -> System:
    """The whole, its registry with the job types of its own."""
    client, engine, emit = Client(_reach(runtime, webhooks)), runtime.engine, runtime.emit
    reach = SystemReach(
        engine=engine,
        client=client,
        clock=runtime.clock,
        emit=emit,
        webhooks=webhooks,
        bulk_of_a_user=settings.limit_bulk_per_user,
    )
    register(runtime.registry, reach)
    return System(
        settings=settings,
        engine=engine,
        artifacts=artifacts,
        registry=runtime.registry,
        client=client,
        emit=emit,
        clock=runtime.clock,
        runtime=runtime,
        upstreams=runtime.upstreams,
        webhooks=webhooks,
    )


@asynccontextmanager
async def _health(engine: Engine, settings: Settings, policies: Policies, emit: Emitter) -> AsyncIterator[Upstreams]:
    """The health of upstreams, kept for as long as this is open."""
    upstreams = Upstreams(
        Health(
            engine=engine,
            clock=SystemClock(),
            emit=emit,
            dice=clock.dice,
            nonce=clock.token,
            owner=identity(clock.token()),
            every=min(settings.poll, timedelta(seconds=1)),
        ),
        policies,
    )
    with suppress(EngineUnavailable):  # it is read again
        await upstreams.keeper.refresh()
        await upstreams.keeper.declare()
    keeping = asyncio.create_task(upstreams.keeper.work(), name="tidegate-upstreams")
    paying = asyncio.create_task(upstreams.budgets.work(), name="tidegate-budgets")
    try:
        yield upstreams
    finally:
        for duty in (keeping, paying):
            duty.cancel()
        await asyncio.gather(keeping, paying, return_exceptions=True)
        await upstreams.budgets.close()


@asynccontextmanager
async def _webhooks(settings: Settings, engine: Engine, upstreams: Upstreams, emit: Emitter) -> AsyncIterator[Webhooks]:
    """Who hears of ends, kept for as long as this is open."""
    try:
        egress = Egress(plain=settings.webhook_http, networks=networks(settings.webhook_networks))
    except ValueError as exc:
        raise ConfigError(f"TIDEGATE_WEBHOOK_NETWORKS: {exc}") from exc
    webhooks = Webhooks(
        WebhookReach(
            engine=engine,
            now=upstreams.now,
            newest=lambda: upstreams.keeper.newest,
            nonce=clock.token,
            chance=clock.chance,
            new_id=new_job_id,
            egress=egress,
            bound=lambda name: upstreams.keeper.bound(gate_of(UPSTREAM, name)),
            emit=emit,
        )
    )
    async with webhooks.kept():
        yield webhooks


def new_job_id() -> JobId:
    """A fresh UUIDv7."""
    return JobId(uuid7(*clock.new_id_parts()))


def observe(settings: Settings) -> Emitter:
    """Set up logs and Sentry for this process, and the emitter that feeds them."""
    emit = Emitter()
    as_json = {"auto": None, "json": True, "console": False}[settings.log_format]
    listener = configure(settings.log_level, sys.stderr, json=as_json)
    adopt_uncaught(lambda event, error: structlog.get_logger().error(event, exc_info=error))
    emit.subscribe(listener, told_at(settings.log_level))
    if settings.sentry_dsn is not None:
        from tidegate.telemetry.sentry import configure_sentry

        dsn = settings.sentry_dsn.get_secret_value()
        emit.subscribe(configure_sentry(dsn, environment=settings.environment, release=VERSION))
    return emit


def _reach(runtime: Runtime, webhooks: Webhooks) -> Reach:
    async def check_file(reference: str, user_id: str) -> None:
        await uploads.resolve(runtime.artifacts, reference, user_id=user_id)

    async def overdue(job_id: JobId) -> bool:
        return await settle_overdue(job_id, runtime)

    intake = IntakeReach(
        engine=runtime.engine,
        registry=runtime.registry,
        clock=runtime.clock,
        emit=runtime.emit,
        new_id=new_job_id,
        check_file=check_file,
    )
    return Reach(
        intake=Intake(intake),
        engine=runtime.engine,
        artifacts=runtime.artifacts,
        clock=runtime.clock,
        emit=runtime.emit,
        nonce=runtime.nonce,
        settle_overdue=overdue,
        cancelled=webhooks.cancelled,
    )


def _fetcher(artifacts: ArtifactStore) -> Fetch:
    async def fetch(reference: str, user_id: str, folder: Path) -> LocalFile:
        upload = await uploads.resolve(artifacts, reference, user_id=user_id)
        path = folder / clock.token()  # never the sender's name
        await artifacts.download(upload.path, path)
        return LocalFile(path=path, name=upload.name, size=upload.size)

    return fetch


def artifact_settings(settings: Settings) -> ArtifactSettings:
    """Where and how artifacts are kept."""
    access, secret = settings.s3_access_key, settings.s3_secret_key
    return ArtifactSettings(
        url=settings.artifacts_url,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=None if access is None else access.get_secret_value(),
        secret_key=None if secret is None else secret.get_secret_value(),
    )


def _worker_settings(settings: Settings) -> WorkerSettings:
    return WorkerSettings(
        queues={SYSTEM_QUEUE: SYSTEM_WEIGHT, **settings.queues},
        slots=settings.slots,
        lease_for=settings.lease,
        renew_every=settings.lease / 3,
        poll=settings.poll,
        grace=settings.grace,
        prune_every=timedelta(seconds=60),
        upload_kept=settings.upload_kept,
        user_per_hour=settings.limit_user_per_hour,
    )
