"""API keys and sessions: kept in the store, known in this process for some seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeVar

import msgspec

from tidegate.clock import Clock, chance, token
from tidegate.core.access import ID_BYTES, KEY_BYTES, ApiKey, Role, Session, digest_of, id_of, key_text
from tidegate.core.verbs import Document, Swap
from tidegate.errors import EngineUnavailable
from tidegate.ports import Documents

KEYS: Final = "key"
SESSIONS: Final = "session"

KNOWN_FOR: Final = timedelta(seconds=5)
"""How long a key that was revoked elsewhere is still taken here: for so long no request asks the store."""

SESSION_LASTS: Final = timedelta(hours=12)
ROTATION: Final = timedelta(hours=24)
"""How long a key that was rotated is still taken: whoever holds it must be given the new one."""

STRANGERS: Final = 20
"""Keys that the store is asked for one by one between two times that all are read: whoever guesses costs no more."""

_PAGE: Final = 200

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A key that shall be made."""

    name: str
    role: Role
    user_id: str | None = None
    lasts: timedelta | None = None


class KeyRing:
    """One process's knowledge of keys. Every method may raise EngineUnavailable; of `find` only the first one does."""

    def __init__(self, store: Callable[[], Documents], clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._sessions: dict[str, tuple[float, Session | None]] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._locked = False
        self._changes = 0
        self._strangers = 0

    async def locked(self) -> bool:
        """Whether there was any key, be it one that can't be read: from then on whoever asks must show one."""
        await self._refresh()
        return self._locked

    async def find(self, text: str) -> ApiKey | None:
        """The key that this text is; None for what opens nothing."""
        key_id = id_of(text)
        if key_id is None:
            return None
        await self._refresh()
        digest, now = digest_of(text), self._clock.now()
        known = self._keys.get(key_id)
        if (known is None or not known.opens(digest, now)) and self._strangers < STRANGERS:
            self._strangers += 1
            known = await self._load(key_id)  # it may have been made or rotated elsewhere just now
        return known if known is not None and known.opens(digest, now) else None

    async def holds(self, key_id: str) -> bool:
        """Whether the key with that id is one still; what was known of it before the store went away holds."""
        await self._refresh()
        key = self._keys.get(key_id)
        return key is not None and (key.expires_at is None or key.expires_at > self._clock.now())

    async def all(self) -> list[ApiKey]:
        """Every key, by id, as the store has them now."""
        async with self._reading:
            await self._read_all()
        return [self._keys[key_id] for key_id in sorted(self._keys)]

    async def get(self, key_id: str) -> ApiKey | None:
        """The key with that id, as the store has it now."""
        return await self._load(key_id)

    async def make(self, wish: Wish) -> tuple[ApiKey, str]:
        """A new key, and its text, which nobody can find out ever again."""
        text, now = key_text(chance(ID_BYTES + KEY_BYTES)), self._clock.now()
        key = ApiKey(
            id=id_of(text) or "",
            name=wish.name,
            role=wish.role,
            digest=digest_of(text),
            created_at=now,
            user_id=wish.user_id,
            expires_at=None if wish.lasts is None else now + wish.lasts,
        )
        await self._write(KEYS, key.id, lambda _: key, ApiKey)
        self._know(key.id, key)
        return key, text

    async def rotate(self, key_id: str) -> tuple[ApiKey, str] | None:
        """The same key with a new text; the former one is taken for a day more. None for an unknown one."""
        fresh = key_text(chance(ID_BYTES + KEY_BYTES))
        text = f"tg_{key_id}_{fresh.split('_', 2)[2]}"

        def rotated(key: ApiKey | None) -> ApiKey | None:
            former_until = self._clock.now() + ROTATION
            return key and replace(key, digest=digest_of(text), former=key.digest, former_until=former_until)

        key = await self._write(KEYS, key_id, rotated, ApiKey)
        if key is None:
            return None
        self._know(key_id, key)
        return key, text

    async def revoke(self, key_id: str) -> bool:
        """Take a key away; False for an unknown one. Others take it for `KNOWN_FOR` more."""
        known = await self._load(key_id)
        await self._write(KEYS, key_id, lambda _: None, ApiKey)
        self._know(key_id, None)
        return known is not None

    # sessions -------------------------------------------------------------------------------------------------

    async def begin(self, key: ApiKey) -> tuple[str, Session]:
        """A session for who showed this key, and its token. Sessions that are over are cleared away."""
        now = self._clock.now()
        async for document in self._documents(SESSIONS):
            session = _read(document, Session)
            if session is not None and session.expires_at <= now:
                await self._write(SESSIONS, document.key, lambda _: None, Session)
        text = f"{token()}{token()}"
        session = Session(key_id=key.id, expires_at=now + SESSION_LASTS)
        await self._write(SESSIONS, digest_of(text), lambda _: session, Session)
        return text, session

    async def session(self, text: str) -> ApiKey | None:
        """The key of the session with this token; None where it is over, or its key is gone."""
        digest, now = digest_of(text), self._clock.now()
        read_at, session = self._sessions.get(digest, (float("-inf"), None))
        if self._clock.monotonic() - read_at > KNOWN_FOR.total_seconds():
            [document] = await self._store().load(SESSIONS, [digest])
            session = _read(document, Session)
            self._sessions = {digest: (self._clock.monotonic(), session), **self._fresh()}
        if session is None or session.expires_at <= now:
            return None
        return self._keys.get(session.key_id) if await self.holds(session.key_id) else None

    async def end(self, text: str) -> None:
        """The session with this token is over."""
        digest = digest_of(text)
        await self._write(SESSIONS, digest, lambda _: None, Session)
        self._sessions.pop(digest, None)

    def _fresh(self) -> dict[str, tuple[float, Session | None]]:
        after = self._clock.monotonic() - KNOWN_FOR.total_seconds()
        return {digest: known for digest, known in self._sessions.items() if known[0] > after}

    # the store ------------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        """Read all keys, where that is long ago. While the store is away, those read before hold."""
        if self._clock.monotonic() - self._read_at <= KNOWN_FOR.total_seconds():
            return
        async with self._reading:
            if self._clock.monotonic() - self._read_at <= KNOWN_FOR.total_seconds():
                return
            try:
                await self._read_all()
            except EngineUnavailable:
                if self._read_at == float("-inf"):
                    raise
                self._read_at = self._clock.monotonic()

    async def _read_all(self) -> None:
        """Read all keys; what this process changed meanwhile is not forgotten again."""
        while True:
            changes = self._changes
            found = {document.key: _read(document, ApiKey) async for document in self._documents(KEYS)}
            if changes == self._changes:
                break
        self._keys = {key_id: key for key_id, key in found.items() if key is not None}
        self._locked = self._locked or bool(found)
        self._strangers, self._read_at = 0, self._clock.monotonic()

    def _know(self, key_id: str, key: ApiKey | None) -> None:
        """A key as it is now; None where it is gone."""
        self._changes += 1
        self._keys.pop(key_id, None)
        if key is not None:
            self._keys[key_id], self._locked = key, True

    async def _load(self, key_id: str) -> ApiKey | None:
        changes = self._changes
        [document] = await self._store().load(KEYS, [key_id])
        key = _read(document, ApiKey)
        if changes == self._changes and self._keys.get(key_id) != key:  # else it was revoked here meanwhile, perhaps
            self._know(key_id, key)
        return key

    async def _documents(self, kind: str) -> AsyncIterator[Document]:
        after = ""
        while page := await self._store().scan(kind, after, _PAGE):
            for document in page:
                yield document
            after = page[-1].key

    async def _write(
        self, kind: str, key: str, change: Callable[[Value | None], Value | None], of: type[Value]
    ) -> Value | None:
        """Swap until one wins; what is stored then."""
        [document] = await self._store().load(kind, [key])
        while True:
            value = change(_read(document, of))
            if value is None and document.value is None:
                return None
            encoded = None if value is None else msgspec.json.encode(value)
            swap = Swap(kind=kind, key=key, value=encoded, expected=document.version, nonce=token())
            swapped = await self._store().swap(swap)
            if swapped.won:
                return value
            document = swapped.document


def _read(document: Document, of: type[Value]) -> Value | None:
    """What a document holds; what can't be read opens nothing."""
    if document.value is None:
        return None
    try:
        return msgspec.json.decode(document.value, type=of)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
