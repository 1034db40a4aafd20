"""Measures along the time axis: level, direction, steps and cycles."""

from dataclasses import dataclass
from statistics import fmean

from tidegate.jobs.analysis.columns.table import Column, Table
from tidegate.jobs.analysis.contract import Stage
from tidegate.jobs.analysis.figures.cycles import find_patterns, without_cycle
from tidegate.jobs.analysis.figures.finite import ratio
from tidegate.jobs.analysis.figures.lines import best_split, fit_line
from tidegate.jobs.analysis.figures.measures import adds_up, measures
from tidegate.jobs.analysis.figures.model import Pattern, Point, Step, TimeFigures, Trend
from tidegate.jobs.analysis.figures.timeline import Timeline, complete, find_timeline, series_of

_MOST_MEASURES = 12
_FEWEST_BUCKETS = 4
_FEWEST_FOR_STEP = 12
_LEAST_STEP = 0.6
_CYCLES = {"hour": 24, "day": 7, "week": 52, "month": 12, "quarter": 4}


def time_figures(table: Table, stage: Stage) -> TimeFigures | None:
    """Every leading measure along the table's time axis; None where it has no axis.

    A column whose name says its values add up (amount, quantity) is summed per bucket, any other averaged.
    """
    timeline = find_timeline(table)
    if timeline is None:
        return None
    trends: dict[str, Trend] = {}
    columns = measures(table, _MOST_MEASURES)
    for done, column in enumerate(columns):
        stage.at(done / len(columns), f"Following {column.name} over time")
        trend = _trend(timeline, column)
        if trend is not None:
            trends[column.name] = trend
    counts = series_of(timeline, None, "count", timeline.bucket)
    return TimeFigures(
        column=timeline.column.name,
        other_columns=timeline.others,
        bucket=timeline.bucket,
        first_at=timeline.first.strftime(timeline.shape),
        last_at=timeline.last.strftime(timeline.shape),
        buckets=len(counts.starts),
        empty_buckets=counts.rows.count(0),
        outside=timeline.outside,
        rows=_trend(timeline, None) if timeline.events else None,
        trends=trends,
    )


def _trend(timeline: Timeline, column: Column | None) -> Trend | None:
    """The trend of a column, or of the number of rows; None for under four complete buckets."""
    aggregate = "count" if column is None else "sum" if adds_up(column) else "mean"
    values = column.values if column is not None else None
    series = series_of(timeline, values, aggregate, timeline.bucket)
    points = [
        Point(at=at.strftime(timeline.shape), value=value, rows=rows, complete=whole)
        for at, value, rows, whole in zip(
            series.starts, series.values, series.rows, complete(timeline, series), strict=True
        )
    ]
    known = [(at, point) for at, point in zip(series.starts, points, strict=True) if point.complete]
    dated = [(at, point.value) for at, point in known if point.value is not None]
    if len(dated) < _FEWEST_BUCKETS:
        return None
    patterns = find_patterns(timeline, values, aggregate)
    level = without_cycle(dated, patterns, timeline.bucket)
    shape = _Shape(
        measure=column.name if column else "rows",
        aggregate=aggregate,
        window=_window(len(dated), timeline.bucket),
    )
    return _describe(shape, tuple(points), patterns, level)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    measure: str
    aggregate: str
    window: int


def _describe(shape: _Shape, points: tuple[Point, ...], patterns: dict[str, Pattern], level: list[float]) -> Trend:
    """`level` has one value for each complete point with one, the cycle taken out."""
    present = [(point, point.value) for point in points if point.complete and point.value is not None]
    values = [value for _, value in present]
    early, late = fmean(values[: shape.window]), fmean(values[-shape.window :])
    line = fit_line(level)
    return Trend(
        measure=shape.measure,
        aggregate=shape.aggregate,
        first=values[0],
        last=values[-1],
        change=values[-1] - values[0],
        change_share=ratio(values[-1] - values[0], values[0]),
        window=shape.window,
        early=early,
        late=late,
        shift=late - early,
        shift_share=ratio(late - early, early),
        slope=line.slope,
        fit=line.fit,
        highest=max(present, key=lambda pair: pair[1])[0],
        lowest=min(present, key=lambda pair: pair[1])[0],
        patterns=patterns,
        step=_step([point for point, _ in present], level, line.fit),
        points=points,
    )


def _window(present: int, bucket: str) -> int:
    """How many buckets count as early, and as late: a whole cycle where two of them fit, else a quarter."""
    cycle = _CYCLES.get(bucket, 0)
    return cycle if cycle and 2 * cycle <= present else max(1, present // 4)


def _step(points: list[Point], level: list[float], fit: float) -> Step | None:
    """A change of level that explains much, and clearly more than a steady slope would."""
    margin = max(3, len(level) // 10)
    split = best_split(level, margin) if len(level) >= _FEWEST_FOR_STEP else None
    if split is None or split[1] < max(_LEAST_STEP, fit + 0.1):
        return None
    position, explained = split
    before, after = fmean(level[:position]), fmean(level[position:])
    return Step(
        at=points[position].at,
        before=before,
        after=after,
        change=after - before,
        change_share=ratio(after - before, before),
        explained=explained,
    )
