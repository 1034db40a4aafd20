"""Who may do what over HTTP: roles, API keys and sessions as values. A key itself is never kept, only its digest."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tidegate.errors import Refused

KEY_BYTES: Final = 32
"""Of chance in a key: it can't be guessed, so a plain hash keeps it (a slow one is for passwords)."""

ID_BYTES: Final = 5

SESSION_BYTES: Final = 16
"""Of chance in a session's token, beside its mark."""

MOST_FORMERS: Final = 10
"""Former texts of a key that are taken at a time."""

GIVEN: Final = "admin"
"""Stands for the id of the administrators' key that is a setting; no key in the store has an id like it."""

_KEY: Final = re.compile(r"tg_([a-z2-7]{8})_[A-Za-z0-9_-]{43}")
_SESSION: Final = re.compile(rf"(({GIVEN}|[a-z2-7]{{8}})\.[0-9a-f]{{32}})\.([0-9a-f]{{64}})")


class Role(StrEnum):
    """What a caller may do; each may all that those before it may."""

    READER = "reader"  # look
    WRITER = "writer"  # submit jobs, and change one's own
    OPERATOR = "operator"  # everybody's jobs, queues and upstreams
    ADMIN = "admin"  # API keys

    def includes(self, other: "Role") -> bool:
        """Whether this role may all that `other` may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A text that a key had before it was rotated: its digest, and until when it is taken."""

    digest: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is kept of a key. `user_id` is whose it is; None where its holder acts for users by name.

    `formers` are the texts before this one that may still be taken, newest first.
    """

    id: str
    name: str
    role: Role
    digest: str
    created_at: datetime
    user_id: str | None = None
    expires_at: datetime | None = None
    formers: tuple[Former, ...] = ()

    @property
    def former_until(self) -> datetime | None:
        """Until when any former text is taken; None where it has none."""
        return max((former.until for former in self.formers), default=None)

    def digests(self, now: datetime) -> tuple[str, ...]:
        """The digests of the texts that open it now."""
        if self.expires_at is not None and self.expires_at <= now:
            return ()
        return (self.digest, *(former.digest for former in self.formers if now < former.until))

    def opens(self, digest: str, now: datetime) -> bool:
        """Whether a text of that digest is this key, and it still holds."""
        return True in [hmac.compare_digest(known, digest) for known in self.digests(now)]


def rotated(key: ApiKey, digest: str, now: datetime, overlap: timedelta) -> ApiKey:
    """The key with a new text. The one before is taken for `overlap` more, and those before that as they were.

    Raises Refused where too many would be taken at once, and for a key whose time is over.
    """
    if key.expires_at is not None and key.expires_at <= now:
        raise Refused("this key has expired, and a new text would open nothing: make another key")
    held = tuple(former for former in key.formers if now < former.until)
    if len(held) >= MOST_FORMERS:
        raise Refused(f"{MOST_FORMERS} former texts of this key are still taken: make another key, or revoke this one")
    return replace(key, digest=digest, formers=(Former(digest=key.digest, until=now + overlap), *held))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that showed a key; it may what that key may, for as long as the key holds."""

    key_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `user_id` is None where the caller acts for users by name; `name` is the author of what it changes.

    `key_id` is that of the key that was shown, "" where none was asked for; `digest` is that of its text.
    """

    role: Role
    name: str = ""
    user_id: str | None = None
    key_id: str = ""
    digest: str = ""


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


def session_text(key_id: str, digest: str, chance: bytes) -> str:
    """The token of a new session: its key's id, chance, and a mark that is made with the digest of the key's text."""
    body = f"{key_id}.{chance.hex()}"
    return f"{body}.{_mark(body, digest)}"


def session_key(text: str) -> str | None:
    """The id of the key that a session's token is for; None for what is no token."""
    found = _SESSION.fullmatch(text)
    return None if found is None else found[2]


def marked_by(text: str, digests: Iterable[str]) -> str | None:
    """Which of these digests a session's token was marked with; None where it was none of them."""
    found = _SESSION.fullmatch(text)
    if found is None:
        return None
    fitting = [digest for digest in digests if hmac.compare_digest(_mark(found[1], digest), found[3])]
    return fitting[0] if fitting else None


def _mark(body: str, digest: str) -> str:
    return hmac.new(digest.encode(), body.encode(), hashlib.sha256).hexdigest()
