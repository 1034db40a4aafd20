"""Which missed ticks run, how they are found, and what a tick is called."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidegate.core.cron import Following, Misfire, Schedule, due_ticks, tick_key
from tidegate.core.idempotency import check_key
from tidegate.errors import ConfigError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
EAST = timezone(timedelta(hours=3))


def every(period: timedelta) -> Following:
    """Ticks at noon and at every whole period from it, both ways."""
    return lambda after: NOON + ((after - NOON) // period + 1) * period


def at(*ticks: datetime) -> Following:
    """These ticks and no other."""
    return lambda after: next((tick for tick in ticks if tick > after), None)


def ticks(following: Following, minutes: float, misfire: Misfire = Misfire.ALL, limit: int = 10) -> list[float]:
    """The due ticks of a look `minutes` after noon that comes after one at noon, in minutes."""
    due = due_ticks(following, NOON, NOON + minutes * MINUTE, misfire=misfire, limit=limit)
    return [(tick - NOON) / MINUTE for tick in due]


@pytest.mark.parametrize("misfire", Misfire)
def test_a_tick_runs_at_its_instant_and_once(misfire: Misfire) -> None:
    assert ticks(every(MINUTE), 0.99, misfire) == []
    assert ticks(every(MINUTE), 1, misfire) == [1]
    due = due_ticks(every(MINUTE), NOON + MINUTE, NOON + 1.5 * MINUTE, misfire=misfire, limit=10)
    assert due == ()


@pytest.mark.parametrize("misfire", Misfire)
@pytest.mark.parametrize("minutes", [0, -1, -100_000])
def test_a_clock_that_went_back_makes_nothing_due(misfire: Misfire, minutes: int) -> None:
    assert ticks(every(MINUTE), minutes, misfire) == []


def test_skip_runs_what_is_at_most_a_minute_late() -> None:
    assert ticks(every(2 * MINUTE), 3, Misfire.SKIP) == [2]
    assert ticks(every(2 * MINUTE), 3.01, Misfire.SKIP) == []
    assert ticks(every(MINUTE / 4), 10.1, Misfire.SKIP) == [9.25, 9.5, 9.75, 10]


def test_skip_looks_no_further_back_than_the_last_look() -> None:
    assert ticks(every(MINUTE / 4), 0.6, Misfire.SKIP) == [0.25, 0.5]


def test_latest_runs_the_newest_for_all_that_were_missed() -> None:
    assert ticks(every(7 * MINUTE), 100, Misfire.LATEST) == [98]
    assert ticks(every(7 * MINUTE), 100_000, Misfire.LATEST) == [99_995]


def test_all_runs_each_up_to_the_limit_and_drops_the_oldest() -> None:
    assert ticks(every(MINUTE), 4.5, limit=10) == [1, 2, 3, 4]
    assert ticks(every(MINUTE), 10.5, limit=10) == list(range(1, 11))
    assert ticks(every(MINUTE), 11, limit=10) == list(range(2, 12))
    assert ticks(every(MINUTE), 100_000, limit=3) == [99_998, 99_999, 100_000]


def test_the_newest_are_found_among_ticks_that_come_in_bursts() -> None:
    burst = [NOON + n * timedelta(seconds=1) for n in range(1, 50)]
    lone = NOON + 40 * DAY
    due = due_ticks(at(*burst, lone), NOON, NOON + 41 * DAY, misfire=Misfire.ALL, limit=3)
    assert due == (burst[-2], burst[-1], lone)


def test_neighbouring_microseconds_are_told_apart() -> None:
    near = [NOON + n * timedelta(microseconds=1) for n in range(1, 6)]
    due = due_ticks(at(*near), NOON, NOON + DAY, misfire=Misfire.ALL, limit=2)
    assert due == tuple(near[-2:])


@pytest.mark.parametrize("misfire", Misfire)
def test_a_schedule_that_never_ticks_again_is_no_fault(misfire: Misfire) -> None:
    assert ticks(at(), 60, misfire) == []


def test_a_decade_of_missed_seconds_costs_few_questions() -> None:
    asked: list[datetime] = []
    second = every(timedelta(seconds=1))

    def counted(after: datetime) -> datetime | None:
        asked.append(after)
        return second(after)

    due = due_ticks(counted, NOON - 3_652 * DAY, NOON, misfire=Misfire.ALL, limit=10)
    assert due[0] == NOON - timedelta(seconds=9)
    assert len(asked) <= 50 * 12


def test_instants_of_any_zone_are_taken_and_utc_is_given() -> None:
    noon = NOON.astimezone(EAST)

    def in_the_east(after: datetime) -> datetime:
        assert after.tzinfo is UTC
        return after.astimezone(EAST) + MINUTE

    due = due_ticks(in_the_east, noon, noon + 2 * MINUTE, misfire=Misfire.ALL, limit=10)
    assert due == (NOON + MINUTE, NOON + 2 * MINUTE)
    assert [tick.tzinfo for tick in due] == [UTC, UTC]


@pytest.mark.parametrize(
    "following",
    [
        lambda after: after,
        lambda after: after - MINUTE,
        lambda after: NOON + MINUTE,
        lambda after: after.replace(tzinfo=None) + MINUTE,
    ],
    ids=["stands still", "goes back", "repeats itself", "forgets the zone"],
)
def test_a_following_that_misbehaves_is_refused_and_never_loops(following: Following) -> None:
    with pytest.raises(ConfigError, match=r"must be later|no time zone"):
        ticks(following, 60)


def test_a_following_that_contradicts_itself_still_ends_in_order() -> None:
    def erratic(after: datetime) -> datetime:
        return after + (MINUTE if after.minute % 2 else timedelta(hours=5))

    due = ticks(erratic, 100_000, limit=3)
    assert len(due) <= 3
    assert due == sorted(set(due))


@pytest.mark.parametrize(
    "look",
    [
        lambda naive: due_ticks(every(MINUTE), naive, NOON, misfire=Misfire.ALL, limit=1),
        lambda naive: due_ticks(every(MINUTE), NOON, naive, misfire=Misfire.ALL, limit=1),
        lambda naive: tick_key("report", naive),
    ],
    ids=["last", "now", "tick"],
)
def test_an_instant_without_a_zone_is_refused(look: Callable[[datetime], object]) -> None:
    with pytest.raises(ConfigError, match="no time zone"):
        look(NOON.replace(tzinfo=None))


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    with pytest.raises(ConfigError, match=str(limit)):
        ticks(every(MINUTE), 5, limit=limit)
    with pytest.raises(ConfigError, match=str(limit)):
        Schedule(name="report", expression="0 9 * * *", max_catch_up=limit)


def test_a_schedule_runs_the_latest_in_utc_unless_it_says_otherwise() -> None:
    schedule = Schedule(name="x", expression="0 9 * * *")
    assert (schedule.timezone, schedule.misfire, schedule.max_catch_up) == ("UTC", Misfire.LATEST, 10)


@pytest.mark.parametrize("name", ["", "x" * 201, "bericht-ä", "two\nlines"])
def test_a_name_that_makes_no_key_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="printable ASCII"):
        Schedule(name=name, expression="0 9 * * *")


@pytest.mark.parametrize(("expression", "zone"), [("", "UTC"), (" ", "UTC"), ("0 9 * * *", ""), ("0 9 * * *", " ")])
def test_an_empty_expression_or_zone_is_refused(expression: str, zone: str) -> None:
    with pytest.raises(ConfigError, match="needs an expression and a time zone"):
        Schedule(name="report", expression=expression, timezone=zone)


def test_a_tick_is_named_by_its_schedule_and_its_instant_in_utc() -> None:
    assert tick_key("report", NOON) == "cron:report:2026-03-01T12:00:00Z"
    assert tick_key("report", NOON.astimezone(EAST)) == "cron:report:2026-03-01T12:00:00Z"
    assert tick_key("report", NOON + timedelta(microseconds=5)) == "cron:report:2026-03-01T12:00:00.000005Z"


def test_the_longest_name_still_makes_an_idempotency_key() -> None:
    name = Schedule(name="x" * 200, expression="* * * * *").name
    key = tick_key(name, NOON + timedelta(microseconds=5))
    assert check_key(key) == key
