"""Rule sets: what the defaults say, and which settings are refused."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.core.circuits import Circuit
from tidegate.core.rules import (
    API,
    LLM,
    PROVIDER,
    QUEUE,
    RULE_SETS,
    CountRule,
    OpenTime,
    Probing,
    Rules,
    RunRule,
    scaled,
)
from tidegate.core.upstream import MOST_MARKS
from tidegate.core.verbs import Pace
from tidegate.errors import ConfigError


def test_rule_sets_go_by_their_names() -> None:
    assert {name: RULE_SETS[name] for name in RULE_SETS} == {
        "api": API,
        "llm": LLM,
        "queue": QUEUE,
        "provider": PROVIDER,
    }


def test_the_defaults_are_what_was_asked_for() -> None:
    assert API.count == CountRule(more_than=5, within=timedelta(seconds=60))
    assert API.open_time.first == timedelta(seconds=30)
    assert LLM.count == CountRule(more_than=4, within=timedelta(seconds=300))
    assert LLM.open_time.first == LLM.open_time.cap == timedelta(seconds=600)
    assert QUEUE.run == RunRule(length=5, pause=timedelta(seconds=60))


def test_rules_divided_by_ten_do_the_same_ten_times_as_fast() -> None:
    fast = Circuit(scaled(API, 10))
    for _ in range(6):
        fast.after(0.1).bad()
    assert fast.shut == 3
    assert fast.after(3).tick(0.5).gate.limit == 2
    assert fast.tick(6.5).upstream.why == "its probe hung"


def test_only_durations_are_divided() -> None:
    paced = replace(API, pace=Pace(period=timedelta(seconds=1), burst=3), limit=4)
    assert scaled(paced, 10).pace == Pace(period=timedelta(milliseconds=100), burst=3)
    assert replace(scaled(scaled(paced, 8), 1 / 8)) == paced
    assert scaled(paced, 10).limit == 4


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_admits_nobody_is_refused(limit: int) -> None:
    with pytest.raises(ConfigError, match="'api': limit must be at least 1"):
        replace(API, limit=limit)


@pytest.mark.parametrize("number", [-1, MOST_MARKS])
def test_a_count_that_is_never_reached_is_refused(number: int) -> None:
    with pytest.raises(ConfigError, match="more_than must be between 0 and 63"):
        CountRule(more_than=number)


def test_the_largest_count_can_be_reached() -> None:
    circuit = Circuit(Rules(name="many", count=CountRule(more_than=MOST_MARKS - 1), rate=None))
    for _ in range(MOST_MARKS - 1):
        circuit.bad()
    assert circuit.shut == 0
    assert circuit.bad().shut == 30


@pytest.mark.parametrize("wrong", [timedelta(0), timedelta(seconds=-1)])
def test_a_duration_of_nothing_is_refused_by_name(wrong: timedelta) -> None:
    with pytest.raises(ConfigError, match=r"'x': probing\.soft must be longer than 0"):
        Rules(name="x", probing=Probing(soft=wrong))
    with pytest.raises(ConfigError, match=r"'x': open_time\.first must be longer than 0"):
        Rules(name="x", open_time=OpenTime(first=wrong))
    with pytest.raises(ConfigError, match=r"'x': pace\.period must be longer than 0"):
        Rules(name="x", pace=Pace(period=wrong))
