"""What a cron expression means in a time zone.

Five fields: minute, hour, day of the month, month, day of the week. cronsim reads them, as Debian's cron does: where
neither day begins with `*`, one that fits is enough. What a change of the clocks does depends on the first two:

* Neither begins with `*`: a *time of the day*. One that the clock leaves out runs at the end of the gap, once; one that
  it shows twice runs the first time.
* Otherwise a *rhythm*. It runs whenever the clock shows such a time: twice in a repeated hour, never in a gap.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache, partial
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from tidegate.core.cron import Following
from tidegate.errors import InvalidInput

LONGEST_EXPRESSION: Final = 200
LONGEST_ZONE: Final = 64

_FIELDS: Final = 5
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_MACHINES: Final = frozenset({"localtime", "posix", "posixrules", "right"})
"""Names that mean another zone on each machine, or count leap seconds."""

_LONG_AGO: Final = datetime(2000, 1, 1)
_NO_TIME: Final = timedelta(0)


@lru_cache(maxsize=4_096)
def parse(expression: str, timezone: str) -> Following:
    """What gives the next tick; raises InvalidInput for `expression` or `timezone`.

    An expression that never comes to pass, such as the 31st of February, is refused.
    """
    zone, fields = _zone(timezone), _fields(expression)
    rhythm = any(field.startswith("*") for field in fields[:2])
    return partial(_by_rhythm if rhythm else _by_time_of_day, " ".join(fields), zone)


def ticks_after(following: Following, after: datetime, count: int) -> list[datetime]:
    """The next `count` ticks; fewer where there are no more."""
    return list(islice(_on(following, after), count))


def _on(following: Following, after: datetime) -> Iterator[datetime]:
    tick = following(after)
    while tick is not None:
        yield tick
        tick = following(tick)


def _fields(expression: str) -> list[str]:
    fields = expression[: LONGEST_EXPRESSION + 1].split()
    if len(expression) > LONGEST_EXPRESSION or not expression.isascii() or len(fields) != _FIELDS:
        raise InvalidInput("expression", "write five fields: minute, hour, day of the month, month, day of the week")
    try:
        ticks = next(CronSim(" ".join(fields), _LONG_AGO), None)
    except CronSimError as exc:
        raise InvalidInput("expression", f"{expression!r} is no cron expression ({str(exc).lower()})") from exc
    if ticks is None:
        raise InvalidInput("expression", f"{expression!r} never comes to pass")
    return fields


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # known without any database of zones
    try:
        if len(name) <= LONGEST_ZONE and _ZONE.fullmatch(name) and name.partition("/")[0] not in _MACHINES:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise _unknown(name) from exc
    raise _unknown(name)


def _unknown(zone: str) -> InvalidInput:
    message = f"{zone[:LONGEST_ZONE]!r} is no time zone known here: use an IANA name, such as Europe/Berlin"
    return InvalidInput("timezone", message)


def _by_time_of_day(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """cronsim's own rule; begun within a repeated hour, it gives ticks of its first pass again."""
    ticks = (tick.astimezone(UTC) for tick in CronSim(expression, after.astimezone(zone)))
    return next((tick for tick in ticks if tick > after), None)


def _by_rhythm(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """The first instant that shows a time that fits.

    cronsim is asked for times without a zone: with one it steps by whole hours, and leaves out ticks where clocks
    change by half an hour.
    """
    local, best = after.astimezone(zone), None
    for shown in CronSim(expression, local.replace(tzinfo=None, fold=0) - _comes_again(local)):
        passes = [_instant(shown, zone, fold) for fold in (0, 1)]
        best = min((at for at in (best, *passes) if at is not None and at > after), default=None)
        if passes[0] is not None and passes[0] > after:
            break  # times shown later are first passed later
    return best


def _instant(shown: datetime, zone: tzinfo, fold: int) -> datetime | None:
    """When the clock shows that time, for the first or second time; None where it is left out."""
    at = shown.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    return at if at.astimezone(zone).replace(tzinfo=None) == shown else None


def _comes_again(local: datetime) -> timedelta:
    """How far the clock will be set back, where the time it shows will be shown once more."""
    if local.fold:
        return _NO_TIME
    first, second = local.utcoffset() or _NO_TIME, local.replace(fold=1).utcoffset() or _NO_TIME
    return max(first - second, _NO_TIME)
