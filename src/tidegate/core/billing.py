"""What its budget makes of an upstream: pure functions beside `core.breaker`."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from tidegate.core.budget import Budget, charged, held, money, spent, spent_out
from tidegate.core.rules import Rules
from tidegate.core.upstream import Override, Tally, Transition, Upstream, told, word_at

SPENT: Final = "spent"
NEARLY_SPENT: Final = "nearly_spent"
"""What a transition is `to` where a budget, or four fifths of it, was spent."""


def billed(upstream: Upstream, tally: Tally, rules: Rules, now: datetime) -> Upstream:
    """With what calls cost, whichever era they were let through in. That it is all, or nearly all, is told once."""
    budget = rules.budget
    if budget is None or not tally.spent:
        return upstream
    before = spent(upstream.spending, budget, now)
    spending = charged(upstream.spending, budget, tally.spent, tally.receipt, now)
    if spending is upstream.spending:
        return upstream
    return _noted(replace(upstream, spending=spending), budget, before, now)


def rebudgeted(upstream: Upstream, rules: Rules, now: datetime) -> Upstream:
    """Shut, or no more, as the budget has it that the rules name now: whoever raises it opens the gate at once.

    Asked for by a process that begins, and by no other: those of an earlier release would shut it again.
    """
    return replace(upstream, spending=held(upstream.spending, rules.budget, now))


def spent_until(upstream: Upstream, rules: Rules, now: datetime, untold: int = 0) -> datetime | None:
    """Until when no call may be made, for what calls have cost, `untold` among it; None where one may."""
    if rules.budget is None or word_at(upstream, now) is Override.OFF:
        return None
    return spent_out(upstream.spending, rules.budget, now, untold)


def _noted(upstream: Upstream, budget: Budget, before: int, now: datetime) -> Upstream:
    after, all_of_it = upstream.spending.micros, budget.micros
    if before < all_of_it <= after:
        why = f"its budget of {budget} is spent"
        return told(upstream, Transition(at=now, to=SPENT, why=why, until=upstream.spending.until))
    if before * 5 < all_of_it * 4 <= after * 5:
        why = f"{money(after)} of its budget of {budget} are spent"
        return told(upstream, Transition(at=now, to=NEARLY_SPENT, why=why, until=budget.ends(now)))
    return upstream
