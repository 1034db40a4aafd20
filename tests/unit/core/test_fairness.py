"""Who comes next, in a line and between queues."""

import pytest

from tidegate.core.fairness import Turn, charge, rank, share, turns, weight


def quotas(asked: tuple[Turn, ...]) -> list[tuple[str, int]]:
    return [(turn.queue, turn.quota) for turn in asked]


def test_each_priority_weighs_twice_the_one_below() -> None:
    assert [weight(priority) for priority in range(10)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_the_first_of_a_flow_stands_one_step_behind_what_the_line_has_reached() -> None:
    assert rank(5.0, None, 0) == 6.0
    assert rank(5.0, None, 1) == 5.5
    assert rank(5.0, None, 9) == 5.0 + 1 / 512


def test_the_next_of_a_flow_stands_one_step_behind_its_last() -> None:
    assert rank(5.0, 7.0, 0) == 8.0
    assert rank(5.0, 7.0, 2) == 7.25


def test_a_flow_that_was_away_gathers_no_credit() -> None:
    assert rank(5.0, 2.0, 0) == 6.0


@pytest.mark.parametrize(
    ("remaining", "lanes", "most"), [(10, 3, 4), (9, 3, 3), (1, 3, 1), (0, 3, 0), (7, 1, 7), (7, 0, 7)]
)
def test_a_lane_may_give_its_even_part_rounded_up(remaining: int, lanes: int, most: int) -> None:
    assert share(remaining, lanes) == most


def test_a_claim_is_split_by_weight() -> None:
    weights = {"high": 6, "default": 3, "low": 1}
    assert quotas(turns(weights, {}, 10)) == [("high", 6), ("default", 3), ("low", 1)]


def test_a_claim_for_one_asks_every_queue_the_one_that_is_due_first() -> None:
    weights = {"high": 6, "default": 3, "low": 1}
    assert quotas(turns(weights, {}, 1)) == [("high", 1), ("default", 0), ("low", 0)]
    assert quotas(turns(weights, {"high": 1.0}, 1)) == [("default", 1), ("low", 0), ("high", 0)]


def test_a_claim_for_nothing_still_names_every_queue() -> None:
    assert quotas(turns({"b": 1, "a": 1}, {}, 0)) == [("a", 0), ("b", 0)]
    assert turns({}, {}, 0) == ()


def test_of_queues_that_are_due_together_the_heavier_comes_first_and_then_the_name_decides() -> None:
    assert quotas(turns({"light": 1, "heavy": 2}, {"heavy": 0.5}, 1))[0] == ("heavy", 1)
    assert quotas(turns({"b": 1, "a": 1}, {}, 1))[0] == ("a", 1)


def test_what_a_queue_gave_is_charged_by_its_weight() -> None:
    weights = {"high": 2, "low": 1}
    asked = turns(weights, {}, 3)
    assert charge(weights, {}, asked, {"high": 2, "low": 1}) == {"high": 0.0, "low": 0.0}
    assert charge(weights, {"low": 1.0}, asked, {"high": 2, "low": 1}) == {"high": 0.0, "low": 1.0}


def test_a_queue_that_gave_less_than_its_quota_gathers_no_credit() -> None:
    weights = {"busy": 1, "idle": 1}
    asked = turns(weights, {}, 2)
    assert charge(weights, {}, asked, {"busy": 2}) == {"busy": 0.0, "idle": 0.0}


def test_an_idle_queue_that_was_ahead_keeps_what_it_owes() -> None:
    weights = {"busy": 1, "idle": 1}
    asked = (Turn(queue="busy", quota=1), Turn(queue="idle", quota=1))
    assert charge(weights, {"idle": 5.0}, asked, {"busy": 1}) == {"busy": 0.0, "idle": 4.0}


def test_where_all_are_idle_all_are_even_again() -> None:
    weights = {"a": 1, "b": 2}
    asked = turns(weights, {"a": 3.0}, 3)
    assert charge(weights, {"a": 3.0}, asked, {}) == {"a": 0.0, "b": 0.0}
    assert charge({}, {}, (), {}) == {}
