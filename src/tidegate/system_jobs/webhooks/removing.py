"""The job that follows the deletion of a webhook: what waits is cancelled, and what failed is no dead letter any more.

A process that has not heard of the deletion yet may make a delivery for some seconds more, so it looks twice. What it
misses even so cancels itself when it runs.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
from pydantic import AwareDatetime, BaseModel

from tidegate.context import Context
from tidegate.core.job import JobId, Lane, NewJob, Phase, Spec, Status
from tidegate.core.query import JobQuery
from tidegate.core.rules import WEBHOOK_UPSTREAM
from tidegate.core.verbs import Swap
from tidegate.errors import Defer, EngineUnavailable
from tidegate.handlers import LONGEST_TIMEOUT, Registry
from tidegate.ports import Engine
from tidegate.system_jobs import SYSTEM_PREFIX, SYSTEM_QUEUE
from tidegate.system_jobs.acting import Actor
from tidegate.system_jobs.scope import PAGE, Action
from tidegate.system_jobs.webhooks import JOB_TYPE
from tidegate.system_jobs.webhooks.endpoint import Endpoint
from tidegate.system_jobs.webhooks.store import Endpoints
from tidegate.telemetry.events import Emitter
from tidegate.upstreams import UPSTREAM

NAME: Final = f"{SYSTEM_PREFIX}webhook-removal"

HEARD_BY_ALL: Final = timedelta(seconds=10)
"""After which every process knows that a webhook is gone; they look every 2 s at news that are 2 s old."""

AGAIN: Final = timedelta(seconds=1)

_DONE: Final = {Action.CANCEL: "cancelled", Action.DISMISS: "dismissed"}


class Removal(BaseModel):
    """Which webhook was deleted, of whom, and when."""

    webhook: str
    user_id: str
    at: AwareDatetime


def removal(endpoint: Endpoint, job_id: JobId, at: datetime) -> NewJob:
    """The job, whose owner is the webhook's."""
    spec = Spec(
        type=NAME,
        user_id=endpoint.user_id,
        lane=Lane(queue=SYSTEM_QUEUE),
        timeout=LONGEST_TIMEOUT,
        retry_on_timeout=True,
    )
    payload = msgspec.json.encode({"webhook": endpoint.id, "user_id": endpoint.user_id, "at": at})
    return NewJob(id=job_id, spec=spec, payload=payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remover:
    """Runs these jobs in one process. `drop` makes the process forget a webhook."""

    engine: Engine
    endpoints: Endpoints
    emit: Emitter
    now: Callable[[], datetime]
    drop: Callable[[str], None]

    def register(self, registry: Registry) -> None:
        """Add the job type."""
        registry.add(NAME, self.remove, {"queue": SYSTEM_QUEUE, "timeout": LONGEST_TIMEOUT, "retry_on_timeout": True})

    async def remove(self, payload: Removal, ctx: Context) -> None:
        """End what waits to be delivered to a deleted webhook."""
        last = self.now() >= payload.at + HEARD_BY_ALL
        try:
            await self.endpoints.remove(payload.webhook)  # where who was asked to delete it died before that
            self.drop(payload.webhook)
            await self._all(payload, Action.CANCEL, ctx)
            await self._all(payload, Action.DISMISS, ctx)
            await self._forget_health(payload, ctx)
        except EngineUnavailable as exc:
            raise Defer("the store is away", after=AGAIN) from exc
        if not last:
            raise Defer("others may not have heard of it yet", after=HEARD_BY_ALL)

    async def _all(self, payload: Removal, action: Action, ctx: Context) -> None:
        """Cancel what has not ended, or dismiss what is a dead letter."""
        actor, met = Actor(engine=self.engine, emit=self.emit), 0
        for query in _deliveries(payload, action):
            async for job_ids in self._found(query):
                await actor.act(action, job_ids, _nonce(ctx, f"{action} {job_ids[0]}"))
                met += len(job_ids)
                ctx.progress(None, f"{met} deliveries {_DONE[action]}")

    async def _found(self, query: JobQuery) -> AsyncIterator[list[JobId]]:
        while True:
            page = await self.engine.find(query)
            if page.jobs:
                yield [job.id for job in page.jobs]
            if page.next is None:
                return
            query = replace(query, after=page.next)

    async def _forget_health(self, payload: Removal, ctx: Context) -> None:
        """Drop what is known of the receiver: else it were listed for ever, and its breaker kept a lane shut."""
        [document] = await self.engine.load(UPSTREAM, [f"{WEBHOOK_UPSTREAM}{payload.webhook}"])
        while document.value is not None:
            nonce = _nonce(ctx, str(document.version))
            gone = Swap(kind=UPSTREAM, key=document.key, value=None, expected=document.version, nonce=nonce)
            document = (await self.engine.swap(gone)).document


def _deliveries(payload: Removal, action: Action) -> list[JobQuery]:
    """Those to that webhook which the action is for."""
    query = JobQuery(type=JOB_TYPE, user_id=payload.user_id, tag=f"webhook:{payload.webhook}", limit=PAGE)
    if action is Action.DISMISS:
        return [replace(query, phase=Phase.DEAD_LETTER)]
    return [replace(query, status=status) for status in (Status.QUEUED, Status.RUNNING)]


def _nonce(ctx: Context, what: str) -> str:
    """The same for the same thing within one run."""
    return hashlib.sha256(f"{ctx.job_id} {ctx.run} {what}".encode()).hexdigest()[:32]
