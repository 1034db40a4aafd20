"""Due ticks with a real cron iterator, over the zones and hours where clocks change."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.cron import Following, Misfire, due_ticks, tick_key

MINUTE = timedelta(minutes=1)
YEAR = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = [
    *("Africa/Cairo", "Africa/Casablanca", "America/Asuncion", "America/Chicago", "America/Denver"),
    *("America/Halifax", "America/Havana", "America/Los_Angeles", "America/Miquelon", "America/New_York"),
    *("America/Nuuk", "America/Santiago", "America/St_Johns", "America/Tijuana", "Antarctica/Troll"),
    *("Asia/Beirut", "Asia/Gaza", "Asia/Jerusalem", "Atlantic/Azores", "Australia/Adelaide"),
    *("Australia/Lord_Howe", "Australia/Sydney", "Europe/Athens", "Europe/Berlin", "Europe/Chisinau"),
    *(
        "Europe/Dublin",
        "Europe/Lisbon",
        "Europe/London",
        "Pacific/Auckland",
        "Pacific/Chatham",
        "Pacific/Norfolk",
    ),
]
"""Zones whose clocks changed in 2024: by 30, 60 and 120 minutes, at midnight, and backwards in spring."""


def cron(expression: str, zone: str) -> Following:
    """What cronsim says, less the ticks of an hour's first pass when asked from within the second."""
    local = ZoneInfo(zone)

    def following(after: datetime) -> datetime | None:
        ticks = (tick.astimezone(UTC) for tick in CronSim(expression, after.astimezone(local)))
        return next((tick for tick in ticks if tick > after), None)

    return following


def changes(zone: str) -> list[datetime]:
    """The instants of 2024 at which the zone's offset changes, to the minute."""
    local = ZoneInfo(zone)
    found = []
    for day in range(366):
        start = YEAR + timedelta(days=day)
        if start.astimezone(local).utcoffset() != (start + timedelta(days=1)).astimezone(local).utcoffset():
            minutes = [start + n * MINUTE for n in range(1, 1441)]
            offset = start.astimezone(local).utcoffset()
            found.append(next(at for at in minutes if at.astimezone(local).utcoffset() != offset))
    return found


CHANGES = [(zone, at) for zone in ZONES for at in changes(zone)]
around_changes = st.builds(
    lambda change, minutes: (change[0], change[1] + minutes * MINUTE),
    st.sampled_from(CHANGES),
    st.integers(min_value=-1_500, max_value=1_500),
)
hours = st.integers(min_value=0, max_value=23) | st.sampled_from([0, 1, 2, 3])
fixed = st.builds(lambda minute, hour: f"{minute} {hour} * * *", st.integers(min_value=0, max_value=59), hours)
lists = st.builds(
    lambda minutes, hour, more: f"{','.join(map(str, sorted(minutes)))} {hour}-{hour + more} * * *",
    st.sets(st.integers(min_value=0, max_value=59), min_size=1, max_size=3),
    st.integers(min_value=0, max_value=4),
    st.integers(min_value=0, max_value=3),
)
wild = st.sampled_from(["* * * * *", "*/15 * * * *", "*/30 0-3 * * *", "7 * * * *", "0 */2 * * *", "*/20 0 1 * *"])


def test_the_zones_change_their_clocks_often_enough_to_matter() -> None:
    assert len({zone for zone, _ in CHANGES}) >= 30
    assert len(CHANGES) >= 60


@given(start=around_changes, expression=fixed | lists | wild, hours=st.integers(min_value=0, max_value=72))
def test_ticks_are_strictly_increasing_and_in_their_window(
    start: tuple[str, datetime], expression: str, hours: int
) -> None:
    zone, last = start
    now = last + timedelta(hours=hours)
    due = due_ticks(cron(expression, zone), last, now, misfire=Misfire.ALL, limit=1_000)
    assert list(due) == sorted(set(due))
    assert all(last < tick <= now and tick.tzinfo is UTC for tick in due)
    assert len({tick_key("x", tick) for tick in due}) == len(due)


