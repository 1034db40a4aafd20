"""Charts along the time axis."""

from datetime import datetime, timedelta
from math import nan
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tidegate.jobs.analysis.charts.style import BLUE, INK, ORANGE, PALE, brief, plot_area, tidy
from tidegate.jobs.analysis.figures.model import Point, Trend

_EPOCH = datetime(1970, 1, 1)


def line(figure: Figure, trend: Trend) -> None:
    """A measure in its complete buckets, with its highest and lowest marked; a mean over whole cycles on top
    where there is a cycle."""
    points = [point for point in trend.points if point.complete]
    axes = plot_area(figure)
    days = [_day(point) for point in points]
    values = [nan if point.value is None else point.value for point in points]
    smooth = _smooth(points, trend.window) if trend.patterns else []
    axes.plot(days, values, color=PALE if smooth else BLUE, linewidth=1.8, marker="o", markersize=_dot(days))
    if smooth:
        axes.plot([at for at, _ in smooth], [mean for _, mean in smooth], color=BLUE, linewidth=2.6)
    axes.xaxis_date()
    tidy(axes)
    _room(axes, trend)
    _mark(axes, trend.highest, above=True)
    _mark(axes, trend.lowest, above=False)


def has_smooth(trend: Trend) -> bool:
    """Whether the chart shows a mean over whole cycles."""
    points = [point for point in trend.points if point.complete]
    return bool(trend.patterns and _smooth(points, trend.window))


def _smooth(points: list[Point], window: int) -> list[tuple[float, float]]:
    """Centred means over `window` buckets; none where a bucket lacks a value."""
    if window < 2 or len(points) < 2 * window:
        return []
    found: list[tuple[float, float]] = []
    for start in range(len(points) - window + 1):
        part = [point.value for point in points[start : start + window] if point.value is not None]
        if len(part) == window:
            middle = (_day(points[start]) + _day(points[start + window - 1])) / 2
            found.append((middle, fmean(part)))
    return found


def _day(point: Point) -> float:
    """Days since 1970, as matplotlib counts dates."""
    return (datetime.fromisoformat(point.at) - _EPOCH) / timedelta(days=1)


def _dot(days: list[float]) -> float:
    return 4.5 if len(days) <= 30 else 3.0 if len(days) <= 60 else 0.0


def _room(axes: Axes, trend: Trend) -> None:
    """Space for the two labels; down to zero where that costs little height."""
    low, high = trend.lowest.value or 0.0, trend.highest.value or 0.0
    margin = 0.14 * ((high - low) or abs(high) or 1.0)
    near_zero = 0 <= low < 0.5 * high
    axes.set_ylim(min(0.0, low - margin) if near_zero else low - margin, high + margin)


def _mark(axes: Axes, point: Point, *, above: bool) -> None:
    if point.value is None:
        return
    axes.plot([_day(point)], [point.value], "o", color=ORANGE, markersize=7, zorder=5)
    axes.annotate(
        brief(point.value),
        (_day(point), point.value),
        xytext=(0, 8 if above else -8),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        color=INK,
        fontweight="bold",
    )
