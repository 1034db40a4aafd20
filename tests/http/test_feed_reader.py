"""The reader of the feed: one for everybody, only while somebody listens, and each step once to each."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import post, problem
from tests.http.streaming import Counted, listening
from tests.worker.house import STORES, eventually, soon, url_of
from tidegate.app import Tidegate
from tidegate.clock import token
from tidegate.config import Settings
from tidegate.core.job import Job, JobId, NewJob, Spec
from tidegate.core.verbs import Feed as FeedPart
from tidegate.engines import open_engine
from tidegate.errors import EngineError, EngineUnavailable
from tidegate.http.live import feed_pages
from tidegate.http.live import listening as ears
from tidegate.http.live.feed import Feed
from tidegate.http.live.feed_pages import Key, Pages
from tidegate.ports import Engine
from tidegate.wiring import new_job_id

POLL = timedelta(seconds=0.05)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a reader that rests for a short time only."""
    return settings.model_copy(update={"poll": POLL})


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """A store of its own."""
    async with open_engine("memory://") as engine:
        yield engine


def _feed(engine: Engine) -> Feed:
    return Feed(Pages(lambda: engine), lambda: timedelta(seconds=0.02))


async def _submit(engine: Engine, *users: str) -> list[JobId]:
    jobs = [NewJob(id=new_job_id(), spec=Spec(type="echo", user_id=user)) for user in users]
    await engine.submit(jobs)
    return [job.id for job in jobs]


