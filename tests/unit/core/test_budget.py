"""Budgets of money: windows of the calendar, amounts that count once, and what an upstream makes of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.unit.core.circuits import START, Circuit, seconds
from tidegate.core.billing import rebudgeted, spent_until
from tidegate.core.breaker import reset
from tidegate.core.budget import (
    MOST_RECEIPTS,
    Budget,
    Spending,
    charged,
    counted,
    held,
    money,
    spent,
    spent_out,
)
from tidegate.core.rules import API, scaled
from tidegate.core.upstream import NO_ERA, Override, Present, State, Tally, Upstream, gate
from tidegate.errors import ConfigError

DAY = timedelta(days=1)
DOLLAR = 1_000_000
TEN = Budget(10)
PAID = replace(API, budget=TEN)


def after_spending(dollars: float, receipt: str = "a", at: datetime = START) -> Spending:
    return charged(Spending(), TEN, int(dollars * DOLLAR), receipt, at)


def pay(circuit: Circuit, dollars: float, receipt: str, era: int = NO_ERA) -> Circuit:
    return circuit.tell(Tally(era=era, spent=int(dollars * DOLLAR), receipt=receipt))


@pytest.mark.parametrize(
    ("per", "now", "begins"),
    [
        (DAY, datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)),
        (DAY, datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)),
        (timedelta(hours=1), datetime(2026, 11, 22, 13, 40, tzinfo=UTC), datetime(2026, 11, 22, 13, tzinfo=UTC)),
        (timedelta(weeks=1), datetime(2026, 11, 22, 13, tzinfo=UTC), datetime(2026, 11, 16, tzinfo=UTC)),  # a Monday
        (DAY, datetime(2020, 2, 29, 1, tzinfo=UTC), datetime(2020, 2, 29, tzinfo=UTC)),  # before the first window
    ],
)
def test_windows_are_those_of_the_calendar(per: timedelta, now: datetime, begins: datetime) -> None:
    budget = Budget(1, per)
    assert (budget.begins(now), budget.ends(now)) == (begins, begins + per)


@pytest.mark.parametrize("dollars", [0, -1, True, float("nan"), float("inf"), Decimal("1e-7"), Decimal("1e10")])
def test_an_amount_that_is_none_is_refused(dollars: Decimal | float) -> None:
    with pytest.raises(ConfigError, match="a budget must be between"):
        Budget(dollars)


@pytest.mark.parametrize("per", [timedelta(0), timedelta(seconds=0.5), timedelta(days=367)])
def test_a_window_that_is_none_is_refused(per: timedelta) -> None:
    with pytest.raises(ConfigError, match="window of a budget"):
        Budget(1, per)


@pytest.mark.parametrize("per", [60, "1d", None])
def test_a_window_that_is_no_timedelta_is_refused_by_name(per: timedelta) -> None:
    with pytest.raises(ConfigError, match=r"per, the window of a budget, must be a timedelta"):
        Budget(50, per=per)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(50), "$50.00 a day"),
        (Budget(1234.5, timedelta(weeks=1)), "$1,234.50 a week"),
        (Budget(Decimal("0.0025"), timedelta(hours=1)), "$0.0025 an hour"),
        (Budget(2, timedelta(minutes=1)), "$2.00 a minute"),
        (Budget(2, timedelta(hours=6)), "$2.00 in 6 hours"),
        (Budget(2, timedelta(days=30)), "$2.00 in 30 days"),
        (Budget(2, timedelta(seconds=90)), "$2.00 in 90 s"),
    ],
)
def test_a_budget_says_what_it_is(budget: Budget, said: str) -> None:
    assert str(budget) == said


def test_money_has_cents_and_no_more_digits_than_there_are() -> None:
    assert [money(micros) for micros in (0, 1, 120_000, 12_345_600)] == ["$0.00", "$0.000001", "$0.12", "$12.3456"]


def test_a_float_is_the_amount_that_it_is_written_as() -> None:
    assert Budget(0.1).micros == 100_000
    assert Budget(0.1) == Budget(Decimal("0.1"))


def test_what_is_spent_adds_up_in_a_window_and_begins_anew_in_the_next() -> None:
    spending = charged(after_spending(4), TEN, 5 * DOLLAR, "b", START + seconds(60))
    assert (spent(spending, TEN, START + seconds(61)), spending.until) == (9 * DOLLAR, None)
    assert spent(spending, TEN, START + DAY) == 0
    tomorrow = charged(spending, TEN, DOLLAR, "c", START + DAY)
    assert (spent(tomorrow, TEN, START + DAY), tomorrow.ends) == (DOLLAR, START + 2 * DAY)


def test_an_amount_counts_once_however_often_it_is_told() -> None:
    once = after_spending(4)
    assert charged(once, TEN, 4 * DOLLAR, "a", START) is once
    assert charged(once, TEN, 4 * DOLLAR, "a", START + DAY) is once  # also where its window is over by now


def test_few_receipts_are_kept() -> None:
    spending = Spending()
    for number in range(MOST_RECEIPTS + 3):
        spending = charged(spending, TEN, 1, f"r{number}", START)
    assert (len(spending.receipts), spending.receipts[0], spending.micros) == (32, "r34", 35)


def test_whoever_reaches_the_budget_waits_for_the_end_of_the_window() -> None:
    assert after_spending(9.999999).until is None
    assert after_spending(10).until == START + DAY
    assert spent_out(after_spending(9), TEN, START, untold=DOLLAR) == START + DAY


def test_a_budget_that_was_raised_or_dropped_lets_more_be_spent_at_once() -> None:
    full = after_spending(10)
    assert held(full, TEN, START) is full
    assert held(full, Budget(20), START).until is None
    assert held(full, None, START).until is None
    assert held(held(full, Budget(20), START), Budget(5), START).until == START + DAY


def test_a_window_that_became_shorter_begins_anew_and_a_longer_one_keeps_what_it_knows() -> None:
    hourly = Budget(10, timedelta(hours=1))
    at = START + timedelta(hours=5, minutes=30)
    assert spent(after_spending(4), hourly, at) == 0
    assert spent(charged(Spending(), hourly, DOLLAR, "a", at), TEN, at) == DOLLAR


@pytest.mark.parametrize(
    ("cost", "micros"),
    [(0, 0), (0.4, 1), (60, 60), (60.1, 61), (-5, 0), (float("-inf"), 0), (1_000 * DOLLAR, 1_000 * DOLLAR)],
)
def test_a_cost_is_rounded_up(cost: float, micros: int) -> None:
    assert counted(cost) == micros


@pytest.mark.parametrize("cost", [None, float("nan"), float("inf"), 10**400, 1_000 * DOLLAR + 1])
def test_what_no_call_costs_is_not_known(cost: float | None) -> None:
    assert counted(cost) is None


# an upstream with a budget ----------------------------------------------------------------------------------------


def test_a_spent_budget_shuts_the_gate_until_the_window_ends_and_the_breaker_stays_closed() -> None:
    circuit = pay(Circuit(PAID), 10, "a")
    assert (circuit.state, circuit.gate.not_before) == (State.CLOSED, START + DAY)
    assert circuit.after(86_400).gate.not_before is None


def test_what_calls_cost_counts_in_whichever_era_they_began() -> None:
    circuit = Circuit(PAID).opened()
    era = circuit.upstream.era
    circuit.tell(Tally(era=era - 1, spent=3 * DOLLAR, receipt="a"))
    assert circuit.upstream.spending.micros == 3 * DOLLAR
    circuit.after(circuit.shut).good()
    assert circuit.upstream.spending.micros == 3 * DOLLAR  # closing forgets what was held against it, but no money
    circuit.closed_again()
    assert circuit.upstream.spending.micros == 3 * DOLLAR


def test_four_fifths_and_all_of_it_are_told_once_each() -> None:
    circuit = Circuit(PAID)
    for number in range(14):
        pay(circuit.after(1), 1, f"r{number}")
    told = [(change.to, change.why, change.until) for change in reversed(circuit.upstream.log)]
    assert told == [
        ("nearly_spent", "$8.00 of its budget of $10.00 a day are spent", START + DAY),
        ("spent", "its budget of $10.00 a day is spent", START + DAY),
    ]


def test_a_budget_spent_at_one_blow_is_told_as_spent_alone() -> None:
    circuit = pay(Circuit(PAID), 12, "a")
    assert [change.to for change in circuit.upstream.log] == ["spent"]


def test_an_amount_told_twice_changes_nothing_the_second_time() -> None:
    circuit = pay(Circuit(PAID), 9, "a")
    before = circuit.upstream
    assert pay(circuit, 9, "a").upstream == before


def test_without_a_budget_nothing_is_kept_of_what_calls_cost() -> None:
    assert pay(Circuit(), 9, "a").upstream == Upstream()


def test_switched_off_not_even_the_budget_holds_and_afterwards_it_holds_again() -> None:
    circuit = pay(Circuit(PAID), 10, "a").decide(Override.OFF, lasting=60)
    assert circuit.gate.not_before is None
    assert spent_until(circuit.upstream, PAID, circuit.now) is None
    circuit.after(60)
    assert circuit.gate.not_before == START + DAY
    assert spent_until(circuit.upstream, PAID, circuit.now) == START + DAY


def test_forced_closed_the_budget_holds() -> None:
    assert pay(Circuit(PAID), 10, "a").decide(Override.CLOSED).gate.not_before == START + DAY


def test_an_operator_who_resets_lets_as_much_be_spent_again_and_nothing_counts_twice() -> None:
    circuit = pay(Circuit(PAID), 12, "a")
    circuit.upstream = reset(circuit.upstream, PAID, Present(now=circuit.now), "ada")
    assert (circuit.upstream.spending, circuit.gate.not_before) == (Spending(receipts=("a",)), None)
    assert pay(circuit, 12, "a").upstream.spending.micros == 0
    assert pay(circuit, 9, "b").upstream.spending.until is None
    assert pay(circuit, 1, "c").upstream.spending.until == START + DAY


def test_a_call_is_refused_for_what_was_not_told_yet() -> None:
    circuit = pay(Circuit(PAID), 9, "a")
    assert spent_until(circuit.upstream, PAID, START) is None
    assert spent_until(circuit.upstream, PAID, START, untold=DOLLAR) == START + DAY
    assert spent_until(circuit.upstream, API, START, untold=99 * DOLLAR) is None


def test_whoever_raises_the_budget_opens_the_gate() -> None:
    upstream = pay(Circuit(PAID), 10, "a").upstream
    richer = replace(API, budget=Budget(20))
    assert gate(rebudgeted(upstream, richer, START), richer, "a", START).not_before is None


def test_rules_that_run_faster_have_shorter_windows() -> None:
    assert scaled(PAID, 24).budget == Budget(10, timedelta(hours=1))
