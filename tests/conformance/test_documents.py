"""Versioned documents."""

import asyncio
import random

import pytest

from tests.conformance.build import claimed_ids, lane, seconds, submit_one
from tests.conformance.harness import Harness
from tests.conformance.papers import load, put, write
from tests.conformance.promises import promise
from tidegate.core.verbs import Document, Gate, Swapped

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
