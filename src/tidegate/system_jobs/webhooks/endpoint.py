"""Where events are sent, and which: one document for each webhook."""

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tidegate.core.job import Status
from tidegate.core.rules import WEBHOOK_UPSTREAM

KIND: Final = "webhook"
"""The kind of their documents; a key is the webhook's id."""

ENDS: Final = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
"""What may be heard of."""

OVERLAP: Final = timedelta(hours=24)
"""How long a secret goes on to sign after its rotation."""

MOST_SECRETS: Final = 4
"""Whoever rotates on, meanwhile, gives up the oldest."""

GIVES_UP_AFTER: Final = timedelta(days=5)
"""An endpoint at which everything has failed for so long is disabled."""

LULL: Final = timedelta(days=1)
"""Failures further apart are not one failure that lasts: a delivery is tried more often than that."""

NOTED_EVERY: Final = timedelta(hours=1)
"""How exactly the newest failure is known: not each is worth a write."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What signs; until an instant, once it was rotated. It is in no text that this makes of itself."""

    text: str = field(repr=False)
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One user's webhook. The newest secret comes first. Of `types`, none means all.

    `asked` is the fingerprint of the request that made it, where that had an idempotency key.
    `failing_since` is when the first delivery failed since one succeeded, or since a lull; `failed_at` is about when
    the newest did.
    """

    id: str
    user_id: str
    url: str = field(repr=False)
    secrets: tuple[Secret, ...]
    created_at: datetime
    events: tuple[Status, ...] = ENDS
    types: tuple[str, ...] = ()
    description: str = ""
    disabled_at: datetime | None = None
    disabled_why: str = ""
    failing_since: datetime | None = None
    failed_at: datetime | None = None
    asked: str = ""

    @property
    def upstream(self) -> str:
        """The upstream of its deliveries: its own, so that nobody else waits for a receiver that is down."""
        return f"{WEBHOOK_UPSTREAM}{self.id}"

    @property
    def tag(self) -> str:
        """The tag of its deliveries."""
        return f"webhook:{self.id}"

    def wants(self, job_type: str, status: Status) -> bool:
        """Whether it is to hear that a job of that type ended so."""
        return self.disabled_at is None and status in self.events and (not self.types or job_type in self.types)

    def signers(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign now."""
        return tuple(secret.text for secret in self.secrets if secret.until is None or now < secret.until)


def rotated(endpoint: Endpoint, secret: str, now: datetime) -> Endpoint:
    """With a new secret; those before sign on for a day."""
    former = [Secret(text=one.text, until=one.until or now + OVERLAP) for one in endpoint.secrets]
    kept = [one for one in former if one.until is not None and now < one.until]
    return replace(endpoint, secrets=(Secret(text=secret), *kept[: MOST_SECRETS - 1]))


def enabled(endpoint: Endpoint) -> Endpoint:
    """In use again, as if nothing had failed."""
    return replace(endpoint, disabled_at=None, disabled_why="", failing_since=None, failed_at=None)


def disabled(endpoint: Endpoint, why: str, now: datetime) -> Endpoint:
    """Out of use, unless it is so already."""
    return endpoint if endpoint.disabled_at else replace(endpoint, disabled_at=now, disabled_why=why)


def failed(endpoint: Endpoint, now: datetime) -> Endpoint:
    """After a delivery that failed; disabled where that has gone on for long."""
    if endpoint.failing_since is None or endpoint.failed_at is None or now - endpoint.failed_at > LULL:
        return replace(endpoint, failing_since=now, failed_at=now)
    if now - endpoint.failing_since >= GIVES_UP_AFTER:
        return disabled(endpoint, f"every delivery has failed for {GIVES_UP_AFTER.days} days", now)
    return endpoint if now - endpoint.failed_at < NOTED_EVERY else replace(endpoint, failed_at=now)


def delivered(endpoint: Endpoint) -> Endpoint:
    """After a delivery that succeeded."""
    return replace(endpoint, failing_since=None, failed_at=None)


_decoder = msgspec.json.Decoder(Endpoint)


def encode(endpoint: Endpoint) -> bytes:
    """The value of its document."""
    return msgspec.json.encode(endpoint)


def decode(key: str, value: bytes | None) -> Endpoint | None:
    """What `encode` wrote; None where it was deleted, and for what can't be read."""
    if value is None:
        return None
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        _log.error("the document of webhook %s can't be read: %s", key, type(exc).__name__)
        return None