@asynccontextmanager
async def _followed(feed: Feed, viewer: str | None, place: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
    """What a listener is told; he is at the end of what was, and the reader runs."""
    pieces = feed.follow(await feed.listener(viewer, place))
    async with aclosing(pieces):
        assert (await anext(pieces)).startswith(b"id: ")
        yield pieces


def _keys(pieces: bytes) -> list[Key]:
    lines = [line for line in pieces.decode().splitlines() if line.startswith('data: {"job_id"')]
    return [(line[17:53], int(line.partition('"seq":')[2].partition(",")[0])) for line in lines]


async def test_the_reader_runs_only_while_somebody_listens(engine: Engine) -> None:
    feed = _feed(engine)
    async with _followed(feed, "ada") as pieces:
        listening = asyncio.ensure_future(anext(pieces))
        await eventually(lambda: feed.reading)
        [job_id] = await _submit(engine, "ada")
        assert _keys(await soon(listening)) == [(job_id, 1)]
    await eventually(lambda: not feed.reading)
    async with _followed(feed, "ada") as pieces:
        listening = asyncio.ensure_future(anext(pieces))
        await eventually(lambda: feed.reading)
        [job_id] = await _submit(engine, "ada")
        assert _keys(await soon(listening)) == [(job_id, 1)]


async def test_one_reader_reads_for_everybody(server: httpx2.AsyncClient, app: Tidegate) -> None:
    patch = pytest.MonkeyPatch()
    async with listening(server, "/events") as one, listening(server, "/events") as two:
        await post(server, delay=60)
        await one.next()
        await two.next()
        with patch.context() as only:
            pages = Counted(app, "events", only)
            await asyncio.sleep(0.25)
            assert pages.calls <= 0.25 / POLL.total_seconds() + 2


async def test_who_sees_everybodys_jobs_is_told_of_all(engine: Engine) -> None:
    async with _followed(_feed(engine), None) as pieces:
        listening = asyncio.ensure_future(anext(pieces))
        jobs = await _submit(engine, "ada", "bob", "")
        assert _keys(await soon(listening)) == [(job_id, 1) for job_id in jobs]


async def test_a_store_that_is_away_for_a_while_is_waited_for(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(server, "/events") as ear:
        await post(server, delay=60)
        place = (await ear.next()).id
        pages = Counted(app, "events", monkeypatch)
        pages.fault = EngineUnavailable("away")
        await eventually(lambda: pages.calls >= 2)
        job_id = await post(server, delay=60)
        refused = await server.get("/events", headers={"Last-Event-ID": place or ""})
        problem(refused, 503, "store-unavailable")
        pages.fault = None
        assert (await ear.next()).key == (job_id, 1)


async def test_a_store_that_cannot_be_used_breaks_the_streams_and_the_next_begin_anew(engine: Engine) -> None:
    feed = _feed(engine)

    class Broken(Pages):
        async def read(self, cursor: str) -> feed_pages.Page:
            raise EngineError("broken")

    async with _followed(feed, "ada") as pieces:
        listening = asyncio.ensure_future(anext(pieces))
        await eventually(lambda: feed.reading)
        feed._pages = Broken(lambda: engine)
        with pytest.raises(EngineError):
            await soon(listening)
    feed._pages = Pages(lambda: engine)
    async with _followed(feed, "ada") as pieces:
        listening = asyncio.ensure_future(anext(pieces))
        [job_id] = await _submit(engine, "ada")
        assert _keys(await soon(listening)) == [(job_id, 1)]


async def test_who_reads_too_slowly_loses_what_was_and_goes_on_with_what_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "BUFFER", 5)
    feed = _feed(engine)
    async with _followed(feed, "ada") as pieces, _followed(feed, "bob") as others:
        slow, other = asyncio.ensure_future(anext(pieces)), asyncio.ensure_future(anext(others))
        await eventually(lambda: len(feed._here) == 2)
        first, _ = await _submit(engine, "ada", "bob")
        assert _keys(await soon(slow)) == [(first, 1)]
        assert len(_keys(await soon(other))) == 1
        jobs = await _submit(engine, *["ada"] * 12)
        await _read_up(feed, engine)
        piece = await soon(anext(pieces))
        assert piece.count(b"event: reset") == 1
        kept = _keys(piece)
        assert kept == [(job_id, 1) for job_id in jobs[-len(kept) :]]
        assert 1 <= len(kept) <= 5
        other = asyncio.ensure_future(anext(others))
        await _submit(engine, "bob")
        assert b"reset" not in await soon(other)


async def _read_up(feed: Feed, engine: Engine) -> None:
    """Return once the reader is at the feed's end."""
    end = (await engine.events(None)).next
    await eventually(lambda: feed._cursor == end)


async def test_who_is_too_far_behind_begins_at_the_present(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.http.live.feed.CATCH_UP", 2)
    monkeypatch.setattr(feed_pages, "PAGE", 2)
    jobs = await _submit(engine, *["ada"] * 9)
    async with _followed(_feed(engine), "ada", "0") as pieces:
        missed = b"".join([await soon(anext(pieces)) for _ in range(3)])
        assert _keys(missed) == [(job_id, 1) for job_id in jobs[:4]]
        assert missed.count(b"event: reset") == 1
        [job_id] = await _submit(engine, "ada")
        assert _keys(await soon(anext(pieces))) == [(job_id, 1)]


async def test_owners_are_asked_for_once_and_few_are_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_pages, "KNOWN", 3)
    pages = Pages(lambda: engine)
    await _submit(engine, "ada", "bob", "eve", "ida", "joe")
    asked: list[Sequence[JobId]] = []
    get = engine.get

    async def noted(job_ids: Sequence[JobId]) -> list[Job | None]:
        asked.append(job_ids)
        return await get(job_ids)

    monkeypatch.setattr(engine, "get", noted)
    assert [step.of.user_id for step in (await pages.read("0")).steps] == ["ada", "bob", "eve", "ida", "joe"]
    assert len(pages._owners) == 3
    await pages.read("2")
    assert [len(ids) for ids in asked] == [5]


async def test_a_pruned_job_is_told_to_nobody(engine: Engine) -> None:
    [job_id, kept] = await _submit(engine, "ada", "ada")
    pages = Pages(lambda: engine)
    place = (await engine.events(None)).next
    await engine.cancel([job_id], token())
    assert [step.key for step in (await pages.read("0")).steps] == [(job_id, 1), (kept, 1), (job_id, 2)]
    assert str((await pages.place(place)).cursor) == place


# coming in at any time, from any place ---------------------------------------------------------------------


@pytest.mark.parametrize("busy", [(1,), (2,), (3,), (2, 3), (3, 4)])
async def test_what_happens_while_somebody_is_taken_in_is_told_to_him_once(
    busy: tuple[int, ...], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, plain = _feed(engine), engine.events
    made: list[JobId] = []
    reads: list[str | None] = []

    async def eventful(after: str | None, limit: int = 1_000) -> FeedPart:
        reads.append(after)
        if len(reads) in busy:  # first he reads by himself, then the reader for all, and then the reader for him
            made.extend(await _submit(engine, "ada"))
        return await plain(after, limit)

    async with _followed(feed, "ada") as pieces:
        monkeypatch.setattr(engine, "events", eventful)
        told = _keys(await soon(anext(pieces)))
        monkeypatch.setattr(engine, "events", plain)
        made += await _submit(engine, "ada")
        while len(told) < len(made):
            told += _keys(await soon(anext(pieces)))
    assert told == [(job_id, 1) for job_id in made]


@pytest.mark.parametrize("store", STORES)
async def test_whoever_comes_at_any_time_from_any_place_is_told_each_step_behind_it_once(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_pages, "PAGE", 3)
    dice = random.Random(7)
    async with url_of(store, tmp_path) as url, open_engine(url) as engine:
        feed, told = _feed(engine), list[tuple[str, Key]]()
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(_hear(feed, None, told, until=60))
            await eventually(lambda: feed.reading)
            making = group.create_task(_make(engine, 60, dice))
            for _ in range(12):
                group.create_task(_come(feed, told, dice, until=60))
        assert sorted(key for _, key in told) == sorted((job_id, 1) for job_id in making.result())


async def _make(engine: Engine, count: int, dice: random.Random) -> list[JobId]:
    jobs: list[JobId] = []
    while len(jobs) < count:
        jobs += await _submit(engine, *["ada"] * min(dice.randint(1, 4), count - len(jobs)))
        await asyncio.sleep(dice.random() * 0.01)
    return jobs


async def _hear(feed: Feed, place: str | None, told: list[tuple[str, Key]], until: int) -> None:
    """Hear `until` steps, each once; note at which place each was told."""
    async with _followed(feed, "ada", place) as pieces:
        while len(told) < until:
            piece = await anext(pieces)
            ids = [line[4:] for line in piece.decode().splitlines() if line.startswith("id: ")]
            told += zip(ids, _keys(piece), strict=True)
            assert len({key for _, key in told}) == len(told)


async def _come(feed: Feed, told: list[tuple[str, Key]], dice: random.Random, until: int) -> None:
    """Come at some time, from some place that somebody was told, and hear all behind it."""
    after = 1 + dice.randint(0, until - 10)
    await eventually(lambda: len(told) >= after, within=20)
    number = dice.randrange(len(told))
    mine = told[: number + 1]
    await _hear(feed, told[number][0], mine, until)
    assert [key for _, key in mine[: len(told)]] == [key for _, key in told[: len(mine)]]
