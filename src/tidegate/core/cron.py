"""Which ticks of a schedule are due, and the key that makes each of them one job.

What a cron expression means is `following`'s business; here is decided what becomes of missed ticks. No
leader is needed: every worker submits a due tick under `tick_key`, and the store keeps one job of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from tidegate.errors import ConfigError

Following: TypeAlias = Callable[[datetime], datetime | None]
"""The first tick after an instant, both aware, or None after the last one.

The same for every worker, and never at or before the instant it was given. A cron iterator that is started
inside the repeated hour of autumn may begin with the hour's first pass: such ticks are to be passed over.
"""

ON_TIME: Final = timedelta(seconds=60)
"""A tick older than this was missed: cron's own resolution, and far above the second between two looks."""

MOST_CATCH_UP: Final = 1_000
"""Ticks that one call may give; each of them becomes a job."""

_RESOLUTION: Final = timedelta(microseconds=1)
_LONGEST_NAME: Final = 200


class Misfire(StrEnum):
    """What becomes of ticks that passed while nobody looked."""

    SKIP = "skip"
    """Only ticks at most `ON_TIME` old run."""
    LATEST = "latest"
    """The newest runs, for all of them."""
    ALL = "all"
    """Each runs, the newest `max_catch_up` at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A cron expression in a time zone (an IANA name), both checked where they are parsed.

    `max_catch_up` is the `limit` of `due_ticks`. Raises ConfigError unless `name` is 1 to 200 printable
    ASCII characters (it becomes part of a key), the texts are not empty, and 1 <= max_catch_up <= 1,000.
    """

    name: str
    expression: str
    timezone: str = "UTC"
    misfire: Misfire = Misfire.LATEST
    max_catch_up: int = 10

    def __post_init__(self) -> None:
        if not (1 <= len(self.name) <= _LONGEST_NAME and self.name.isascii() and self.name.isprintable()):
            raise ConfigError(f"schedule {self.name!r}: a name is 1 to 200 printable ASCII characters")
        if not (self.expression.strip() and self.timezone.strip()):
            raise ConfigError(f"schedule {self.name!r} needs an expression and a time zone")
        _check_limit(self.max_catch_up)


def due_ticks(
    following: Following, last: datetime, now: datetime, *, misfire: Misfire, limit: int
) -> tuple[datetime, ...]:
    """The ticks in (last, now] that shall run: aware UTC, strictly increasing, at most `limit`.

    `last` is where the previous look ended. Missed ticks are found by bisection, not walked through, so a
    year of downtime costs at most some 50 * (limit + 2) calls of `following`. Raises ConfigError for a
    `following` that answers with an instant not later than it was asked about, for an instant without a time
    zone, and for a limit outside 1 to 1,000.
    """
    _check_limit(limit)
    last, now = _utc(last), _utc(now)
    match misfire:
        case Misfire.SKIP:
            return _newest(following, max(last, now - ON_TIME - _RESOLUTION), now, limit)
        case Misfire.LATEST:
            return _newest(following, last, now, 1)
        case Misfire.ALL:
            return _newest(following, last, now, limit)
        case _:
            assert_never(misfire)


def tick_key(name: str, tick: datetime) -> str:
    """The idempotency key of a tick, `cron:{name}:{RFC 3339 in UTC}`: one per schedule and instant.

    Raises ConfigError for a tick without a time zone.
    """
    return f"cron:{name}:{_utc(tick).isoformat().removesuffix('+00:00')}Z"


def _newest(following: Following, after: datetime, until: datetime, count: int) -> tuple[datetime, ...]:
    """The newest `count` ticks in (after, until]: bisects for a start that no more than those follow."""
    ticks = _first(following, after, until, count + 1)
    barren = until
    while len(ticks) > count and barren - after > _RESOLUTION:
        middle = after + (barren - after) / 2
        found = _first(following, middle, until, count + 1)
        if len(found) < count:
            barren = middle
        else:
            after, ticks = middle, found
    return ticks[-count:]


def _first(following: Following, after: datetime, until: datetime, count: int) -> tuple[datetime, ...]:
    ticks: list[datetime] = []
    while len(ticks) < count and (tick := _next(following, after)) is not None and tick <= until:
        ticks.append(tick)
        after = tick
    return tuple(ticks)


def _next(following: Following, after: datetime) -> datetime | None:
    found = following(after)
    if found is None:
        return None
    tick = _utc(found)
    if tick <= after:
        raise ConfigError(f"a schedule's tick after {after} is given as {tick}: it must be later")
    return tick


def _utc(instant: datetime) -> datetime:
    if instant.utcoffset() is None:
        raise ConfigError(f"{instant} has no time zone: give an aware instant")
    return instant.astimezone(UTC)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST_CATCH_UP:
        raise ConfigError(f"{limit} ticks to catch up with: the most may be 1 to {MOST_CATCH_UP}")
