"""The webhooks of a user, and what was delivered to them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Unpack

from tidegate.core.idempotency import check_key
from tidegate.core.text import listed
from tidegate.sdk.asking import ask, fetch
from tidegate.sdk.listing import pages
from tidegate.sdk.options import WebhookOptions
from tidegate.sdk.requests import Page, by_id, change, get, known
from tidegate.sdk.resources import Call, Each, J, L, Resource
from tidegate.sdk.submitting import accepted, new_key
from tidegate.sdk.values import JobItem

ENDS = ("succeeded", "failed", "cancelled")
"""What a webhook may hear of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookInfo:
    """A webhook, and whether it works: `failing_since` is when the first delivery failed since one succeeded."""

    id: str
    user_id: str
    url: str
    events: list[str]
    types: list[str]
    description: str
    upstream: str
    created_at: datetime
    disabled: bool
    disabled_at: datetime | None
    disabled_why: str
    failing_since: datetime | None
    former_secret_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook(WebhookInfo):
    """A webhook with a new secret to verify by; what is printed of this does not hold it.

    It is told for ten minutes to who asks again under the same key, and is "" after that.
    """

    secret: str = field(default="", repr=False)


class Webhooks(Resource[L, J]):
    """What `client.webhooks` does."""

    @Call
    async def list(self) -> list[WebhookInfo]:
        """All of them, oldest first."""
        return (await fetch(self._means, get("/webhooks"), Page[WebhookInfo])).items

    @Call
    async def create(
        self,
        url: str,
        events: Sequence[str] = ENDS,
        *,
        types: Sequence[str] = (),
        description: str = "",
        idempotency_key: str | None = None,
    ) -> NewWebhook:
        """Be told at `url` when jobs end: of those `events`, and of those job types, or of all.

        The same key gives the same webhook; without one it gets one of its own. Raises IdempotencyConflict.
        """
        key = check_key(new_key() if idempotency_key is None else idempotency_key)
        heard = {"events": listed("events", events), "types": listed("types", types)}
        body = change("POST", "/webhooks", {"url": url, **heard, "description": description}, repeatable=True)
        asked = replace(body, headers={**body.headers, "Idempotency-Key": key}, key=key)
        return await fetch(self._means, asked, NewWebhook)

    @Call
    async def show(self, webhook_id: str) -> WebhookInfo:
        """One of them; raises InvalidInput for one that is not known."""
        return await fetch(self._means, get(by_id("webhook", webhook_id)), WebhookInfo)

    @Call
    async def change(self, webhook_id: str, **options: Unpack[WebhookOptions]) -> WebhookInfo:
        """Change it; what is not given stays. Enabled again, it counts as never having failed."""
        listed("events", options.get("events") or ())
        listed("types", options.get("types") or ())
        asked = change("PATCH", by_id("webhook", webhook_id), {**options}, repeatable=True)
        return await fetch(self._means, asked, WebhookInfo)

    @Call
    async def delete(self, webhook_id: str) -> None:
        """Delete it: what waits to be delivered is cancelled."""
        await ask(self._means, change("DELETE", by_id("webhook", webhook_id)))

    @Call
    async def rotate(self, webhook_id: str) -> NewWebhook:
        """Give it a new secret; for a day the one before signs too."""
        return await fetch(self._means, change("POST", f"{by_id('webhook', webhook_id)}/rotate"), NewWebhook)

    @Call
    async def test(self, webhook_id: str) -> J:
        """Send it a test event, also where it is disabled; the job that does."""
        made = await accepted(self._means, change("POST", f"{by_id('webhook', webhook_id)}/test"))
        return self._side.job(made.job_id, created=made.created)

    @Each
    async def deliveries(self, webhook_id: str) -> AsyncGenerator[JobItem, None]:
        """The jobs that deliver to it, newest first, read page by page."""
        async for job in pages(self._means, f"{by_id('webhook', webhook_id)}/deliveries"):
            yield job

    @Call
    async def replay(self, webhook_id: str, job_id: str) -> J:
        """Deliver once more what that delivery was to deliver; the job that does. Raises IllegalTransition, Refused."""
        path = f"{by_id('webhook', webhook_id)}/deliveries/{known(job_id)}/replay"
        made = await accepted(self._means, change("POST", path))
        return self._side.job(made.job_id, created=made.created)
