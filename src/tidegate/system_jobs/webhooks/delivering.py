"""The job that delivers: a job like any other, in a lane of its webhook's own.

A receiver that is down or busy is an upstream's fault: its breaker opens, its lane waits, and no attempt is used. What
it refuses is a failed attempt. Its secret is read for each run, and never part of the job.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import msgspec
from pydantic import BaseModel

from tidegate.context import Context
from tidegate.core.job import JobId
from tidegate.errors import Defer, EngineError, EngineUnavailable, GiveUp, WebhookError
from tidegate.handlers import Registry
from tidegate.system_jobs import SYSTEM_QUEUE
from tidegate.system_jobs.webhooks import JOB_TYPE
from tidegate.system_jobs.webhooks.book import Book
from tidegate.system_jobs.webhooks.endpoint import Endpoint, delivered, disabled, failed
from tidegate.system_jobs.webhooks.notices import TEST
from tidegate.system_jobs.webhooks.signing import headers
from tidegate.system_jobs.webhooks.store import Change, Endpoints

REFUSED: Final = "webhook_refused"  # the receiver took it for wrong
GONE: Final = "webhook_gone"  # its receiver wants no more
DISABLED: Final = "webhook_disabled"

_SENDABLE: Final = re.compile(r"[!-~]{1,128}")

STORE_PAUSE: Final = timedelta(seconds=5)


class Delivery(BaseModel):
    """What a delivery is given: to which webhook, under which id, what."""

    webhook: str
    message: str
    event: dict[str, object]


class Post(Protocol):
    """What sends: see `sending.Sender.post`."""

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer; raises WebhookError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverer:
    """Runs the deliveries of one process. `bound` has an upstream's limit hold; `cancel` ends a job as cancelled."""

    endpoints: Endpoints
    book: Book
    now: Callable[[], datetime]
    post: Post
    bound: Callable[[str], Awaitable[None]]
    cancel: Callable[[JobId], Awaitable[None]]

    def register(self, registry: Registry) -> None:
        """Add the job type."""
        registry.add(JOB_TYPE, self.deliver, {"queue": SYSTEM_QUEUE})

    async def deliver(self, payload: Delivery, ctx: Context) -> None:
        """Send an event to a webhook."""
        endpoint = await self._endpoint(payload, ctx)
        if endpoint is None:
            return  # it is cancelled, whatever this run comes to
        try:
            await self._send(endpoint, payload, ctx)
        except WebhookError as exc:
            why = "its receiver answered 410 Gone" if exc.code == GONE else None
            change = partial(failed, now=self.now()) if why is None else partial(disabled, why=why, now=self.now())
            await self._change(endpoint, change, ctx)
            raise
        await self._change(endpoint, delivered, ctx)

    async def _endpoint(self, payload: Delivery, ctx: Context) -> Endpoint | None:
        """The webhook; None where it was deleted, and the delivery is cancelled."""
        try:
            endpoint = await self.endpoints.get(payload.webhook)
            await (self.cancel(JobId(ctx.job_id)) if endpoint is None else self.bound(endpoint.upstream))
        except EngineUnavailable as exc:
            raise Defer("the store is away", after=STORE_PAUSE) from exc
        if endpoint is not None and endpoint.disabled_at is not None and payload.event.get("type") != TEST:
            raise GiveUp(f"the webhook is disabled: {endpoint.disabled_why}", code=DISABLED)
        return endpoint

    async def _send(self, endpoint: Endpoint, payload: Delivery, ctx: Context) -> None:
        body, now = msgspec.json.encode(payload.event), self.now()
        signed = headers(payload.message, now, body, endpoint.signers(now)) | _cause(ctx)
        async with ctx.upstream(endpoint.upstream):  # whatever status gets out of here, the receiver is well
            status = await self.post(endpoint.url, signed, body)
        if status == 410:
            raise WebhookError("the receiver answered 410: it wants no more", code=GONE, transient=False)
        if not 200 <= status < 300:
            raise WebhookError(f"the receiver answered {status}", code=REFUSED)

    async def _change(self, before: Endpoint, change: Change, ctx: Context) -> None:
        """Note how it went, where that is news; what can't be noted now is at the next delivery."""
        if change(before) == before:
            return
        try:
            after = await self.endpoints.change(before.id, change)
        except EngineError:
            return
        if after is None:
            return
        self.book.adopt(after)
        if after.disabled_at is not None and before.disabled_at is None:
            ctx.log.warning("webhook.disabled", webhook_id=after.id, why=after.disabled_why)


def _cause(ctx: Context) -> dict[str, str]:
    """The headers that tie a message to the call that asked for the job; the library's callers may write anything."""
    told = {"X-Request-ID": ctx.request_id, "traceparent": ctx.traceparent}
    return {name: value for name, value in told.items() if _SENDABLE.fullmatch(value)}
