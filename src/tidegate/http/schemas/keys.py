"""The wire of API keys and sessions."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from tidegate.core.access import Role
from tidegate.http.face import EVERYBODY, USER_PATTERN
from tidegate.http.schemas.base import Sent, Told
from tidegate.system_jobs import SYSTEM_PREFIX

LONGEST_LIFE = 10 * 366 * 24 * 3600.0


def _somebody(user: str) -> str:
    """Refuse names that nobody may ask under: a key of theirs could do nothing."""
    if user == EVERYBODY:
        raise ValueError(
            f"`{EVERYBODY}` is everybody, and no user: leave it out for a key that acts for users it names"
        )
    if user.startswith(SYSTEM_PREFIX):
        raise ValueError(f"no user's name begins with {SYSTEM_PREFIX}: those are Tidegate's own")
    return user


KeyName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[ -~]+$")]


class KeyCreate(Sent):
    """A key to make. Without `user_id` its holder acts for the users it names in `X-User-ID`."""

    name: KeyName = Field(description="Who holds it; shown as the author of what it changes.", examples=["billing"])
    role: Annotated[Role, Field(strict=False)] = Field(description="What it may do.", examples=["writer"])
    user_id: Annotated[str, StringConstraints(pattern=USER_PATTERN), AfterValidator(_somebody)] | None = Field(
        None, description="Whose it is: jobs of others are unknown to it, but to operators."
    )
    expires_in: float | None = Field(None, gt=0, le=LONGEST_LIFE, description="Seconds; null: it never ends.")


class KeyItem(Told):
    """A key, without what opens anything. The text of one that was rotated is taken until `former_until`."""

    id: str
    name: str
    role: Role
    user_id: str | None
    created_at: datetime
    expires_at: datetime | None
    former_until: datetime | None


class KeyMade(KeyItem):
    """A key, and the only time that its text is told."""

    key: str


class KeyList(Told):
    """All keys, by id."""

    items: list[KeyItem]


class SessionBegin(Sent):
    """The key that a browser's session is for."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


class SessionItem(Told):
    """Who asks, as the API sees it. `name` is "" and `user_id` null while no key is asked for."""

    role: Role
    name: str
    user_id: str | None
