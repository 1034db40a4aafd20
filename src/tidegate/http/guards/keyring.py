"""API keys and sessions: kept in the store, known in this process for some seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec
from pydantic import SecretStr

from tidegate.clock import Clock, chance, token
from tidegate.core.access import (
    GIVEN,
    ID_BYTES,
    KEY_BYTES,
    SESSION_BYTES,
    ApiKey,
    Role,
    Session,
    digest_of,
    id_of,
    key_text,
    marked_by,
    rotated,
    session_key,
    session_text,
)
from tidegate.core.verbs import Document, Swap
from tidegate.errors import EngineUnavailable
from tidegate.ports import Documents

KEYS: Final = "key"
SESSIONS: Final = "session"

KNOWN_FOR: Final = timedelta(seconds=5)
"""How long a key that was revoked elsewhere is still taken here: for so long no request asks the store."""

READ_WITHIN: Final = 1.0
"""Seconds that requests wait for keys that were read before to be read anew, by a store that may hang."""

SESSION_LASTS: Final = timedelta(hours=12)
ROTATION: Final = timedelta(hours=24)
"""How long a key that was rotated is still taken: whoever holds it must be given the new one."""

STRANGERS: Final = 20
"""Keys that the store is asked for one by one between two times that all are read: whoever guesses costs no more."""

SWEPT: Final = 20
"""Sessions that are looked at whenever one begins, to clear away those that are over."""

_PAGE: Final = 200

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A key that shall be made."""

    name: str
    role: Role
    user_id: str | None = None
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A key, and the digest of that text of its own by which it was shown."""

    key: ApiKey
    digest: str


Fitting = Callable[[ApiKey, datetime], str | None]
"""The digest of that text of a key which something that was shown fits now; None where it fits none."""


class KeyRing:
    """One process's knowledge of keys. Every method may raise EngineUnavailable; of `find` only the first one does."""

    def __init__(
        self, store: Callable[[], Documents], clock: Clock, admin_key: Callable[[], SecretStr | None] = lambda: None
    ) -> None:
        self._admin_key = admin_key
        self._store = store
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._sessions: dict[str, tuple[float, Session | None]] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._rereading: asyncio.Future[EngineUnavailable | None] | None = None
        self._locked = False
        self._changes = 0
        self._strangers = 0
        self._swept = ""

    async def locked(self) -> bool:
        """Whether there was any key, be it one that can't be read: from then on whoever asks must show one."""
        await self._refresh()
        return self._locked

    def known_locked(self) -> bool | None:
        """The same, as far as it is known without a question to the store; None where it must be asked."""
        return None if self._old() else self._locked

    def known(self, text: str) -> Shown | None:
        """The key that this text is, as far as that is known without a question to the store."""
        key_id = id_of(text)
        if key_id is None or self._old():
            return None
        digest = digest_of(text)
        return self._fitting(self._keys.get(key_id), lambda key, now: digest if key.opens(digest, now) else None)

    async def find(self, text: str) -> Shown | None:
        """The key that this text is, the administrators' that is a setting too; None for what opens nothing."""
        key_id, digest = id_of(text), digest_of(text)

        def fits(key: ApiKey, now: datetime) -> str | None:
            return digest if key.opens(digest, now) else None

        given = self._fitting(self._given(), fits)
        return await self._opened(key_id, fits) if given is None and key_id is not None else given

    async def holds(self, key_id: str, digest: str) -> bool:
        """Whether that text of that key is taken still; what was known of it before the store went away holds."""
        await self._refresh()
        key = self._keys.get(key_id)
        return key is not None and key.opens(digest, self._clock.now())

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
        """The same key with a new text; the former one is taken for a day more. None for an unknown one.

        Raises Refused where too many former ones are taken.
        """
        fresh = key_text(chance(ID_BYTES + KEY_BYTES))
        text = f"tg_{key_id}_{fresh.split('_', 2)[2]}"

        def turned(key: ApiKey | None) -> ApiKey | None:
            return key and rotated(key, digest_of(text), self._clock.now(), ROTATION)

        key = await self._write(KEYS, key_id, turned, ApiKey)
        if key is None:
            return None
        self._know(key_id, key)
        return key, text

    async def revoke(self, key_id: str) -> bool:
        """Take a key away; False for an unknown one. Others take it for `KNOWN_FOR` more."""
        known = await self._load(key_id)
        await self._write(KEYS, key_id, lambda _: None, ApiKey, gone=True)
        self._know(key_id, None)
        return known is not None

    # sessions -------------------------------------------------------------------------------------------------

    async def begin(self, shown: Shown) -> tuple[str, Session]:
        """A session for who showed this key, and its token. It ends with that text of the key at the latest."""
        await self._sweep()
        text = session_text(shown.key.id, shown.digest, chance(SESSION_BYTES))
        session = Session(key_id=shown.key.id, expires_at=self._clock.now() + SESSION_LASTS)
        value = msgspec.json.encode(session)
        await self._store().swap(Swap(kind=SESSIONS, key=digest_of(text), value=value, expected=0, nonce=token()))
        return text, session

    async def session(self, text: str) -> Shown | None:
        """The key of the session with this token; None where it is over, or what it was begun with is.

        Only for a token that bears a key's mark the store is asked: nobody can make one up.
        """
        key_id = session_key(text)
        if key_id is None:
            return None

        def fits(key: ApiKey, now: datetime) -> str | None:
            return marked_by(text, key.digests(now))

        shown = self._fitting(self._given(), fits) if key_id == GIVEN else await self._opened(key_id, fits)
        if shown is None:
            return None
        session = await self._session(digest_of(text))
        return shown if session is not None and session.expires_at > self._clock.now() else None

    async def _session(self, digest: str) -> Session | None:
        read_at, session = self._sessions.get(digest, (float("-inf"), None))
        if self._clock.monotonic() - read_at > KNOWN_FOR.total_seconds():
            [document] = await self._store().load(SESSIONS, [digest])
            session = _read(document, Session)
            self._sessions = {digest: (self._clock.monotonic(), session), **self._fresh()}
        return session

    async def _sweep(self) -> None:
        """Clear away sessions that are over: of the next few, so that who begins one waits for no more."""
        page, now = await self._store().scan(SESSIONS, self._swept, SWEPT), self._clock.now()
        self._swept = page[-1].key if len(page) == SWEPT else ""
        for document in page:
            session = _read(document, Session)
            if session is not None and session.expires_at <= now:
                gone = Swap(kind=SESSIONS, key=document.key, value=None, expected=document.version, nonce=token())
                await self._store().swap(gone)

    async def end(self, text: str) -> None:
        """The session with this token is over."""
        digest = digest_of(text)
        await self._write(SESSIONS, digest, lambda _: None, Session, gone=True)
        self._sessions.pop(digest, None)

    def _fresh(self) -> dict[str, tuple[float, Session | None]]:
        after = self._clock.monotonic() - KNOWN_FOR.total_seconds()
        return {digest: known for digest, known in self._sessions.items() if known[0] > after}

    # the store ------------------------------------------------------------------------------------------------

    async def _opened(self, key_id: str, fitting: Fitting) -> Shown | None:
        """The key with that id, if something that was shown fits it, as far as is known, or as the store has it now."""
        await self._refresh()
        found = self._fitting(self._keys.get(key_id), fitting)
        if found is None and self._strangers < STRANGERS:
            self._strangers += 1
            found = self._fitting(await self._load(key_id), fitting)  # it may have been made or rotated elsewhere
        return found

    def _given(self) -> ApiKey | None:
        """The administrators' key that is a setting, as if it were in the store."""
        text = self._admin_key()
        if text is None:
            return None
        digest = digest_of(text.get_secret_value())
        return ApiKey(id=GIVEN, name=GIVEN, role=Role.ADMIN, digest=digest, created_at=self._clock.now())

    def _fitting(self, key: ApiKey | None, fitting: Fitting) -> Shown | None:
        digest = None if key is None else fitting(key, self._clock.now())
        return None if key is None or digest is None else Shown(key, digest)

    async def _refresh(self) -> None:
        """Read all keys, where that is long ago, once for all. While the store is away, those read before hold."""
        if not self._old():
            return
        if self._rereading is None or self._rereading.done():
            self._rereading = asyncio.ensure_future(self._read_again())
        if self._read_at == float("-inf"):
            failed = await asyncio.shield(self._rereading)
            if failed is not None:
                raise EngineUnavailable(str(failed)) from failed
            return
        # It goes on where it takes longer: a slow store is late with what was revoked, and not for ever.
        await asyncio.wait([self._rereading], timeout=READ_WITHIN)
        if self._old():
            self._read_at = self._clock.monotonic()

    async def _read_again(self) -> EngineUnavailable | None:
        try:
            async with self._reading:
                await self._read_all()
        except EngineUnavailable as exc:
            return exc
        return None

    def _old(self) -> bool:
        """Whether the keys have to be read."""
        return self._clock.monotonic() - self._read_at > KNOWN_FOR.total_seconds()

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
        self,
        kind: str,
        key: str,
        change: Callable[[Value | None], Value | None],
        of: type[Value],
        *,
        gone: bool = False,
    ) -> Value | None:
        """Swap until one wins; what is stored then. Only with `gone` may that be nothing, where there was something."""
        [document] = await self._store().load(kind, [key])
        while True:
            value = change(_read(document, of))
            if value is None and (document.value is None or not gone):
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
