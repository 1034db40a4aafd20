"""Charts of how values spread: histograms and boxes."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tidegate.jobs.analysis.charts.style import BLUE, INK, ORANGE, PALE, plain, plot_area, short, tidy
from tidegate.jobs.analysis.columns.table import Column
from tidegate.jobs.analysis.figures.finite import number
from tidegate.jobs.analysis.figures.model import NumericFigures, OutlierFigures
from tidegate.jobs.analysis.insights.evidence import amount

_MOST_BINS = 40
_MOST_DOTS = 300


def histogram(figure: Figure, column: Column, figures: NumericFigures) -> None:
    """Bars for how many values fall in each interval, with the median marked."""
    values = column.values.drop_nulls().cast(pl.Float64)
    low, high = visible_range(values)
    shown = values.filter((values >= low) & (values <= high))
    bins = min(_MOST_BINS, max(10, int(len(shown) ** 0.5)))
    if column.values.dtype.is_integer():
        bins, low, high = _whole_bins(low, high, bins)
    width = (high - low) / bins
    places = ((shown - low) / width).floor().clip(0, bins - 1).cast(pl.Int64)
    found = dict(places.value_counts(name="count").rows())
    axes = plot_area(figure)
    axes.bar(
        [low + (place + 0.5) * width for place in range(bins)],
        [found.get(place, 0) for place in range(bins)],
        width=width * 0.92,
        color=BLUE,
    )
    axes.set_xlim(low - width * 0.5, high + width * 0.5)
    tidy(axes)
    axes.set_xlabel(plain(column.name) + (f" ({column.unit})" if column.unit else ""))
    axes.set_ylabel("rows")
    _mark(axes, figures.median, f"median {amount(figures.median)}")


def visible_range(values: pl.Series) -> tuple[float, float]:
    """The range worth drawing: all of it, unless a thin tail would squeeze the rest into a corner."""
    low, high = _at(values, 0.0), _at(values, 1.0)
    inner_low, inner_high = _at(values, 0.01), _at(values, 0.99)
    reach = (inner_high - inner_low) or (high - low) or 1.0
    low, high = max(low, inner_low - 0.5 * reach), min(high, inner_high + 0.5 * reach)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _whole_bins(low: float, high: float, bins: int) -> tuple[int, float, float]:
    """Intervals of a whole width around whole numbers, or bars would hold unequally many of them."""
    span = int(high - low) + 1
    width = -(-span // bins)
    count = -(-span // width)
    return count, low - 0.5, low - 0.5 + count * width


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
    axes.set_yticks([0.0], [short(plain(column.name), 24)], color=INK)


def _at(values: pl.Series, share: float) -> float:
    return number(values.quantile(share, interpolation="linear")) or 0.0
