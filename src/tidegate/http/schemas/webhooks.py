"""The wire of webhooks."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from tidegate.http.requests.parameters import Asked, Number
from tidegate.http.schemas.base import Sent, Told
from tidegate.http.schemas.upstreams import NAME_PATTERN
from tidegate.system_jobs.webhooks.egress import LONGEST_URL

ID_PATTERN: Final = r"^[0-9a-f]{16}$"

LONGEST_DESCRIPTION: Final = 500
MOST_TYPES: Final = 50

EndWord = Literal["succeeded", "failed", "cancelled"]
Url = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]
Words = Annotated[list[EndWord], Field(min_length=1, max_length=3, description="Ends to hear of.")]
Types = Annotated[
    list[Annotated[str, StringConstraints(pattern=NAME_PATTERN)]],
    Field(max_length=MOST_TYPES, description="Hear of jobs of these types only; of all where it is empty."),
]
Description = Annotated[str, StringConstraints(max_length=LONGEST_DESCRIPTION)]


class WebhookCreate(Sent):
    """Where to send what. `https:` only, to public addresses, unless the server was told otherwise."""

    url: Url = Field(examples=["https://example.com/hooks/tidegate"])
    events: Words = Field(["succeeded", "failed", "cancelled"])
    types: Types = Field([])
    description: Description = ""


class WebhookChange(Sent):
    """What to change; what is null or left out stays. Enabled again, a webhook counts as never having failed."""

    url: Url | None = None
    events: Words | None = None
    types: Types | None = None
    description: Description | None = None
    disabled: bool | None = None


class WebhookItem(Told):
    """A webhook. Its deliveries wait in the lane of `upstream`, whose breaker opens while the receiver is down.

    `failing_since` is when the first delivery failed since one succeeded, or since a day without failure.
    `former_secret_until` is how long the secret before the newest goes on to sign.
    """

    id: str
    user_id: str
    url: str
    events: list[EndWord]
    types: list[str]
    description: str
    upstream: str
    created_at: datetime
    disabled: bool
    disabled_at: datetime | None
    disabled_why: str
    failing_since: datetime | None
    former_secret_until: datetime | None


class WebhookWithSecret(WebhookItem):
    """A webhook with a new secret, which is shown this once."""

    secret: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDsQ8y2ZQ0Kb4="])


class WebhookList(Told):
    """Webhooks, oldest first."""

    items: list[WebhookItem]


class DeliveryPage(Asked):
    """Which page of deliveries."""

    limit: Number = Field(50, ge=1, le=200)
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = Field(
        None, description="The `next` of the page before."
    )
