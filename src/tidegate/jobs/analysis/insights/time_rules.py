"""Insights along the time axis: trends, steps, cycles."""

from collections.abc import Iterator

from tidegate.jobs.analysis.figures.model import Pattern, TimeFigures, Trend
from tidegate.jobs.analysis.insights.evidence import Evidence, Insight, Severity
from tidegate.jobs.analysis.insights.facts import Facts

_FEWEST_BUCKETS = 8
_LEAST_FIT = 0.3
_LEAST_SHIFT = 0.05
_BIG_SHIFT = 0.2
_LEAST_CYCLE = 0.25
_LEAST_SWING = 0.05
_LEAST_SIGNAL = 5.0
_LARGE_SWING = 0.5

_SPOKEN = {
    "hour_of_day": ("hour", "hour of the day"),
    "weekday": ("day", "weekday"),
    "month_of_year": ("month", "month of the year"),
}

Path = tuple[str, ...]


def _series(facts: Facts) -> Iterator[tuple[TimeFigures, Trend, Path]]:
    """Every series with the place of its figures; the number of rows first."""
    time = facts.kpis.time
    if time is None:
        return
    if time.rows is not None:
        yield time, time.rows, ("kpis", "time", "rows")
    for name, trend in time.trends.items():
        yield time, trend, ("kpis", "time", "trends", name)


def trends(facts: Facts) -> Iterator[Insight]:
    """Measures that rise or fall steadily over the whole time, not in one step."""
    for time, trend, at in _series(facts):
        steady = trend.fit >= _LEAST_FIT and trend.slope * trend.shift > 0 and trend.step is None
        if len(trend.points) < _FEWEST_BUCKETS or not steady or _shift(trend.shift_share) < _LEAST_SHIFT:
            continue
        cite = facts.evidence()
        big = _shift(trend.shift_share) >= _BIG_SHIFT
        yield Insight(
            id=f"trend:{trend.measure}",
            rule="trend",
            title=f"{_name(trend)} {'rose' if trend.shift > 0 else 'fell'} over the whole time",
            text=_trend_text(cite, time, trend, at),
            severity=Severity.HIGH if trend.fit >= 0.6 and big else Severity.MEDIUM,
            columns=_columns(time, trend),
            evidence=cite.cited,
            weight=trend.fit * min(1.0, _shift(trend.shift_share) * 2),
        )


def _trend_text(cite: Evidence, time: TimeFigures, trend: Trend, at: Path) -> str:
    some = f"{{window:count}} {time.bucket}s" if trend.window > 1 else time.bucket
    change = " ({shift_share:change})" if trend.shift_share is not None else ""
    cycle = ", once the yearly cycle is taken out" if "month_of_year" in trend.patterns else ""
    template = (
        f"{{level}} was {{early:amount}} in the first {some} and {{late:amount}} in the last {some}{change}. "
        f"A straight line explains {{fit:percent}} of the variation between {time.bucket}s{cycle}."
    )
    return cite.say(at, template, level=_level(trend, time.bucket))


def steps(facts: Facts) -> Iterator[Insight]:
    """Lasting changes of level."""
    for time, trend, at in _series(facts):
        if trend.step is None or _shift(trend.step.change_share) < _LEAST_SHIFT:
            continue
        cite = facts.evidence()
        template = (
            "{level} was {before:amount} before {at:text} and {after:amount} from then on. This one step "
            "explains {explained:percent} of the variation between {bucket}s."
        )
        size = _shift(trend.step.change_share)
        yield Insight(
            id=f"step:{trend.measure}",
            rule="step",
            title=f"{_name(trend)} moved to another level at {trend.step.at}",
            text=cite.say((*at, "step"), template, level=_level(trend, time.bucket), bucket=time.bucket),
            severity=Severity.HIGH if size >= _BIG_SHIFT else Severity.MEDIUM,
            columns=_columns(time, trend),
            evidence=cite.cited,
            weight=trend.step.explained * min(1.0, size * 2),
        )


def cycles(facts: Facts) -> Iterator[Insight]:
    """Measures that follow the hour, the weekday or the month."""
    for time, trend, at in _series(facts):
        for period, pattern in trend.patterns.items():
            if not _is_telling(pattern):
                continue
            cite, (grain, spoken) = facts.evidence(), _SPOKEN[period]
            template = (
                "{level} is highest for {peak.label:text} ({peak.value:amount}) and lowest for "
                "{trough.label:text} ({trough.value:amount}). Over {cycles:count} cycles, the {period} "
                "explains {strength:percent} of the variation around the trend."
            )
            yield Insight(
                id=f"cycle:{trend.measure}:{period}",
                rule="cycle",
                title=f"{_name(trend)} follows the {spoken}",
                text=cite.say((*at, "patterns", period), template, level=_level(trend, grain), period=spoken),
                severity=Severity.HIGH if pattern.strength >= 0.7 else Severity.MEDIUM,
                columns=_columns(time, trend),
                evidence=cite.cited,
                weight=pattern.strength * 0.9,
            )


def _is_telling(pattern: Pattern) -> bool:
    """A strong cycle with some swing; or a weaker one, sure not to be chance, with a large swing."""
    peak, trough = pattern.peak.value, pattern.trough.value
    swing = (peak - trough) / (max(abs(peak), abs(trough)) or 1.0)
    strong = pattern.strength >= _LEAST_CYCLE and swing >= _LEAST_SWING
    return strong or (pattern.signal >= _LEAST_SIGNAL and swing >= _LARGE_SWING)


def _shift(change_share: float | None) -> float:
    """How large a relative change is; 1 where the level before it was 0."""
    return 1.0 if change_share is None else abs(change_share)


def _name(trend: Trend) -> str:
    return "The number of rows" if trend.aggregate == "count" else trend.measure


def _level(trend: Trend, bucket: str) -> str:
    """What the series shows, at the start of a sentence."""
    if trend.aggregate == "count":
        return f"The number of rows a {bucket}"
    return f"Total {trend.measure} a {bucket}" if trend.aggregate == "sum" else f"Average {trend.measure}"


def _columns(time: TimeFigures, trend: Trend) -> tuple[str, ...]:
    return (time.column,) if trend.aggregate == "count" else (time.column, trend.measure)
