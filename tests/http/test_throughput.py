"""How many jobs end a minute, by the store's own feed."""

from collections.abc import AsyncIterator

import pytest

from tidegate.clock import token
from tidegate.core.job import Job, JobId, Lane, NewJob, Spec
from tidegate.core.verbs import Feed
from tidegate.engines import open_engine
from tidegate.errors import EngineUnavailable
from tidegate.http.watching import throughput
from tidegate.http.watching.throughput import WINDOW, Throughput
from tidegate.ports import Engine
from tidegate.wiring import new_job_id


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """A store in memory."""
    async with open_engine("memory://") as engine:
        yield engine


async def _end(engine: Engine, count: int, queue: str = "default") -> list[JobId]:
    """Let so many jobs of a queue end."""
    jobs = [NewJob(id=new_job_id(), spec=Spec(type="echo", lane=Lane(queue=queue))) for _ in range(count)]
    await engine.submit(jobs)
    await engine.cancel([job.id for job in jobs], token())
    return [job.id for job in jobs]


async def test_there_is_nothing_to_go_by_at_first_and_what_ended_before_does_not_count(engine: Engine) -> None:
    await _end(engine, 3)
    rates = Throughput()
    assert await rates.per_minute(engine, 0) is None
    assert await rates.per_minute(engine, 60) == {}


async def test_it_is_what_ended_by_queue_over_the_time_that_was_followed(engine: Engine) -> None:
    rates = Throughput()
    await rates.per_minute(engine, 0)
    await _end(engine, 4)
    await _end(engine, 2, "high")
    assert await rates.per_minute(engine, 30) == {"default": 8, "high": 4}
    assert await rates.per_minute(engine, 60) == {"default": 4, "high": 2}


async def test_what_is_asked_again_within_a_second_is_answered_from_memory(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = Throughput()
    await rates.per_minute(engine, 0)
    await _end(engine, 1)
    known = await rates.per_minute(engine, 60)

    async def never(*_: object) -> Feed:
        raise AssertionError

    monkeypatch.setattr(engine, "events", never)
    assert known == {"default": 1}
    assert await rates.per_minute(engine, 60.9) == known


async def test_what_is_older_than_the_window_counts_no_more(engine: Engine) -> None:
    rates = Throughput()
    await rates.per_minute(engine, 0)
    await _end(engine, 60)
    assert await rates.per_minute(engine, 60) == {"default": 60}
    assert await rates.per_minute(engine, WINDOW) == {"default": 12}
    assert await rates.per_minute(engine, WINDOW + 60) == {}


async def test_who_did_not_ask_for_longer_than_the_window_begins_anew(engine: Engine) -> None:
    rates = Throughput()
    await rates.per_minute(engine, 0)
    await _end(engine, 60)
    assert await rates.per_minute(engine, WINDOW + 1) is None


async def test_of_many_a_part_is_looked_up_and_stands_for_all(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "SAMPLE", 10)
    looked: list[int] = []
    get = engine.get

    async def counted(job_ids: list[JobId]) -> object:
        looked.append(len(job_ids))
        return await get(job_ids)

    monkeypatch.setattr(engine, "get", counted)
    rates = Throughput()
    await rates.per_minute(engine, 0)
    for _ in range(15):
        await _end(engine, 2)
        await _end(engine, 2, "high")
    assert await rates.per_minute(engine, 60) == {"default": 30, "high": 30}
    assert looked == [10]


async def test_who_fell_behind_the_feed_or_too_far_begins_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = Throughput()
    await rates.per_minute(engine, 0)
    await _end(engine, 3)
    with monkeypatch.context() as patch:
        patch.setattr(throughput, "MOST_PAGES", 1)
        assert await rates.per_minute(engine, 30) is None
    assert await rates.per_minute(engine, 60) == {}
    events = engine.events

    async def trimmed(after: str | None) -> Feed:
        return Feed(entries=(), next="0", reset=True) if after is not None else await events(after)

    monkeypatch.setattr(engine, "events", trimmed)
    assert await rates.per_minute(engine, 90) is None


async def test_a_reading_that_failed_midway_is_made_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = Throughput()
    await rates.per_minute(engine, 0)
    await _end(engine, 6)

    async def away(_: object) -> list[Job | None]:
        raise EngineUnavailable("it is away")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "get", away)
        with pytest.raises(EngineUnavailable):
            await rates.per_minute(engine, 30)
    assert await rates.per_minute(engine, 60) == {"default": 6}
