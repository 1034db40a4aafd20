"""Versioned documents, the gates they imply, and sliding windows."""

import asyncio
import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from tests.conformance.build import (
    claim_one,
    claimed_ids,
    lane,
    new_job,
    nonce,
    seconds,
    set_gates,
    settle,
    submit,
    submit_one,
    turns,
)
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import JobId, Succeed
from tidegate.core.verbs import Document, Gate, Pace, Swap, Swapped, Take, Taken
from tidegate.errors import InvalidInput

TICK = timedelta(microseconds=1)


async def load(harness: Harness, key: str, kind: str = "upstream") -> Document:
    (document,) = await harness.engine.load(kind, [key])
    return document


def write(key: str, value: bytes | None, expected: int, *gates: Gate, kind: str = "upstream") -> Swap:
    return Swap(kind=kind, key=key, value=value, expected=expected, nonce=nonce(), gates=gates)


async def put(harness: Harness, key: str, value: bytes | None, *gates: Gate, kind: str = "upstream") -> Document:
    """Write a document over whatever is stored; what is stored then."""
    expected = (await load(harness, key, kind)).version
    swapped = await harness.engine.swap(write(key, value, expected, *gates, kind=kind))
    assert swapped.won
    return swapped.document


# load ------------------------------------------------------------------------------------------------------


@promise("load.latest")
async def test_what_was_written_last_is_loaded_with_its_version(harness: Harness) -> None:
    empty = await load(harness, "a")
    assert empty == Document(kind="upstream", key="a", version=0, value=None)
    first, second = await put(harness, "a", b"1"), await put(harness, "a", b"2")
    assert second == Document(kind="upstream", key="a", version=second.version, value=b"2")
    assert 0 < first.version < second.version
    assert await load(harness, "a") == second


@promise("load.latest")
async def test_documents_are_loaded_by_kind_and_in_the_order_asked_for(harness: Harness) -> None:
    a, b = await put(harness, "a", b"a"), await put(harness, "b", b"b")
    other = await put(harness, "a", b"other", kind="queue")
    missing = Document(kind="upstream", key="c")
    assert await harness.engine.load("upstream", ["b", "c", "a", "b"]) == [b, missing, a, b]
    assert await harness.engine.load("queue", ["a", "b"]) == [other, Document(kind="queue", key="b")]
    assert await harness.engine.load("upstream", []) == []


@promise("load.latest")
@pytest.mark.parametrize("value", [b"", b"\x00\xff", bytes(range(256)) * 400])
async def test_a_document_is_any_bytes(harness: Harness, value: bytes) -> None:
    await put(harness, "ключ/😀 %_'", value)
    assert (await load(harness, "ключ/😀 %_'")).value == value


# swap ------------------------------------------------------------------------------------------------------


@promise("swap.once")
@pytest.mark.parametrize("stored", [False, True])
async def test_of_concurrent_swaps_one_wins_with_its_value_and_gates(harness: Harness, stored: bool) -> None:
    expected = (await put(harness, "a", b"before")).version if stored else 0
    opens_at = [harness.clock.now() + seconds(number + 1) for number in range(20)]
    swaps = [
        write("a", b"%d" % number, expected, Gate(name="upstream:a", not_before=opens))
        for number, opens in enumerate(opens_at)
    ]
    answers = await asyncio.gather(*(harness.engine.swap(swap) for swap in swaps))
    (winner,) = [number for number, answer in enumerate(answers) if answer.won]
    now_stored = await load(harness, "a")
    assert now_stored.value == b"%d" % winner
    assert {answer.document for answer in answers} == {now_stored}
    waiting = await submit_one(harness, lane=lane("a"))
    harness.advance(winner + 1 - 0.000001)
    assert await claimed_ids(harness) == []
    harness.advance(0.000001)
    assert await claimed_ids(harness) == [waiting]


@promise("swap.lost")
@pytest.mark.parametrize("off", [-1, 1, 1_000])
async def test_a_swap_that_expected_another_version_changes_nothing(harness: Harness, off: int) -> None:
    await put(harness, "b", b"other")
    stored = await put(harness, "a", b"stored", Gate(name="upstream:a", limit=5))
    closed = Gate(name="upstream:a", not_before=harness.clock.now() + seconds(60))
    assert await harness.engine.swap(write("a", b"mine", stored.version + off, closed)) == Swapped(False, stored)
    assert await harness.engine.swap(write("a", None, 0)) == Swapped(False, stored)
    assert await load(harness, "a") == stored
    waiting = await submit_one(harness, lane=lane("a"))
    assert await claimed_ids(harness) == [waiting]


@promise("swap.lost")
async def test_a_lost_swap_of_a_document_that_is_not_there_shows_that(harness: Harness) -> None:
    answer = await harness.engine.swap(write("a", b"mine", 7))
    assert answer == Swapped(False, Document(kind="upstream", key="a"))


