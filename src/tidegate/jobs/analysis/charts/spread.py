"""Charts of how values spread: histograms and boxes."""

from math import ceil, floor, log10

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tidegate.jobs.analysis.charts.style import (
    BLUE,
    INK,
    ORANGE,
    PALE,
    Numbers,
    brief,
    plain,
    plot_area,
    short,
    tidy,
)
from tidegate.jobs.analysis.columns.table import Column
from tidegate.jobs.analysis.figures.finite import number
from tidegate.jobs.analysis.figures.model import NumericFigures, OutlierFigures

_MOST_BINS = 30
_FEWEST_BINS = 8
_ROUNDING = 1.3
_MOST_DOTS = 300


def histogram(figure: Figure, column: Column, figures: NumericFigures) -> None:
    """Bars for how many values fall in each interval, with the median marked."""
    values = column.values.drop_nulls().cast(pl.Float64)
    low, high = visible_range(values)
    shown = values.filter((values >= low) & (values <= high))
    start, width, bins = intervals(shown, whole=column.values.dtype.is_integer())
    places = ((shown - start) / width).floor().clip(0, bins - 1).cast(pl.Int64)
    found = dict(places.value_counts(name="count").rows())
    axes = plot_area(figure)
    middles = [start + (place + 0.5) * width for place in range(bins)]
    axes.bar(middles, [found.get(place, 0) for place in range(bins)], width=width * 0.92, color=BLUE)
    axes.set_xlim(start - width * 0.3, start + (bins + 0.3) * width)
    axes.set_ylim(0, 1.12 * max(found.values()))
    tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10], integer=column.values.dtype.is_integer()))
    axes.xaxis.set_major_formatter(Numbers())
    axes.set_xlabel(plain(column.name) + (f" ({column.unit})" if column.unit else ""))
    axes.set_ylabel("rows")
    _mark(axes, figures.median, f"median {brief(figures.median)}")


def intervals(values: pl.Series, *, whole: bool) -> tuple[float, float, int]:
    """Start, width and number of a histogram's intervals.

    The width follows Freedman and Diaconis (1981), rounded to 1, 2 or 5 times a power of ten.
    """
    low, high = _at(values, 0.0), _at(values, 1.0)
    span = (high - low) or 1.0
    ideal = 2 * (_at(values, 0.75) - _at(values, 0.25)) / len(values) ** (1 / 3)
    rough = min(max(ideal, span / _MOST_BINS), span / _FEWEST_BINS)
    power = 10.0 ** floor(log10(rough))
    width = max(step * power for step in (1, 2, 5, 10) if step * power <= rough * _ROUNDING)
    width = max(1.0, width) if whole else width
    start = floor(low / width) * width
    count = max(1, ceil((high - start + whole) / width - 1e-9))
    # Whole numbers stand in the middle of their interval.
    return start - 0.5 * whole, width, count


def visible_range(values: pl.Series) -> tuple[float, float]:
    """The range worth drawing: all of it, unless a thin tail would squeeze the rest into a corner."""
    low, high = _at(values, 0.0), _at(values, 1.0)
    inner_low, inner_high = _at(values, 0.01), _at(values, 0.99)
    reach = (inner_high - inner_low) or (high - low) or 1.0
    low, high = max(low, inner_low - 0.5 * reach), min(high, inner_high + 0.5 * reach)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _mark(axes: Axes, at: float, text: str) -> None:
    """A labelled vertical line, the label on the side that has room."""
    left, right = axes.get_xlim()
    late = (at - left) / (right - left) > 0.7
    axes.axvline(at, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        text,
        (at, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-6 if late else 6, -4),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top",
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )


def boxes(figure: Figure, columns: list[Column], outliers: dict[str, OutlierFigures]) -> None:
    """One box a column, each on its own scale: quartiles, whiskers at Tukey's fences, dots beyond them."""
    width, height = figure.get_size_inches()
    row = (height - 1.0) / len(columns)
    for index, column in enumerate(columns):
        bottom = height - 0.85 - (index + 1) * row + 0.42
        axes = figure.add_axes((1.9 / width, bottom / height, (width - 2.3) / width, (row - 0.52) / height))
        _box(axes, column, outliers[column.name])


def _box(axes: Axes, column: Column, figures: OutlierFigures) -> None:
    values = column.values.drop_nulls().cast(pl.Float64).sort()
    inside = values.filter((values >= figures.iqr.low) & (values <= figures.iqr.high))
    beyond = values.filter((values < figures.iqr.low) | (values > figures.iqr.high))
    dots = beyond.gather_every(max(1, len(beyond) // _MOST_DOTS)).to_list()
    low, high = _at(values, 0.25), _at(values, 0.75)
    axes.plot(dots, [0.0] * len(dots), "o", color=ORANGE, alpha=0.45, markersize=4.5, markeredgewidth=0)
    axes.plot([_at(inside, 0.0), _at(inside, 1.0)], [0.0, 0.0], color=BLUE, linewidth=1.3)
    axes.barh(0.0, high - low, left=low, height=0.5, color=PALE, edgecolor=BLUE, linewidth=1.3, zorder=3)
    axes.plot([figures.median] * 2, [-0.25, 0.25], color=BLUE, linewidth=2.4, zorder=4)
    axes.set_ylim(-0.5, 0.5)
    tidy(axes, grid="x")
    axes.set_yticks([0.0], [short(plain(column.name), 20)], color=INK)


def _at(values: pl.Series, share: float) -> float:
    return number(values.quantile(share, interpolation="linear")) or 0.0
