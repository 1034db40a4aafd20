"""What a process knows of keys: it never opens by mistake, forgets nothing it did, and who guesses costs little."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.http.handlers import application
from tests.http.reach import plain_settings
from tidegate.clock import FakeClock
from tidegate.core.access import GIVEN, Role, digest_of, session_text
from tidegate.core.verbs import Document, Swap, Swapped, Take, Taken
from tidegate.errors import EngineUnavailable
from tidegate.http.guards import keyring
from tidegate.http.guards.keyring import (
    KEYS,
    KNOWN_FOR,
    ROTATION,
    SESSION_LASTS,
    SESSIONS,
    STRANGERS,
    SWEPT,
    KeyRing,
    Shown,
    Wish,
)
from tidegate.ports import Documents

LATER = KNOWN_FOR + timedelta(seconds=1)


class Store:
    """The documents of a store that can be away, can be slow to list, and counts what it is asked for one by one."""

    def __init__(self, inner: Documents) -> None:
        self._inner = inner
        self.away = False
        self.loads = 0
        self.pages = list[int]()
        self.listing = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def load(self, kind: str, keys: Sequence[str]) -> list[Document]:
        self._check()
        self.loads += 1
        return await self._inner.load(kind, keys)

    async def swap(self, swap: Swap) -> Swapped:
        self._check()
        return await self._inner.swap(swap)

    async def scan(self, kind: str, after: str = "", limit: int = 200) -> list[Document]:
        self._check()
        page = await self._inner.scan(kind, after, limit)
        self.pages.append(limit)
        self.listing.set()
        await self.go_on.wait()
        return page

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        return await self._inner.take(takes, nonce)

    async def give_back(self, nonce: str) -> None:
        await self._inner.give_back(nonce)

    def _check(self) -> None:
        if self.away:
            raise EngineUnavailable("away")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    app = application(plain_settings(tmp_path))
    async with app.connected():
        yield Store(app.system.engine)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def _ring(store: Store, clock: FakeClock) -> KeyRing:
    """What one process knows."""
    return KeyRing(lambda: store, clock)


WISH = Wish(name="a", role=Role.ADMIN)


async def test_while_nobody_knows_whether_there_are_keys_nothing_is_open(store: Store, clock: FakeClock) -> None:
    store.away = True
    with pytest.raises(EngineUnavailable):
        await _ring(store, clock).locked()


async def test_whoever_asks_while_the_first_read_hangs_shares_it_and_how_it_fails(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, asked, fails = _ring(store, clock), list[str](), asyncio.Event()

    async def hangs(_: Store, kind: str, after: str = "", limit: int = 200) -> list[Document]:
        asked.append(kind)
        await fails.wait()
        raise EngineUnavailable("frozen")

    monkeypatch.setattr(Store, "scan", hangs)
    waiting = [asyncio.create_task(ring.locked()) for _ in range(5)]
    await asyncio.sleep(0.05)
    fails.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [EngineUnavailable] * 5
    assert asked == [KEYS]


async def test_a_key_that_cannot_be_read_locks_all_the_same(store: Store, clock: FakeClock) -> None:
    await store.swap(Swap(kind=KEYS, key="aaaaaaaa", value=b'{"role":"a later one"}', expected=0, nonce="n"))
    assert await _ring(store, clock).locked()


async def test_what_was_locked_stays_locked_when_its_last_key_is_revoked(store: Store, clock: FakeClock) -> None:
    here, there = _ring(store, clock), _ring(store, clock)
    key, text = await here.make(WISH)
    assert await there.locked()
    assert await here.revoke(key.id)
    clock.advance(LATER)
    assert await here.find(text) is None
    assert await there.find(text) is None
    assert await here.locked()
    assert await there.locked()


async def test_a_key_rotated_elsewhere_opens_here_at_once(store: Store, clock: FakeClock) -> None:
    here, there = _ring(store, clock), _ring(store, clock)
    key, _ = await there.make(WISH)
    assert await here.locked()
    rotated = await there.rotate(key.id)
    assert rotated is not None
    assert await here.find(rotated[1]) is not None


async def test_who_guesses_keys_does_not_make_us_ask_the_store_each_time(store: Store, clock: FakeClock) -> None:
    ring = _ring(store, clock)
    _, text = await ring.make(WISH)
    assert await ring.locked()
    store.loads = 0
    for number in range(STRANGERS * 3):
        assert await ring.find(f"tg_{'a' * 6}{chr(97 + number % 26)}{chr(97 + number // 26)}_{'x' * 43}") is None
    assert store.loads == STRANGERS
    assert await ring.find(text) is not None


async def test_a_list_that_was_read_meanwhile_does_not_bring_a_revoked_key_back(store: Store, clock: FakeClock) -> None:
    ring = _ring(store, clock)
    key, text = await ring.make(WISH)
    assert await ring.find(text) is not None
    clock.advance(LATER)
    store.listing.clear()
    store.go_on.clear()
    asking = asyncio.create_task(ring.find(text))
    await store.listing.wait()
    assert await ring.revoke(key.id)
    store.go_on.set()
    assert await asking is None
    assert await ring.find(text) is None


async def test_a_list_that_the_store_could_not_give_makes_known_keys_no_strangers(
    store: Store, clock: FakeClock
) -> None:
    ring = _ring(store, clock)
    _, text = await ring.make(WISH)
    assert await ring.locked()
    store.away = True
    with pytest.raises(EngineUnavailable):
        await ring.all()
    clock.advance(LATER)
    assert await ring.find(text) is not None


async def test_a_store_that_hangs_keeps_nobody_waiting_and_what_it_says_late_is_heard(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = _ring(store, clock), _ring(store, clock)
    key, text = await there.make(WISH)
    assert await here.find(text) is not None
    assert await there.revoke(key.id)
    monkeypatch.setattr(keyring, "READ_WITHIN", 0.02)
    clock.advance(LATER)
    store.go_on.clear()
    async with asyncio.timeout(5):
        assert await here.find(text) is not None  # as while the store is away
    store.go_on.set()
    for _ in range(1_000):
        if await here.find(text) is None:
            break
        await asyncio.sleep(0.001)
    else:
        pytest.fail("what was read late was forgotten")


async def test_every_text_of_a_key_rotated_twice_opens_until_its_own_end(store: Store, clock: FakeClock) -> None:
    here, there = _ring(store, clock), _ring(store, clock)
    key, first = await here.make(WISH)
    texts = [first]
    for _ in range(2):
        clock.advance(timedelta(hours=1))
        rotated = await here.rotate(key.id)
        assert rotated is not None
        texts.append(rotated[1])
    for ring in (here, there):
        assert [await ring.find(text) is not None for text in texts] == [True, True, True]
    clock.advance(ROTATION - timedelta(hours=1))
    for ring in (here, there):
        assert [await ring.find(text) is not None for text in texts] == [False, True, True]
    clock.advance(timedelta(hours=1))
    for ring in (here, there):
        assert [await ring.find(text) is not None for text in texts] == [False, False, True]


async def test_a_key_that_this_release_can_t_read_is_not_lost_by_rotating_it(store: Store, clock: FakeClock) -> None:
    ring = _ring(store, clock)
    later = Swap(kind=KEYS, key="abcdefgh", value=b'{"of": "a later release"}', expected=0, nonce="n")
    await store.swap(later)
    assert await ring.rotate("abcdefgh") is None
    assert [document.value for document in await store.load(KEYS, ["abcdefgh"])] == [later.value]


# sessions ---------------------------------------------------------------------------------------------------------


async def _begin(ring: KeyRing, text: str) -> str:
    """The token of a session that is begun with this text of a key."""
    shown = await ring.find(text)
    assert shown is not None
    token, _ = await ring.begin(shown)
    return token


async def _kept(store: Store) -> int:
    return len(await store.scan(SESSIONS))


async def test_a_session_ends_with_the_text_that_it_was_begun_with(store: Store, clock: FakeClock) -> None:
    here, there = _ring(store, clock), _ring(store, clock)
    key, before = await here.make(WISH)
    rotated = await here.rotate(key.id)
    assert rotated is not None
    clock.advance(ROTATION - timedelta(hours=1))
    old, new = await _begin(here, before), await _begin(here, rotated[1])
    for ring in (here, there):
        assert [await ring.session(token) is not None for token in (old, new)] == [True, True]
    clock.advance(timedelta(hours=1))
    for ring in (here, there):
        assert [await ring.session(token) is not None for token in (old, new)] == [False, True]


async def test_a_stream_ends_with_the_text_that_it_was_asked_for_with(store: Store, clock: FakeClock) -> None:
    ring = _ring(store, clock)
    key, before = await ring.make(WISH)
    rotated = await ring.rotate(key.id)
    assert rotated is not None
    assert [await ring.holds(key.id, digest_of(text)) for text in (before, rotated[1], "x")] == [True, True, False]
    clock.advance(ROTATION)
    assert [await ring.holds(key.id, digest_of(text)) for text in (before, rotated[1])] == [False, True]


async def test_a_session_that_was_ended_or_is_over_opens_nothing(store: Store, clock: FakeClock) -> None:
    ring = _ring(store, clock)
    _, text = await ring.make(WISH)
    ended, over = await _begin(ring, text), await _begin(ring, text)
    await ring.end(ended)
    assert await ring.session(ended) is None
    clock.advance(SESSION_LASTS)
    assert await ring.session(over) is None


async def test_a_session_of_the_administrators_key_ends_where_that_is_another_or_none(
    store: Store, clock: FakeClock
) -> None:
    given: list[SecretStr | None] = [SecretStr("an-administrators-own-key")]
    ring = KeyRing(lambda: store, clock, lambda: given[-1])
    text = await _begin(ring, "an-administrators-own-key")
    shown = await ring.session(text)
    assert shown is not None
    assert (shown.key.id, shown.key.role, shown.key.user_id) == (GIVEN, Role.ADMIN, None)
    for other in (SecretStr("another-administrators-key"), None):
        given.append(other)
        assert await ring.session(text) is None
        assert await ring.find("an-administrators-own-key") is None
    assert await _ring(store, clock).session(text) is None
    given.pop()
    given.pop()
    assert await ring.session(text) is not None
    clock.advance(SESSION_LASTS)
    assert await ring.session(text) is None


async def test_a_token_that_only_bears_the_mark_opens_nothing(store: Store, clock: FakeClock) -> None:
    """Who could read the store could make marks, and must not get in by it."""
    ring = _ring(store, clock)
    key, _ = await ring.make(WISH)
    assert await ring.session(session_text(key.id, key.digest, bytes(16))) is None


async def test_tokens_that_somebody_made_up_cost_the_store_next_to_nothing(store: Store, clock: FakeClock) -> None:
    ring = _ring(store, clock)
    key, text = await ring.make(WISH)
    token = await _begin(ring, text)
    store.loads, store.pages = 0, []
    for number in range(STRANGERS * 5):
        assert await ring.session("x" * number) is None
        assert await ring.session(session_text(key.id, "made up", number.to_bytes(16))) is None
    assert store.loads <= STRANGERS
    assert len(store.pages) <= 1
    assert await ring.session(token) is not None


async def test_who_begins_a_session_waits_for_a_look_at_few_others(store: Store, clock: FakeClock) -> None:
    ring = _ring(store, clock)
    _, text = await ring.make(WISH)
    for _ in range(SWEPT * 3):
        await _begin(ring, text)
    store.loads, store.pages = 0, []
    await _begin(ring, text)
    assert (store.loads, store.pages) == (0, [SWEPT])


async def test_sessions_that_are_over_are_cleared_away_by_and_by(store: Store, clock: FakeClock) -> None:
    ring = _ring(store, clock)
    key, text = await ring.make(WISH)
    for _ in range(SWEPT * 2 + 1):
        await _begin(ring, text)
    clock.advance(SESSION_LASTS)
    shown = Shown(key, digest_of(text))
    for _ in range(6):
        await ring.begin(shown)
    assert await _kept(store) <= 6