@promise("swap.repeat")
async def test_the_winning_swap_repeated_has_won_and_changes_nothing(harness: Harness) -> None:
    swap = write("a", b"1", 0)
    first = await harness.engine.swap(swap)
    assert [await harness.engine.swap(swap) for _ in range(3)] == [first] * 3
    assert first.won
    deletion = write("a", None, first.document.version)
    deleted = await harness.engine.swap(deletion)
    assert await harness.engine.swap(deletion) == deleted
    assert deleted == Swapped(True, await load(harness, "a"))


@promise("swap.repeat")
async def test_the_winning_swap_repeated_has_lost_once_another_won(harness: Harness) -> None:
    swap = write("a", b"1", 0)
    await harness.engine.swap(swap)
    newer = await put(harness, "a", b"2")
    assert await harness.engine.swap(swap) == Swapped(False, newer)
    gone = await put(harness, "a", None)
    assert await harness.engine.swap(swap) == Swapped(False, gone)


@promise("swap.repeat")
async def test_a_repeat_sets_no_gate_again(harness: Harness) -> None:
    swap = write("a", b"1", 0, Gate(name="upstream:a", not_before=harness.clock.now() + seconds(60)))
    await harness.engine.swap(swap)
    await put(harness, "a", b"2")
    await harness.engine.swap(swap)
    waiting = await submit_one(harness, lane=lane("a"))
    assert await claimed_ids(harness) == [waiting]


@promise("swap.delete")
async def test_a_deleted_document_is_gone_with_its_gates_and_its_version_never_recurs(harness: Harness) -> None:
    closed = Gate(name="upstream:a", not_before=harness.clock.now() + seconds(60))
    written = await put(harness, "a", b"1", closed)
    waiting = await submit_one(harness, lane=lane("a"))
    assert await claimed_ids(harness) == []
    deleted = await put(harness, "a", None)
    assert (deleted.value, await load(harness, "a")) == (None, deleted)
    assert deleted.version > written.version
    assert await claimed_ids(harness) == [waiting]
    again = await put(harness, "a", b"1")
    assert again.version > deleted.version
    assert (await harness.engine.swap(write("a", b"old", written.version))).won is False


@promise("swap.delete")
async def test_versions_never_recur_over_the_whole_store(harness: Harness) -> None:
    values = [b"1", None, b"2", None]
    written = [await put(harness, key, value) for value in values for key in ("a", "b")]
    versions = [document.version for document in written]
    assert versions == sorted(set(versions))


# gates -----------------------------------------------------------------------------------------------------


@promise("swap.gates")
async def test_a_closed_gate_holds_from_the_next_claim_to_its_instant(harness: Harness) -> None:
    waiting = await submit_one(harness, lane=lane("a"))
    await put(harness, "a", b"1", Gate(name="upstream:a", not_before=harness.clock.now() + seconds(10)))
    harness.advance(9.999999)
    assert await claimed_ids(harness) == []
    harness.advance(0.000001)
    assert await claimed_ids(harness) == [waiting]


@promise("swap.gates")
async def test_a_document_sets_all_its_gates_and_drops_those_it_names_no_more(harness: Harness) -> None:
    opens_at = harness.clock.now() + seconds(60)
    names = ("upstream:a", "upstream:b", "queue:high")
    a, b, high = await submit(
        harness, *(new_job(lane=where) for where in (lane("a"), lane("b"), lane("c", queue="high")))
    )
    await put(harness, "all", b"1", *(Gate(name=name, not_before=opens_at) for name in names))
    assert await _claimed_anywhere(harness) == set()
    await put(harness, "all", b"2", Gate(name="upstream:b", not_before=opens_at))
    assert await _claimed_anywhere(harness) == {a, high}
    await put(harness, "all", b"3")
    assert await _claimed_anywhere(harness) == {b}


async def _claimed_anywhere(harness: Harness) -> set[JobId]:
    return set(await claimed_ids(harness, turns=turns("default", "high")))


@promise("swap.gates")
async def test_another_document_s_gates_are_left_alone(harness: Harness) -> None:
    await put(harness, "a", b"1", Gate(name="upstream:a", not_before=harness.clock.now() + seconds(60)))
    await put(harness, "b", b"1", Gate(name="upstream:b", limit=3))
    await put(harness, "b", None)
    await put(harness, "a", b"1", Gate(name="other"), kind="queue")
    await submit_one(harness, lane=lane("a"))
    assert await claimed_ids(harness) == []


@promise("swap.gates")
async def test_a_higher_era_starts_its_count_at_0(harness: Harness) -> None:
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(9)))
    await set_gates(harness, Gate(name="upstream:a", limit=2, era=4))
    old = [await claim_one(harness), await claim_one(harness)]
    assert await claimed_ids(harness) == []
    await set_gates(harness, Gate(name="upstream:a", limit=1, era=5))
    new = await claim_one(harness)
    assert await claimed_ids(harness) == []
    for lease in old:
        await settle(harness, lease, Succeed())
    assert await claimed_ids(harness) == []
    await settle(harness, new, Succeed())
    assert len(await claimed_ids(harness)) == 1