@given(start=around_changes, expression=fixed | lists)
def test_a_schedule_with_fixed_times_has_no_wall_clock_twice(start: tuple[str, datetime], expression: str) -> None:
    zone, last = start
    due = due_ticks(cron(expression, zone), last, last + timedelta(days=3), misfire=Misfire.ALL, limit=1_000)
    walls = Counter(tick.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for tick in due)
    assert max(walls.values(), default=1) == 1


@given(start=around_changes, expression=fixed | lists | st.just("7 * * * *"), looks=st.data())
def test_looking_often_finds_what_one_look_finds(
    start: tuple[str, datetime], expression: str, looks: st.DataObject
) -> None:
    zone, last = start
    end = last + timedelta(days=2)
    following = cron(expression, zone)
    cuts = looks.draw(st.lists(st.integers(min_value=0, max_value=2 * 1440), max_size=12))
    found: list[datetime] = []
    at = last
    for cut in [*sorted(cuts), 2 * 1440]:
        found += due_ticks(following, at, last + cut * MINUTE, misfire=Misfire.ALL, limit=1_000)
        at = last + cut * MINUTE
    assert tuple(found) == due_ticks(following, last, end, misfire=Misfire.ALL, limit=1_000)


@given(
    ticks=st.lists(st.integers(min_value=0, max_value=10**9), unique=True, max_size=60).map(sorted),
    window=st.tuples(*[st.integers(min_value=-5, max_value=10**9 + 5)] * 2),
    limit=st.integers(min_value=1, max_value=20),
)
def test_bisection_finds_the_newest_of_any_ticks(ticks: list[int], window: tuple[int, int], limit: int) -> None:
    instants = [YEAR + n * timedelta(microseconds=1) for n in ticks]
    last, now = (YEAR + n * timedelta(microseconds=1) for n in window)

    def following(after: datetime) -> datetime | None:
        return next((tick for tick in instants if tick > after), None)

    missed = [tick for tick in instants if last < tick <= now]
    assert due_ticks(following, last, now, misfire=Misfire.ALL, limit=limit) == tuple(missed[-limit:])
    assert due_ticks(following, last, now, misfire=Misfire.LATEST, limit=limit) == tuple(missed[-1:])


def oracle(zone: str, start: datetime, end: datetime, walls: Sequence[tuple[int, int]]) -> list[datetime]:
    """Minute by minute: the first pass of each wall clock time, or the end of the gap that swallows it."""
    local = ZoneInfo(zone)
    found: set[datetime] = set()
    day = start.astimezone(local).date() - timedelta(days=1)
    while day <= end.astimezone(local).date() + timedelta(days=1):
        for hour, minute in walls:
            wall = datetime(day.year, day.month, day.day, hour, minute)
            while wall.replace(tzinfo=local).astimezone(UTC).astimezone(local).replace(tzinfo=None) != wall:
                wall += MINUTE
            found.add(wall.replace(tzinfo=local).astimezone(UTC))
        day += timedelta(days=1)
    return sorted(tick for tick in found if start < tick <= end)


@pytest.mark.parametrize(("zone", "change"), CHANGES, ids=[f"{zone}-{at:%m-%d}" for zone, at in CHANGES])
def test_at_each_change_of_clocks_daily_times_run_once_and_intervals_by_elapsed_time(
    zone: str, change: datetime
) -> None:
    start, end = change - timedelta(hours=30), change + timedelta(hours=30)

    def due(expression: str) -> list[datetime]:
        return list(due_ticks(cron(expression, zone), start, end, misfire=Misfire.ALL, limit=1_000))

    minutes = [start + n * MINUTE for n in range(1, 60 * 60 + 1)]
    assert due("*/15 * * * *") == [at for at in minutes if at.astimezone(ZoneInfo(zone)).minute % 15 == 0]
    for minute, hour in [(30, 0), (15, 1), (30, 1), (0, 2), (30, 2), (30, 23)]:
        assert due(f"{minute} {hour} * * *") == oracle(zone, start, end, [(hour, minute)])
    assert due("5,40 0-3 * * *") == oracle(zone, start, end, [(hour, m) for hour in range(4) for m in (5, 40)])
