"""What cron expressions mean in time zones, above all where clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tidegate.core.cron import Misfire, due_ticks
from tidegate.errors import InvalidInput
from tidegate.schedules import expressions, parse, ticks_after

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
SECOND = timedelta(seconds=1)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def upcoming(expression: str, zone: str, after: str, count: int) -> list[str]:
    """The next ticks as that zone's clock shows them, with its offset."""
    ticks = ticks_after(parse(expression, zone), instant(after), count)
    assert all(tick.tzinfo is UTC for tick in ticks)
    return [tick.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes") for tick in ticks]


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        # the gap of spring: Berlin 02:00 to 03:00, New York 02:00 to 03:00, Lord Howe 02:00 to 02:30
        (BERLIN, "30 2 * * *", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        (BERLIN, "0 3 * * *", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T03:00+02:00"]),
        (BERLIN, "0,30 2,3 29 3 *", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"]),
        (NEW_YORK, "30 2 * * *", "2026-03-07T12:00-05:00", ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"]),
        (LORD_HOWE, "15 2 * * *", "2026-10-03T12:00+10:30", ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
        # the repeated hour of autumn: Berlin 02:00 to 03:00, New York 01:00 to 02:00, Lord Howe 01:30 to 02:00
        (BERLIN, "30 2 * * *", "2026-10-24T12:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        (BERLIN, "30 2 * * *", "2026-10-25T02:10+01:00", ["2026-10-26T02:30+01:00", "2026-10-27T02:30+01:00"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31T12:00-04:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
        (LORD_HOWE, "45 1 * * *", "2026-04-04T12:00+11:00", ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"]),
    ],
)
def test_a_time_of_the_day_runs_once_a_day_whatever_clocks_do(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    assert upcoming(expression, zone, after, 2) == expected


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        (BERLIN, "0 * * * *", "2026-03-29T01:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"]),
        (BERLIN, "*/30 * * * *", "2026-03-29T01:00+01:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"]),
        (BERLIN, "30 */2 * * *", "2026-03-29T01:00+01:00", ["2026-03-29T04:30+02:00", "2026-03-29T06:30+02:00"]),
        (BERLIN, "0 * * * *", "2026-10-25T01:30+02:00", ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]),
        (BERLIN, "45 * * * *", "2026-10-25T02:50+02:00", ["2026-10-25T02:45+01:00", "2026-10-25T03:45+01:00"]),
        (NEW_YORK, "0 * * * *", "2026-11-01T01:00-04:00", ["2026-11-01T01:00-05:00", "2026-11-01T02:00-05:00"]),
        (LORD_HOWE, "0 * * * *", "2026-10-04T01:30+10:30", ["2026-10-04T03:00+11:00", "2026-10-04T04:00+11:00"]),
        (LORD_HOWE, "0 */3 * * *", "2026-10-04T00:30+10:30", ["2026-10-04T03:00+11:00", "2026-10-04T06:00+11:00"]),
        (LORD_HOWE, "0 */3 * * *", "2026-04-05T00:30+11:00", ["2026-04-05T03:00+10:30", "2026-04-05T06:00+10:30"]),
        (LORD_HOWE, "*/15 * * * *", "2026-04-05T01:30+11:00", ["2026-04-05T01:45+11:00", "2026-04-05T01:30+10:30"]),
    ],
)
def test_a_rhythm_runs_whenever_the_clock_shows_such_a_time(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    assert upcoming(expression, zone, after, 2) == expected


@pytest.mark.parametrize("start", ["2026-03-01T00:00Z", "2026-09-20T00:00Z"])
@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
def test_a_rhythm_of_half_hours_keeps_real_time_through_every_change_of_the_clocks(zone: str, start: str) -> None:
    ticks = ticks_after(parse("*/30 * * * *", zone), instant(start), 48 * 45)
    assert {later - earlier for earlier, later in pairwise(ticks)} == {30 * 60 * SECOND}


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
@pytest.mark.parametrize("expression", ["15 2 * * *", "45 1 * * *", "0 0 * * *", "59 23 * * *"])
def test_a_time_of_the_day_has_one_tick_on_each_day_of_a_year(zone: str, expression: str) -> None:
    days = [tick[:10] for tick in upcoming(expression, zone, "2026-01-02T00:00Z", 365)]
    assert len(set(days)) == 365


def test_a_leap_day_comes_every_fourth_year_and_not_in_2100() -> None:
    assert upcoming("0 0 29 2 *", "UTC", "2026-01-01T00:00Z", 2) == ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]
    assert upcoming("0 0 29 2 *", "UTC", "2096-03-01T00:00Z", 1) == ["2104-02-29T00:00+00:00"]


def test_a_31st_is_passed_over_where_a_month_has_none() -> None:
    days = [tick[:10] for tick in upcoming("0 0 31 * *", BERLIN, "2026-01-01T00:00+01:00", 7)]
    assert [day[5:7] for day in days] == ["01", "03", "05", "07", "08", "10", "12"]


def test_of_two_days_one_is_enough_unless_one_begins_with_a_star() -> None:
    either = [tick[:10] for tick in upcoming("0 0 13 * FRI", "UTC", "2026-02-01T00:00Z", 3)]
    both = [tick[:10] for tick in upcoming("0 0 */2 * MON", "UTC", "2026-02-01T00:00Z", 2)]
    assert either == ["2026-02-06", "2026-02-13", "2026-02-20"]
    assert both == ["2026-02-09", "2026-02-23"]


def test_the_last_day_and_the_nth_weekday_are_understood() -> None:
    assert upcoming("0 9 L * *", "UTC", "2028-02-01T00:00Z", 1) == ["2028-02-29T09:00+00:00"]
    assert upcoming("0 9 * * MON#2", "UTC", "2026-02-01T00:00Z", 1) == ["2026-02-09T09:00+00:00"]


@pytest.mark.parametrize(
    "expression",
    [
        "", " ", "* * * *", "* * * * * *", "@daily", "61 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
        "*/0 * * * *", "5-1 * * * *", "a * * * *", "-1 * * * *", "² * * * *", "* * * * MON#6", "1/" * 80 + "1 * * * *",
        "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6 *", "1," * 200 + "1 * * * *",
    ],
)  # fmt: skip
def test_what_is_no_expression_or_never_comes_to_pass_is_refused(expression: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(expression, "UTC")
    assert refused.value.field == "expression"


@pytest.mark.parametrize(
    "zone",
    [
        "", "Mars/Olympus", "Europe", "../../etc/passwd", "/etc/localtime", "localtime", "posixrules", "right/UTC",
        "posix/UTC", "Europe/Berlin\x00", "x" * 300, "+01:00", "europe berlin",
    ],
)  # fmt: skip
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse("* * * * *", zone)
    assert refused.value.field == "timezone"


def test_utc_is_known_where_no_time_zone_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "ZoneInfo", _no_zones)
    assert upcoming("7 7 7 7 *", "UTC", "2026-01-01T00:00Z", 1) == ["2026-07-07T07:07+00:00"]
    with pytest.raises(InvalidInput, match="no time zone known here"):
        parse("7 7 7 7 *", BERLIN)


def _no_zones(name: str) -> ZoneInfo:
    raise ZoneInfoNotFoundError(name)


@given(some.text(alphabet="0123456789*/,-#LWMONFEB ", max_size=24))
def test_any_text_is_an_expression_or_is_refused(text: str) -> None:
    try:
        following = parse(text, BERLIN)
    except InvalidInput:
        return
    start = instant("2026-03-28T12:00Z")
    tick = following(start)
    assert tick is None or tick > start


@given(
    some.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Pacific/Apia"]),
    some.sampled_from(["*/7 * * * *", "0 * * * *", "30 */2 * * *", "15 2 * * *", "0,45 1-3 * * *", "0 0 29 2 *"]),
    some.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1), timezones=some.just(UTC)),
    some.timedeltas(timedelta(0), timedelta(hours=3)),
)
def test_the_next_tick_is_the_same_from_wherever_one_asks_before_it(
    zone: str, expression: str, after: datetime, later: timedelta
) -> None:
    following = parse(expression, zone)
    tick = following(after)
    assert tick is not None
    assert tick > after
    assert following(tick - timedelta(microseconds=1)) == tick
    if after + later < tick:
        assert following(after + later) == tick


def test_a_year_of_missed_minutes_is_bisected_not_walked() -> None:
    now = instant("2026-10-25T04:00+01:00")
    asked: list[datetime] = []

    def counted(after: datetime) -> datetime | None:
        asked.append(after)
        return parse("* * * * *", BERLIN)(after)

    due = due_ticks(counted, now - timedelta(days=366), now, misfire=Misfire.ALL, limit=3)
    assert [now - tick for tick in due] == [120 * SECOND, 60 * SECOND, 0 * SECOND]
    assert len(asked) <= 250