@promise("swap.gates")
async def test_a_limit_changes_within_an_era_without_losing_its_count(harness: Harness) -> None:
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(9)))
    await set_gates(harness, Gate(name="upstream:a", limit=3))
    assert len(await claimed_ids(harness)) == 3
    await set_gates(harness, Gate(name="upstream:a", limit=2))
    assert await claimed_ids(harness) == []
    await set_gates(harness, Gate(name="upstream:a", limit=5))
    assert len(await claimed_ids(harness)) == 2


@promise("swap.gates")
async def test_a_limit_where_there_was_none_needs_a_higher_era(harness: Harness) -> None:
    stored = await put(harness, "a", b"1", Gate(name="upstream:a", era=2))
    for era in (0, 1, 2):
        swap = write("a", b"2", stored.version, Gate(name="upstream:a", limit=1, era=era))
        with pytest.raises(InvalidInput):
            await harness.engine.swap(swap)
    assert await load(harness, "a") == stored
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(3)))
    assert len(await claimed_ids(harness, limit=2)) == 2
    await put(harness, "a", b"2", Gate(name="upstream:a", limit=1, era=3))
    assert len(await claimed_ids(harness)) == 1


@promise("swap.gates")
async def test_one_gate_refused_refuses_the_whole_swap(harness: Harness) -> None:
    stored = await put(harness, "a", b"1", Gate(name="upstream:a"))
    closed = Gate(name="upstream:b", not_before=harness.clock.now() + seconds(60))
    with pytest.raises(InvalidInput):
        await harness.engine.swap(write("a", b"2", stored.version, closed, Gate(name="upstream:a", limit=1)))
    assert await load(harness, "a") == stored
    waiting = await submit_one(harness, lane=lane("b"))
    assert await claimed_ids(harness) == [waiting]


@promise("swap.gates")
async def test_the_last_slot_of_a_pace_outlives_swaps(harness: Harness) -> None:
    await submit(harness, *(new_job(lane=lane("a")) for _ in range(4)))
    gate = Gate(name="upstream:a", pace=Pace(period=seconds(10)))
    await set_gates(harness, gate)
    assert len(await claimed_ids(harness)) == 1
    await set_gates(harness, replace(gate, era=1))
    assert await claimed_ids(harness) == []
    harness.advance(9.999999)
    assert await claimed_ids(harness) == []
    harness.advance(0.000001)
    assert len(await claimed_ids(harness)) == 1


# scan ------------------------------------------------------------------------------------------------------

KEYS = ["", "A", "B", "a", "a ", "a%", "a_", "aa", "b", "z", "~", "é", "ж", "\ufffd", "😀"]
"""In code point order."""


@promise("scan.pages")
@pytest.mark.parametrize("limit", [1, 2, 7, 200])
async def test_a_kind_is_scanned_once_in_key_order(harness: Harness, limit: int) -> None:
    shuffled = random.Random(1).sample(KEYS[1:], len(KEYS) - 1)
    written = {key: await put(harness, key, key.encode()) for key in shuffled}
    await put(harness, "b", b"of another kind", kind="queue")
    met = await _scan(harness, limit)
    assert met == [written[key] for key in KEYS[1:]]


async def _scan(harness: Harness, limit: int) -> list[Document]:
    met: list[Document] = []
    while page := await harness.engine.scan("upstream", met[-1].key if met else "", limit):
        assert len(page) <= limit
        met += page
    return met


@promise("scan.pages")
async def test_a_scan_starts_behind_any_key_and_leaves_out_what_was_deleted(harness: Harness) -> None:
    for key in ("a", "b", "c", "d"):
        await put(harness, key, b"1")
    await put(harness, "c", None)
    assert [found.key for found in await harness.engine.scan("upstream")] == ["a", "b", "d"]
    assert [found.key for found in await harness.engine.scan("upstream", "a")] == ["b", "d"]
    assert [found.key for found in await harness.engine.scan("upstream", "aa")] == ["b", "d"]
    assert await harness.engine.scan("upstream", "d") == []
    assert await harness.engine.scan("none") == []
    assert (await put(harness, "c", b"2")) in await harness.engine.scan("upstream", "b", 1)


@promise("scan.pages")
async def test_a_scan_meets_what_stays_once_while_others_come_and_go(harness: Harness) -> None:
    for key in "bdfhjl":
        await put(harness, key, b"1")
    met: list[str] = []
    for come, go in zip("aceg", "djha", strict=True):
        met += [found.key for found in await harness.engine.scan("upstream", met[-1] if met else "", 2)]
        await put(harness, come, b"1")
        await put(harness, go, None)
    assert sorted(set(met)) == met
    assert {"b", "f", "l"} <= set(met)


# take ------------------------------------------------------------------------------------------------------


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
