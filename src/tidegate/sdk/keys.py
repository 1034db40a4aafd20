"""The API keys of a server; for admins."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.core.access import Role
from tidegate.sdk.asking import ask, fetch
from tidegate.sdk.requests import Page, by_id, change, get, seconds
from tidegate.sdk.resources import Call, J, L, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """A key, without what opens anything. The text that it had before is taken until `former_until`."""

    id: str
    name: str
    role: Role
    user_id: str | None
    created_at: datetime
    expires_at: datetime | None
    former_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey(KeyInfo):
    """A key, and the only time that its text is told; what is printed of this does not hold it."""

    key: str = field(repr=False)


class Keys(Resource[L, J]):
    """What `client.keys` does."""

    @Call
    async def list(self) -> list[KeyInfo]:
        """All of them, by id."""
        return (await fetch(self._means, get("/keys"), Page[KeyInfo])).items

    @Call
    async def create(
        self, name: str, role: Role | str, *, user_id: str | None = None, expires_in: float | timedelta | None = None
    ) -> NewKey:
        """Make a key of that role, a user's own or nobody's. The first one locks the server.

        Asked for once: who gets no answer looks at the list.
        """
        lasts = None if expires_in is None else seconds(expires_in)
        body = {"name": name, "role": str(role), "user_id": user_id, "expires_in": lasts}
        return await fetch(self._means, change("POST", "/keys", body), NewKey)

    @Call
    async def show(self, key_id: str) -> KeyInfo:
        """One of them; raises InvalidInput for one that is not known."""
        return await fetch(self._means, get(by_id("key", key_id)), KeyInfo)

    @Call
    async def rotate(self, key_id: str) -> NewKey:
        """Give it a new text; the former one is taken for 24 h more."""
        return await fetch(self._means, change("POST", f"{by_id('key', key_id)}/rotate"), NewKey)

    @Call
    async def revoke(self, key_id: str) -> None:
        """Take it away, and the sessions begun with it."""
        await ask(self._means, change("DELETE", by_id("key", key_id)))
