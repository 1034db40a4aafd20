"""The health of one upstream, as one value: breaker, adaptive limit, Retry-After, block and override together.

`gate` says what claims need to know of it; `core.breaker` changes it. Nothing here waits or asks a clock: `now` is the
store's present. Half-open is not stored: an open breaker whose `until` has passed admits one leased probe, for its
gate has limit 1.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.core.budget import Spending
from tidegate.core.fault import Fault
from tidegate.core.rules import MOST_COUNTED, Rules
from tidegate.core.states import Override, State
from tidegate.core.verbs import Gate, Pace

__all__ = ["Override", "State"]

FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The end of what has none."""

MOST_MARKS: Final = MOST_COUNTED + 1
"""Newest faults that are remembered."""

MOST_TRANSITIONS: Final = 50

NO_ERA: Final = -1
"""The era of what counts whenever its calls were let through."""

UNKNOWN_LEVEL: Final = 8.0
"""Calls at once that a ramp aims at where nothing is known of the time before."""

MOST_OWED: Final = timedelta(seconds=60)
"""Calls made outside of a lane hold back its claims for so long at most."""

BUDGET: Final = 10.0
"""Retries that may be made at once; each call that succeeds adds a tenth of one, each minute as many again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """When something happened, in which job's run, at which upstream of a parent's children."""

    at: datetime
    job: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One fault as a worker saw it: `lasted` from the call's start to `at`."""

    fault: Fault
    at: datetime
    lasted: timedelta = timedelta(0)
    job: str = ""
    source: str = ""
    retry_after: timedelta | None = None

    @property
    def mark(self) -> Mark:
        """When and where."""
        return Mark(at=self.at, job=self.job, source=self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What calls admitted in one `era` came to. `good` are the newest successes of two different jobs, newest first.

    `ok` counts all successes, `slow` those that were slow, `seconds` is the time that the others took together.
    `retries` were taken from the budget; `pace` is what answers asked for, until `pace_until`. `starts` are the calls
    that no claim has charged to a pace. `spent` is what calls cost, in micro-dollars, under the name `receipt`.
    """

    era: int
    ok: int = 0
    slow: int = 0
    seconds: float = 0.0
    good: tuple[Mark, ...] = ()
    faults: tuple[Seen, ...] = ()
    retries: int = 0
    starts: int = 0
    pace: Pace | None = None
    pace_until: datetime | None = None
    spent: int = 0
    receipt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Calls of one slice of time."""

    start: datetime
    ok: int = 0
    bad: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A change worth telling: `to` is the state, "override", or of a budget "nearly_spent" or "spent".

    `author` is an operator, "" for the breaker itself.
    """

    at: datetime
    to: str
    why: str
    until: datetime | None = None
    author: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overridden:
    """An operator's word, until it expires."""

    word: Override
    author: str
    at: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What is known of one upstream. The default is one never heard of: closed, without limit.

    `era` rises whenever claims must be counted anew; outcomes of calls admitted before `since` change nothing. An era
    is never met again, not even after the store forgot some: it is the time of its beginning, in milliseconds.
    `faults` are newest first. `limit` is None where none is needed, and `ramping` while it grows after an outage;
    `threshold` is where growth slows down, `level` what ran at once before. `cut_at` is the last congestion:
    a call that began before it says nothing new. Until
    `lent_until` a call outside of its lane is its probe; such calls have used up the pace until `owed_until`.
    `limited` says whether the gate in the store has a limit. `spending` is what counts against its budget of money,
    `budget` that of retries.
    """

    state: State = State.CLOSED
    era: int = 0
    since: int = 0
    until: datetime | None = None
    opens: int = 0
    why: str = ""
    probes: int = 1
    block: Fault | None = None
    refusals: int = 0
    refused: str = ""
    faults: tuple[Mark, ...] = ()
    good: tuple[Mark, ...] = ()
    run: int = 0
    run_at: datetime | None = None
    windows: tuple[Window, ...] = ()
    usual: float = 0.0
    slow_since: datetime | None = None
    limit: float | None = None
    threshold: float = 0.0
    level: float = 0.0
    ramping: bool = False
    cut_at: datetime | None = None
    gate_until: datetime | None = None
    pace: Pace | None = None
    pace_until: datetime | None = None
    owed_until: datetime | None = None
    budget: float = BUDGET
    budget_at: datetime | None = None
    override: Overridden | None = None
    lent_until: datetime | None = None
    lowered_at: datetime | None = None
    limited: bool = False
    spending: Spending = field(default_factory=Spending)
    log: tuple[Transition, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What an observation needs besides: the store's `now`, `dice` in [0, 1), and how many calls run fleet-wide.

    `running` is 0 where nobody knows.
    """

    now: datetime
    dice: float = 0.0
    running: int = 0


# reading ----------------------------------------------------------------------------------------------------------


def state(upstream: Upstream, now: datetime) -> State:
    """The state that holds at `now`, an operator's word first."""
    match word_at(upstream, now):
        case Override.OPEN:
            return State.OPEN
        case Override.CLOSED | Override.OFF:
            return State.CLOSED
    if upstream.state is State.OPEN and upstream.until is not None and upstream.until <= now:
        return State.HALF_OPEN
    return upstream.state


def shut_until(upstream: Upstream, now: datetime) -> datetime | None:
    """When the next call may be claimed at the earliest; None where that is now."""
    word = word_at(upstream, now)
    if word is Override.OFF:
        return None
    ends = [upstream.gate_until, upstream.spending.until]
    if word is Override.OPEN and upstream.override is not None:
        ends.append(upstream.override.until or FOREVER)
    if upstream.state is State.OPEN and word is not Override.CLOSED:
        ends.append(upstream.until)
    return max((end for end in ends if end is not None and end > now), default=None)


def gate(upstream: Upstream, rules: Rules, name: str, now: datetime) -> Gate:
    """The three numbers that claims are given by."""
    pace, ends = paced(upstream, rules, now), [shut_until(upstream, now)]
    if pace is not None:
        ends.append(upstream.owed_until)
    return Gate(
        name=name,
        not_before=max((end for end in ends if end is not None and end > now), default=None),
        limit=_most(upstream, rules, now),
        pace=pace,
        era=upstream.era,
    )


def paced(upstream: Upstream, rules: Rules, now: datetime) -> Pace | None:
    """How fast calls may start: the slower of what was declared and what its answers asked for."""
    if word_at(upstream, now) is Override.OFF:
        return None
    learned = upstream.pace if upstream.pace_until is not None and upstream.pace_until > now else None
    paces = [pace for pace in (rules.pace, learned) if pace is not None]
    return max(paces, key=lambda pace: pace.period, default=None)


def slow_after(upstream: Upstream, rules: Rules) -> timedelta | None:
    """From when a call is slow; None where no rule asks."""
    if rules.slow is None:
        return None
    return max(rules.slow.at_least, timedelta(seconds=upstream.usual * rules.slow.times))


def may_retry(upstream: Upstream, now: datetime, spent: int = 0) -> bool:
    """Whether the budget allows one more retry, after `spent` that it has not heard of yet."""
    return balance(upstream, now) - spent >= 1.0


def quiet(upstream: Upstream) -> bool:
    """Whether nothing is going on: successes need not be told to anybody."""
    busy = upstream.faults or upstream.run or upstream.refusals or upstream.windows or upstream.ramping
    bounded = upstream.limit is not None or upstream.pace is not None
    return upstream.state is State.CLOSED and not busy and not bounded


def word_at(upstream: Upstream, now: datetime) -> Override | None:
    """The operator's word that holds at `now`."""
    given = upstream.override
    if given is None or (given.until is not None and given.until <= now):
        return None
    return given.word


def _most(upstream: Upstream, rules: Rules, now: datetime) -> int | None:
    word = word_at(upstream, now)
    if word is Override.OFF:
        return None
    if upstream.state is State.OPEN and word is not Override.CLOSED:
        return upstream.probes
    limits = [rules.limit, None if upstream.limit is None else max(int(upstream.limit), 1)]
    return min((limit for limit in limits if limit is not None), default=None)


def balance(upstream: Upstream, now: datetime) -> float:
    """Retries that may be made at once."""
    if upstream.budget_at is None:
        return upstream.budget
    idle = max((now - upstream.budget_at).total_seconds(), 0.0)
    return min(upstream.budget + idle * BUDGET / 60.0, BUDGET)


# changing ---------------------------------------------------------------------------------------------------------


def fenced(upstream: Upstream, rules: Rules, now: datetime) -> Upstream:
    """With a new era where the gate gets a limit and had none: only claims from now on are counted against it."""
    limited = _most(upstream, rules, now) is not None
    if limited == upstream.limited:
        return upstream
    return replace(upstream, limited=limited, era=next_era(upstream, now) if limited else upstream.era)


def next_era(upstream: Upstream, now: datetime) -> int:
    """An era above every earlier one."""
    return max(upstream.era + 1, int(now.timestamp() * 1000))


def overridden(upstream: Upstream, given: Overridden | None, now: datetime, author: str) -> Upstream:
    """With an operator's word, or without one; what lies beneath goes on, and shows again when the word ends."""
    why = "none" if given is None else given.word.value
    change = Transition(at=now, to="override", why=why, until=given.until if given else None, author=author)
    return told(replace(upstream, override=given), change)


def told(upstream: Upstream, transition: Transition) -> Upstream:
    """With one more transition in its log."""
    return replace(upstream, log=(transition, *upstream.log[: MOST_TRANSITIONS - 1]))
