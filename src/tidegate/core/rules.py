"""When an upstream is held back and how it gets back: rule sets, by name. Every number is a setting.

A rule set holds policy alone; what is known of an upstream is `core.upstream.Upstream`. `api` is for whatever a job
calls, `llm` for calls inside a handler that has a fallback, `queue` for the pause of a whole queue, and `provider` for
what several upstreams have in common.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import timedelta
from typing import Final, TypeVar

from tidegate.core.budget import Budget
from tidegate.core.retry import UPSTREAM_BACKOFF, Exponential
from tidegate.core.verbs import Pace
from tidegate.errors import ConfigError

_Value = TypeVar("_Value")

MOST_COUNTED: Final = 63
"""Faults that a rule can count: no more are remembered than opening takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountRule:
    """Opens on more than `more_than` faults within any `within`, of at least `sources` upstreams."""

    more_than: int = 5
    within: timedelta = timedelta(seconds=60)
    sources: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.more_than <= MOST_COUNTED:
            raise ConfigError(f"more_than must be between 0 and {MOST_COUNTED}, not {self.more_than}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRule:
    """Opens for `pause` or longer on `length` rate limits in a row, calls at the same time counting as one."""

    length: int = 5
    pause: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRule:
    """Opens when at least `share` of at least `calls` within `within` were faults."""

    share: float = 0.5
    calls: int = 20
    within: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowRule:
    """Lets fewer calls run at once when `share` of at least `calls` within `within` were slow, and opens at last.

    A call is slow beyond `times` what is usual here, and beyond `at_least`. As many calls as may run at once are
    enough, where those are fewer than `calls`. It opens where one call at a time was still slow for `patience`.
    """

    share: float = 0.5
    calls: int = 10
    within: timedelta = timedelta(seconds=30)
    times: float = 4.0
    at_least: timedelta = timedelta(seconds=10)
    patience: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTime:
    """Open for `first`; from the opening after `grace` in a row on, each `factor` longer, up to `cap`.

    Spread by up to `jitter` of itself, only ever later.
    """

    first: timedelta = timedelta(seconds=30)
    factor: float = 1.5
    grace: int = 3
    cap: timedelta = timedelta(seconds=60)
    jitter: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """A probe that has not answered within `soft` gets company, `most` in all; past `hard` it counts as failed.

    A probe that was told to slow down is repeated after `limited`, or when it was told to.
    """

    soft: timedelta = timedelta(seconds=5)
    hard: timedelta = timedelta(seconds=65)
    most: int = 3
    limited: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapting:
    """How many calls may run at once, learned: AIMD with a slow start.

    After an outage `start` calls, one more with each success up to half of what ran before, then one more a round.
    A congestion leaves `keep` of what ran; one that a rate limit tells of `keep_limited`, for that is quick and says
    where the limit is. Without a congestion for `calm` there is no limit any more.
    """

    start: int = 2
    keep: float = 0.7
    keep_limited: float = 0.85
    calm: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocking:
    """A quota used up, or a credential refused `refusals` times: tried again after `first`, then ever twice as late."""

    first: timedelta = timedelta(minutes=10)
    cap: timedelta = timedelta(hours=1)
    refusals: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One rule set; None switches a rule off. `limit` and `pace` are what the owner of an account knows beforehand.

    A Retry-After is obeyed up to `longest_gate`. A job whose call failed waits by `again`. `budget` is what all calls
    may cost together, `budget_per_user` what those for one user's jobs may.
    """

    name: str
    count: CountRule | None = field(default_factory=CountRule)
    run: RunRule | None = field(default_factory=RunRule)
    rate: RateRule | None = field(default_factory=RateRule)
    slow: SlowRule | None = field(default_factory=SlowRule)
    open_time: OpenTime = field(default_factory=OpenTime)
    probing: Probing = field(default_factory=Probing)
    adapting: Adapting | None = field(default_factory=Adapting)
    blocking: Blocking = field(default_factory=Blocking)
    longest_gate: timedelta = timedelta(hours=24)
    again: Exponential = UPSTREAM_BACKOFF
    limit: int | None = None
    pace: Pace | None = None
    budget: Budget | None = None
    budget_per_user: Budget | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"rules {self.name!r}: limit must be at least 1, not {self.limit}")
        wrong = next((name for name, length in _durations(self, "") if length <= timedelta(0)), None)
        if wrong is not None:
            raise ConfigError(f"rules {self.name!r}: {wrong} must be longer than 0")


def _durations(value: object, path: str) -> Iterator[tuple[str, timedelta]]:
    if isinstance(value, timedelta):
        yield path, value
    if is_dataclass(value):
        for part in fields(value):
            yield from _durations(getattr(value, part.name), f"{path}.{part.name}".lstrip("."))


API: Final = Rules(name="api", run=None)
"""The default: more than 5 faults in 60 s open for 30 s (REQUIREMENTS A10)."""

LLM: Final = Rules(
    name="llm",
    count=CountRule(more_than=4, within=timedelta(seconds=300)),
    run=None,
    rate=None,
    open_time=OpenTime(first=timedelta(seconds=600), factor=1.0, cap=timedelta(seconds=600)),
)
"""5 faults in 300 s open for 600 s (REQUIREMENTS E3): for calls that have a fallback, so that nobody waits."""

QUEUE: Final = Rules(name="queue", count=None, rate=None, slow=None)
"""5 rate limits in a row pause for 60 s (REQUIREMENTS B1, B2)."""

PROVIDER: Final = Rules(
    name="provider",
    count=CountRule(more_than=5, within=timedelta(seconds=10), sources=2),
    run=None,
    rate=None,
    slow=None,
    adapting=None,
)
"""What upstreams share is down when two of them are at once."""

WEBHOOK: Final = Rules(
    name="webhook",
    run=None,
    open_time=OpenTime(first=timedelta(seconds=30), factor=2.0, grace=1, cap=timedelta(hours=2)),
    longest_gate=timedelta(hours=1),
    again=Exponential(initial=timedelta(seconds=5), factor=3.0, cap=timedelta(hours=2), jitter=0.1),
    limit=8,
)
"""For receivers of webhooks, of which nobody knows anything: few at once, and ever longer waits, since some never come
back."""

WEBHOOK_UPSTREAM: Final = "webhook."
"""Upstreams whose names begin so have these rules, unless they are declared."""

RULE_SETS: Final[Mapping[str, Rules]] = {rules.name: rules for rules in (API, LLM, QUEUE, PROVIDER)}


def scaled(rules: Rules, by: float) -> Rules:
    """The same rules with every duration divided by `by`: an outage of ten minutes is watched in one."""
    return _scaled(rules, by)


def _scaled(value: _Value, by: float) -> _Value:
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changes: dict[str, object] = {}
    for part in fields(value):
        old = getattr(value, part.name)
        changes[part.name] = old / by if isinstance(old, timedelta) else _scaled(old, by)
    return replace(value, **changes)
