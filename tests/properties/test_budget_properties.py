"""Money: however often and in whichever order amounts are told, each counts once, and nothing lets more be spent."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.budget import MOST_RECEIPTS, Budget, Spending, charged, money, spent

START = datetime(2026, 1, 1, tzinfo=UTC)
AMOUNTS = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 10**9), max_size=MOST_RECEIPTS)
BUDGETS = st.builds(Budget, st.integers(1, 10_000), st.timedeltas(timedelta(seconds=1), timedelta(days=366)))
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(AMOUNTS, st.data())
def test_amounts_told_twice_in_any_order_count_once(amounts: dict[str, int], data: st.DataObject) -> None:
    budget, spending = Budget(1_000), Spending()
    for receipt in data.draw(st.permutations([*amounts, *amounts])):
        spending = charged(spending, budget, amounts[receipt], receipt, START)
    assert spending.micros == sum(amounts.values())
    assert (spending.until is not None) == (spending.micros >= budget.micros)


@given(BUDGETS, INSTANTS)
def test_every_instant_is_in_one_window_and_windows_leave_no_gap(budget: Budget, now: datetime) -> None:
    assert budget.begins(now) <= now < budget.ends(now)
    assert budget.ends(now) - budget.begins(now) == budget.per
    assert budget.begins(budget.ends(now)) == budget.ends(now)


@given(BUDGETS, INSTANTS, st.timedeltas(timedelta(0), timedelta(days=800)))
def test_what_was_spent_counts_until_the_window_ends_and_not_beyond(
    budget: Budget, now: datetime, later: timedelta
) -> None:
    spending = charged(Spending(), budget, 5, "a", now)
    assert spent(spending, budget, now + later) == (5 if now + later < budget.ends(now) else 0)


@given(st.integers(0, 10**15))
def test_money_says_the_exact_amount(micros: int) -> None:
    said = money(micros).removeprefix("$").replace(",", "")
    whole, _, part = said.partition(".")
    assert int(whole) * 1_000_000 + int(part.ljust(6, "0")) == micros
    assert 2 <= len(part) <= 6
