"""Who guesses keys is counted in the store, and once that has said no, is sent away without a question to it."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tidegate.clock import FakeClock
from tidegate.core.verbs import Take, Taken
from tidegate.engines.memory import MemoryEngine
from tidegate.errors import RateLimited
from tidegate.http.guards import guessing
from tidegate.http.guards.guessing import FAILURES_PER_MINUTE, Guesses
from tidegate.http.guards.limits import Limits


class Refusing(MemoryEngine):
    """A store that counts how often it is asked, and grants so many for each key."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        [take] = takes
        self.asked.append(take.key)
        granted = self.asked.count(take.key) % (FAILURES_PER_MINUTE + 1) != 0
        wait = timedelta(0) if granted else timedelta(seconds=40)
        return [Taken(granted=granted, remaining=0, retry_after=wait)]


async def _told_to_wait(guesses: Guesses, address: str) -> float | None:
    """For how long; None where it is not."""
    try:
        await guesses.count(address)
    except RateLimited as exc:
        return exc.retry_after.total_seconds()
    return None


async def test_the_store_is_asked_no_more_until_the_wait_is_over() -> None:
    store, clock = Refusing(), FakeClock()
    guesses = Guesses(Limits(lambda: store), clock)
    told = [await _told_to_wait(guesses, "1.2.3.4") for _ in range(FAILURES_PER_MINUTE + 1)]
    assert told == [None] * FAILURES_PER_MINUTE + [40]
    clock.advance(timedelta(seconds=15))
    assert [await _told_to_wait(guesses, "1.2.3.4") for _ in range(100)] == [25] * 100
    assert len(store.asked) == FAILURES_PER_MINUTE + 1
    assert await _told_to_wait(guesses, "1.2.3.5") is None
    clock.advance(timedelta(seconds=25))
    assert await _told_to_wait(guesses, "1.2.3.4") is None


async def test_so_many_addresses_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "MOST_REMEMBERED", 2)
    store = Refusing()
    guesses = Guesses(Limits(lambda: store), FakeClock())
    for address in ("first", "second", "third"):
        for _ in range(FAILURES_PER_MINUTE + 1):
            await _told_to_wait(guesses, address)
    before = len(store.asked)
    assert await _told_to_wait(guesses, "third") == 40
    assert await _told_to_wait(guesses, "second") == 40
    assert len(store.asked) == before
    assert await _told_to_wait(guesses, "first") is None
