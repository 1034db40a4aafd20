"""What calls may cost in a window of time, and what was spent of it. Money is in millionths of a US dollar. Pure.

Windows are fixed ones in UTC: the first begins on a Monday at midnight, each next one where the one before ends. So
days, hours and weeks are those of the calendar, and everybody knows when there is money again.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from math import ceil
from typing import Final

from tidegate.errors import ConfigError

MONDAY: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""Where the windows are counted from."""

MICROS: Final = 1_000_000
"""In a dollar."""

SHORTEST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(days=366)
LEAST: Final = Decimal("0.000001")
MOST: Final = Decimal(1_000_000_000)

MOST_A_CALL: Final = 1_000 * MICROS
"""What one call may cost: whoever says more is mistaken, and one such word must not shut a gate for a year."""

MOST_RECEIPTS: Final = 32
"""Newest amounts of which it is remembered that they were counted."""

_PERIODS: Final = {
    timedelta(minutes=1): "a minute",
    timedelta(hours=1): "an hour",
    timedelta(days=1): "a day",
    timedelta(weeks=1): "a week",
}
_UNITS: Final = {timedelta(days=1): "days", timedelta(hours=1): "hours", timedelta(minutes=1): "minutes"}


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `dollars` in each window of `per`; raises ConfigError for what is no amount or no window.

    Calls that are under way when it is reached are paid for all the same: by so much it may be passed.
    """

    dollars: Decimal | float
    per: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        amount = _amount(self.dollars)
        if amount is None or not LEAST <= amount <= MOST:
            raise ConfigError(f"a budget must be between ${LEAST} and ${MOST:,}, not {self.dollars}")
        if not isinstance(self.per, timedelta):
            raise ConfigError(
                f"per, the window of a budget, must be a timedelta, as timedelta(days=1), not {self.per!r}"
            )
        if not SHORTEST <= self.per <= LONGEST:
            raise ConfigError(f"the window of a budget must last between 1 s and 366 days, not {self.per}")
        object.__setattr__(self, "dollars", amount)

    @property
    def micros(self) -> int:
        """The amount, rounded down."""
        return int((Decimal(self.dollars) * MICROS).to_integral_value(ROUND_FLOOR))

    def begins(self, now: datetime) -> datetime:
        """When the window began that `now` is in."""
        return MONDAY + (now - MONDAY) // self.per * self.per

    def ends(self, now: datetime) -> datetime:
        """When it ends."""
        return self.begins(now) + self.per

    def __str__(self) -> str:
        return f"{money(self.micros)} {_PERIODS.get(self.per) or _length(self.per)}"


def _length(per: timedelta) -> str:
    whole = next(((per // unit, name) for unit, name in _UNITS.items() if per % unit == timedelta(0)), None)
    return f"in {per.total_seconds():.12g} s" if whole is None else f"in {whole[0]} {whole[1]}"


def _amount(dollars: Decimal | float) -> Decimal | None:
    try:
        amount = Decimal(str(dollars))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def money(micros: int) -> str:
    """Dollars in words: cents, and beyond them no more digits than there are.

    >>> money(12_500_000), money(2_000)
    ('$12.50', '$0.002')
    """
    exact = f"${Decimal(micros).scaleb(-6):,.6f}"
    return exact[:-4] + exact[-4:].rstrip("0")


def counted(cost: float | None) -> int | None:
    """What counts of a call's cost: whole micros, rounded up, none below zero.

    None where nobody knows it, or where no call costs so much.

    >>> counted(0.4), counted(None), counted(1e12)
    (1, None, None)
    """
    if cost is None or not cost <= MOST_A_CALL:  # NaN is not, either
        return None
    return ceil(max(cost, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What was spent from `since` on, in a window that ends at `ends`; nothing by default.

    `until` is when more may be spent, where the budget is used up. `receipts` are the newest amounts, each by a name
    of its own: so one whose answer was lost can be counted again, and counts once.
    """

    micros: int = 0
    since: datetime | None = None
    ends: datetime | None = None
    until: datetime | None = None
    receipts: tuple[str, ...] = ()


def spent(spending: Spending, budget: Budget, now: datetime) -> int:
    """What was spent in the window that `now` is in."""
    if spending.since is None or spending.since < budget.begins(now):
        return 0
    return spending.micros


def spent_out(spending: Spending, budget: Budget, now: datetime, untold: int = 0) -> datetime | None:
    """Until when nothing more may be spent, with `untold` that is not counted yet; None where something may."""
    return budget.ends(now) if spent(spending, budget, now) + untold >= budget.micros else None


def charged(spending: Spending, budget: Budget, micros: int, receipt: str, now: datetime) -> Spending:
    """With one more amount; the very same value where it was counted before."""
    if receipt in spending.receipts:
        return spending
    before = spent(spending, budget, now)
    more = Spending(
        micros=before + micros,
        since=spending.since if before else budget.begins(now),
        ends=budget.ends(now),
        receipts=(receipt, *spending.receipts)[:MOST_RECEIPTS],
    )
    return held(more, budget, now)


def held(spending: Spending, budget: Budget | None, now: datetime) -> Spending:
    """As the budget has it that holds now: one that was raised lets more be spent at once."""
    until = None if budget is None else spent_out(spending, budget, now)
    return spending if until == spending.until else replace(spending, until=until)


def forgotten(spending: Spending) -> Spending:
    """Nothing spent; amounts that were counted are still known, so that none of them counts again."""
    return Spending(receipts=spending.receipts)
