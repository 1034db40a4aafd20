"""Who may do what over HTTP: roles, API keys and sessions as values. A key itself is never kept, only its digest."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

KEY_BYTES: Final = 32
"""Of chance in a key: it can't be guessed, so a plain hash keeps it (a slow one is for passwords)."""

ID_BYTES: Final = 5

_KEY: Final = re.compile(r"tg_([a-z2-7]{8})_[A-Za-z0-9_-]{43}")


class Role(StrEnum):
    """What a caller may do; each may all that those before it may."""

    READER = "reader"  # look
    WRITER = "writer"  # submit jobs, and change one's own
    OPERATOR = "operator"  # everybody's jobs, queues and upstreams
    ADMIN = "admin"  # API keys

    def includes(self, other: "Role") -> bool:
        """Whether this role may all that `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is kept of a key. `user_id` is whose it is; None where its holder acts for users by name.

    `former` is the digest that it had before it was rotated, which is taken until `former_until`.
    """

    id: str
    name: str
    role: Role
    digest: str
    created_at: datetime
    user_id: str | None = None
    expires_at: datetime | None = None
    former: str = ""
    former_until: datetime | None = None

    def opens(self, digest: str, now: datetime) -> bool:
        """Whether a text of that digest is this key, and it still holds."""
        if self.expires_at is not None and self.expires_at <= now:
            return False
        if hmac.compare_digest(self.digest, digest):
            return True
        known = bool(self.former) and hmac.compare_digest(self.former, digest)
        return known and self.former_until is not None and now < self.former_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that showed a key; it may what that key may, for as long as the key holds."""

    key_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `user_id` is None where the caller acts for users by name; `name` is the author of what it changes.

    `key_id` is that of the key that was shown; "" where none was asked for.
    """

    role: Role
    name: str = ""
    user_id: str | None = None
    key_id: str = ""


GIVEN: Final = "admin"
"""Stands for the id of the administrators' key that is a setting; no key in the store has an id like it."""

ANYBODY: Final = Caller(role=Role.ADMIN)
"""Whoever asks while there is no key: they say who they are, and are believed."""


def key_text(chance: bytes) -> str:
    """A new key, of `ID_BYTES + KEY_BYTES` random bytes: `tg_<id>_<secret>`."""
    found = base64.b32encode(chance[:ID_BYTES]).decode().lower()
    secret = base64.urlsafe_b64encode(chance[ID_BYTES : ID_BYTES + KEY_BYTES]).decode().rstrip("=")
    return f"tg_{found}_{secret}"


def id_of(text: str) -> str | None:
    """The public part of a key; None for what is none."""
    found = _KEY.fullmatch(text)
    return None if found is None else found[1]


def digest_of(text: str) -> str:
    """What is kept of a key or a session's token."""
    return hashlib.sha256(text.encode()).hexdigest()
