"""Schedules that code declares: checked where they stand, stored at the start, held by operators."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tidegate import RetryPolicy, Settings, Steps, Tidegate, load
from tidegate.app import JobFunction
from tidegate.clock import token
from tidegate.core.cron import Misfire
from tidegate.errors import ConfigError
from tidegate.schedules import Book, Origin, Standing
from tidegate.schedules.plans import decode, encode, passed, paused, ticked

Declare = Callable[..., None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(engine=f"sqlite:///{tmp_path}/t.db", data_dir=tmp_path)


@pytest.fixture
def app(settings: Settings) -> Tidegate:
    return Tidegate(settings)


@pytest.fixture
def double(app: Tidegate) -> JobFunction[int, int]:
    @app.job("double")
    async def double(number: int) -> int:
        return 2 * number

    return double


@asynccontextmanager
async def stored(app: Tidegate) -> AsyncIterator[tuple[Book, dict[str, Standing]]]:
    """The application open without a worker, and the schedules in its store by name."""
    async with app.connected():
        book = Book(app.system.engine, token)
        found = [record.standing for record in await book.all()]
        yield book, {one.plan.name: one for one in found if one is not None}


async def test_what_is_declared_is_in_the_store_once_the_application_is_open(
    app: Tidegate, double: JobFunction[int, int]
) -> None:
    policy = RetryPolicy(backoff=Steps(delays=(timedelta(seconds=3),)), max_attempts=2)
    app.schedule(
        "nightly", "0 3 * * *", double, 4, timezone="Europe/Berlin", misfire="all", max_catch_up=5, user_id="ada",
        queue="high", priority=3, retry=policy, timeout=timedelta(seconds=9), tags=("t",),
    )  # fmt: skip
    app.schedule("hourly", "0 * * * *", double, 5)
    async with stored(app) as (_, schedules):
        assert sorted(schedules) == ["hourly", "nightly"]
        nightly = schedules["nightly"]
    assert nightly.origin is Origin.CODE
    assert (nightly.plan.schedule.misfire, nightly.plan.schedule.max_catch_up) == (Misfire.ALL, 5)
    asked = nightly.plan.request()
    assert (asked.type, asked.payload, asked.user_id, asked.queue) == ("double", b"4", "ada", "high")
    assert (asked.priority, asked.retry, asked.timeout, asked.tags) == (3, policy, timedelta(seconds=9), ("t",))


async def test_a_restart_changes_nothing_and_another_declaration_keeps_the_operator_s_pause(
    settings: Settings, app: Tidegate, double: JobFunction[int, int]
) -> None:
    app.schedule("nightly", "0 3 * * *", double, 4)
    async with stored(app) as (book, schedules):
        made = schedules["nightly"]
        now = made.looked + timedelta(days=1)
        held, _ = await book.change(made.plan.key, lambda at: None if at is None else paused(at, "ada", now))
    async with stored(app) as (book, schedules):
        assert schedules["nightly"] == held.standing
        [record] = await book.load([made.plan.key])
        assert record.version == held.version

    other = Tidegate(settings)

    @other.job("double")
    async def later(number: int) -> int:
        return 2 * number

    other.schedule("nightly", "0 4 * * *", later, 4)
    async with stored(other) as (_, schedules):
        moved = schedules["nightly"]
    assert moved.plan.schedule.expression == "0 4 * * *"
    assert (moved.paused_at, moved.paused_by, moved.created_at) == (now, "ada", made.created_at)
    assert moved.looked > made.looked


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expression": "soon"}, "expression: write five fields"),
        ({"expression": ""}, "needs an expression"),
        ({"timezone": "Mars/Olympus"}, "timezone: "),
        ({"misfire": "never"}, "misfire is one of skip, latest, all"),
        ({"max_catch_up": 0}, "1 to 1000"),
        ({"name": "No Name"}, "name: "),
        ({"name": ""}, "name"),
        ({"payload": "four"}, "payload: "),
        ({"payload": 10**70_000}, "payload: "),
        ({"queue": "No Queue"}, "queue: "),
        ({"priority": 11}, "priority: "),
        ({"timeout": -1}, "timeout: "),
        ({"timeout": float("nan")}, "timeout: "),
        ({"tags": ("",)}, "tags: "),
    ],
)
def test_what_is_wrong_is_refused_where_it_is_declared(
    change: dict[str, object], says: str, app: Tidegate, double: JobFunction[int, int]
) -> None:
    given: dict[str, object] = {"name": "nightly", "expression": "0 3 * * *", "payload": 4, **change}
    first = [given.pop(name) for name in ("name", "expression", "payload")]
    declare: Declare = app.schedule
    with pytest.raises(ConfigError, match=says):
        declare(first[0], first[1], double, first[2], **given)


def test_one_user_s_schedules_have_different_names(app: Tidegate, double: JobFunction[int, int]) -> None:
    app.schedule("nightly", "0 3 * * *", double, 4)
    app.schedule("nightly", "0 3 * * *", double, 4, user_id="ada")
    with pytest.raises(ConfigError, match="declared twice"):
        app.schedule("nightly", "0 4 * * *", double, 4)


def test_a_misspelt_option_is_refused_with_those_there_are(app: Tidegate, double: JobFunction[int, int]) -> None:
    declare: Declare = app.schedule
    with pytest.raises(TypeError, match=r"schedule\(\) has no option 'time_zone'; it has: .*timezone"):
        declare("nightly", "0 3 * * *", double, 4, time_zone="UTC")
    with pytest.raises(TypeError, match="takes the function that"):
        declare("nightly", "0 3 * * *", "double", 4)


async def test_a_document_reads_back_as_it_was_written_and_nonsense_as_none(
    app: Tidegate, double: JobFunction[int, int]
) -> None:
    app.schedule("nightly", "0 3 * * *", double, 4)
    async with stored(app) as (_, schedules):
        known = schedules["nightly"]
    full = replace(known, last_tick=known.looked, last_job="j", error="e", paused_at=known.looked, paused_by="ada")
    assert decode(encode(full)) == full
    naive = replace(full, looked=full.looked.replace(tzinfo=None))
    for text in (None, b"", b"{}", b"[1]", encode(full)[:-5], encode(naive), encode(full).replace(b'"all"', b'"x"')):
        assert decode(text) in (None, full)
    assert decode(encode(naive)) is None


async def test_what_a_slow_worker_writes_down_never_takes_a_tick_back(
    app: Tidegate, double: JobFunction[int, int]
) -> None:
    app.schedule("nightly", "0 3 * * *", double, 4)
    async with stored(app) as (_, schedules):
        known = schedules["nightly"]
    first, second = known.looked + timedelta(days=1), known.looked + timedelta(days=2)
    after = ticked(ticked(known, second, "two"), first, "one")
    assert after == ticked(known, second, "two")
    assert passed(after, first) == after
    assert ticked(None, first, "one") is None
