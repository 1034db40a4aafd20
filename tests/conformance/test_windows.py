"""Sliding windows: take and give_back."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from tests.conformance.build import nonce, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.verbs import Take, Taken


@dataclass
class Window:
    """A sliding window by brute force: when each unit was granted."""

    limit: int
    length: timedelta
    granted: list[datetime] = field(default_factory=list)

    def within(self, now: datetime) -> int:
        return sum(1 for at in self.granted if now - self.length < at <= now)

    def admits(self, n: int, now: datetime) -> bool:
        return self.within(now) + n <= self.limit

    def most(self) -> int:
        """The most in any window: one that begins with a grant is as full as any."""
        return max(
            (sum(1 for at in self.granted if start <= at < start + self.length) for start in self.granted), default=0
        )


def take(key: str, n: int = 1, limit: int = 3, window: timedelta = timedelta(seconds=10)) -> Take:
    return Take(key=key, n=n, limit=limit, window=window)


async def granted(harness: Harness, *takes: Take, nonce_: str | None = None) -> bool:
    """Whether all of `takes` were granted; where not, at least one says so and when to come back."""
    answers = await harness.engine.take(takes, nonce_ or nonce())
    assert len(answers) == len(takes)
    assert all(answer.granted or answer.retry_after > timedelta(0) for answer in answers)
    return all(answer.granted for answer in answers)


@promise("take.exact", "take.refused")
@pytest.mark.parametrize("seed", range(4))
async def test_no_window_ever_holds_more_than_its_limit_over_random_schedules(harness: Harness, seed: int) -> None:
    dice = random.Random(seed)
    windows = {key: Window(dice.randrange(1, 6), seconds(dice.choice([0.5, 3, 10]))) for key in "abc"}
    for _ in range(150):
        harness.advance(dice.choice([0, 0, 0, 0.000001, 0.1, 0.499999, 0.5, 1, 3, 10]))
        now = harness.clock.now()
        asked = {key: dice.randrange(1, 4) for key in dice.sample("abc", dice.randrange(1, 4))}
        takes = [take(key, n, windows[key].limit, windows[key].length) for key, n in asked.items()]
        fits = all(windows[key].admits(n, now) for key, n in asked.items())
        assert await granted(harness, *takes) is fits
        for key, n in asked.items():
            windows[key].granted += [now] * n if fits else []
    assert all(window.most() <= window.limit for window in windows.values())
    assert sum(len(window.granted) for window in windows.values()) > 20


@promise("take.exact")
async def test_a_grant_leaves_its_window_at_its_very_end(harness: Harness) -> None:
    assert await granted(harness, take("k", 3))
    harness.advance(9.999999)
    assert not await granted(harness, take("k"))
    harness.advance(0.000001)
    assert await granted(harness, take("k", 3))


@promise("take.exact")
async def test_concurrent_takes_never_get_more_than_the_limit(harness: Harness) -> None:
    answers = await asyncio.gather(*(granted(harness, take("k", 1, 7), take("other", 1, 40)) for _ in range(50)))
    assert sum(answers) == 7
    assert await granted(harness, take("other", 33, 40))
    assert not await granted(harness, take("other", 1, 40))


@promise("take.exact")
async def test_remaining_tells_what_the_window_has_left(harness: Harness) -> None:
    (first,) = await harness.engine.take([take("k", 2, 5)], nonce())
    assert first == Taken(granted=True, remaining=3, retry_after=timedelta(0))
    harness.advance(4)
    (second,) = await harness.engine.take([take("k", 3, 5)], nonce())
    assert second.remaining == 0
    harness.advance(6)
    (third,) = await harness.engine.take([take("k", 1, 5)], nonce())
    assert third.remaining == 1


@promise("take.exact")
async def test_twins_within_one_call_are_counted_together(harness: Harness) -> None:
    assert not await granted(harness, take("k", 2), take("k", 2))
    assert await granted(harness, take("k", 2), take("k", 1))
    assert not await granted(harness, take("k"))


@promise("take.refused")
async def test_one_refusal_refuses_all_and_counts_nothing(harness: Harness) -> None:
    assert await granted(harness, take("full", 3))
    answers = await harness.engine.take([take("free"), take("full"), take("free too")], nonce())
    assert answers[1] == Taken(granted=False, remaining=0, retry_after=seconds(10))
    assert [answer.remaining for answer in answers] == [3, 0, 3]
    assert await granted(harness, take("free", 3), take("free too", 3))


@promise("take.refused")
async def test_a_refusal_tells_the_first_instant_that_would_grant(harness: Harness) -> None:
    for after in (0, 2, 3):
        harness.advance(after)
        assert await granted(harness, take("k"))
    for n, frees in ((1, 5), (2, 7), (3, 10)):
        (answer,) = await harness.engine.take([take("k", n)], nonce())
        assert answer == Taken(granted=False, remaining=0, retry_after=seconds(frees))
    harness.advance(4.999999)
    assert not await granted(harness, take("k"))
    harness.advance(0.000001)
    assert await granted(harness, take("k"))


@promise("take.refused")
async def test_more_than_the_limit_is_always_refused(harness: Harness) -> None:
    assert not await granted(harness, take("k", 4))
    assert not await granted(harness, take("k", 1, 0))
    assert await granted(harness, take("k", 3))


@promise("take.nonce")
async def test_a_grant_is_counted_once_however_often_it_is_asked_for(harness: Harness) -> None:
    takes, asked = (take("a", 2), take("b", 1)), nonce()
    first = await harness.engine.take(takes, asked)
    assert all(answer.granted for answer in first)
    harness.advance(1)
    assert [await granted(harness, *takes, nonce_=asked) for _ in range(5)] == [True] * 5
    assert await granted(harness, take("a", 1), take("b", 2))
    assert await granted(harness, *takes, nonce_=asked)
    assert not await granted(harness, take("a"))


@promise("take.nonce")
async def test_a_refusal_is_no_grant_the_same_nonce_may_be_granted_later(harness: Harness) -> None:
    asked = nonce()
    assert await granted(harness, take("k", 3))
    assert not await granted(harness, take("k"), nonce_=asked)
    harness.advance(10)
    assert await granted(harness, take("k"), nonce_=asked)
    assert not await granted(harness, take("k", 3))


@promise("take.nonce")
async def test_concurrent_repeats_of_one_take_count_once(harness: Harness) -> None:
    asked = nonce()
    assert all(await asyncio.gather(*(granted(harness, take("k", 2), nonce_=asked) for _ in range(20))))
    assert await granted(harness, take("k"))


# give back -------------------------------------------------------------------------------------------------


@promise("give-back.frees")
async def test_what_is_given_back_can_be_taken_again(harness: Harness) -> None:
    asked, kept = nonce(), nonce()
    assert await granted(harness, take("a", 2), take("b", 3), nonce_=asked)
    assert await granted(harness, take("a", 1), nonce_=kept)
    await harness.engine.give_back(asked)
    await harness.engine.give_back(asked)
    assert not await granted(harness, take("a", 3))
    assert await granted(harness, take("a", 2), take("b", 3))
    assert not await granted(harness, take("a"))


@promise("give-back.frees")
async def test_giving_back_what_was_never_granted_changes_nothing(harness: Harness) -> None:
    refused = nonce()
    assert await granted(harness, take("k", 3))
    assert not await granted(harness, take("k"), nonce_=refused)
    for unknown in (refused, nonce()):
        await harness.engine.give_back(unknown)
    assert not await granted(harness, take("k"))


@promise("give-back.frees", "take.exact")
async def test_random_takes_and_returns_agree_with_brute_force(harness: Harness) -> None:
    dice, held = random.Random(7), dict[str, tuple[datetime, int]]()
    for _ in range(200):
        harness.advance(dice.choice([0, 0, 0.5, 2]))
        now = harness.clock.now()
        if held and dice.random() < 0.3:
            back = dice.choice(sorted(held))
            await harness.engine.give_back(back)
            del held[back]
            continue
        n, asked = dice.randrange(1, 4), nonce()
        within = sum(many for at, many in held.values() if at > now - seconds(10))
        assert await granted(harness, take("k", n, 6), nonce_=asked) is (within + n <= 6)
        if within + n <= 6:
            held[asked] = (now, n)
