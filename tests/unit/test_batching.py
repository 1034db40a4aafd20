"""Single questions share calls: at once when alone, together when many, and nobody pays for another's fault."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from tidegate.batching import Batcher
from tidegate.errors import EngineUnavailable, InvalidInput


class Store:
    """Doubles numbers when it is let; 13 is no number, and nothing works while it is away."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.away = False

    async def double(self, numbers: list[int]) -> Sequence[int]:
        """The call to share."""
        self.calls.append(numbers)
        self.asked.set()
        await self.open.wait()
        if self.away:
            raise EngineUnavailable("away")
        if 13 in numbers:
            raise InvalidInput("n", "13 is no number")
        return [2 * number for number in numbers]


async def test_a_lone_question_is_asked_at_once_and_alone() -> None:
    store = Store()
    batcher = Batcher(store.double)
    assert [await batcher.ask(n) for n in range(3)] == [0, 2, 4]
    assert store.calls == [[0], [1], [2]]


async def test_questions_of_one_moment_share_one_call_and_get_their_own_answers() -> None:
    store = Store()
    batcher = Batcher(store.double)
    assert await asyncio.gather(*(batcher.ask(n) for n in range(10))) == [2 * n for n in range(10)]
    assert store.calls == [list(range(10))]


async def test_questions_that_come_during_a_call_share_the_next_one_up_to_its_bound() -> None:
    store = Store()
    store.open.clear()
    batcher = Batcher(store.double, most=4)
    asked = [asyncio.create_task(batcher.ask(0))]
    await store.asked.wait()
    asked += [asyncio.create_task(batcher.ask(n)) for n in range(1, 7)]
    await asyncio.sleep(0)
    store.open.set()
    assert await asyncio.gather(*asked) == [2 * n for n in range(7)]
    assert store.calls == [[0], [1, 2, 3, 4], [5, 6]]


async def test_a_question_that_cannot_be_answered_does_not_spoil_the_others() -> None:
    batcher = Batcher(Store().double)
    answers = await asyncio.gather(*(batcher.ask(n) for n in (1, 13, 3)), return_exceptions=True)
    assert answers[0] == 2
    assert isinstance(answers[1], InvalidInput)
    assert answers[2] == 6


async def test_a_store_that_is_away_is_asked_once_for_all() -> None:
    store = Store()
    store.away = True
    batcher = Batcher(store.double)
    answers = await asyncio.gather(*(batcher.ask(n) for n in range(5)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {EngineUnavailable}
    assert len(store.calls) == 1
    store.away = False
    assert await batcher.ask(4) == 8


async def test_a_caller_that_goes_away_takes_nothing_from_the_others() -> None:
    store = Store()
    store.open.clear()
    batcher = Batcher(store.double)
    gone, stays = asyncio.create_task(batcher.ask(1)), asyncio.create_task(batcher.ask(2))
    await store.asked.wait()
    gone.cancel()
    store.open.set()
    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone


def test_callers_on_several_event_loops_never_meet() -> None:
    async def double(numbers: list[int]) -> list[int]:
        await asyncio.sleep(0.01)
        return [2 * n for n in numbers]

    batcher = Batcher(double)
    answers: dict[int, list[int]] = {}

    def live(number: int) -> None:
        async def ask() -> list[int]:
            return list(await asyncio.gather(*(batcher.ask(number) for _ in range(20))))

        answers[number] = asyncio.run(ask())

    threads = [threading.Thread(target=live, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: [2 * n] * 20 for n in range(4)}
