"""Charts of groups: how many rows each has, and how a measure differs between them."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tidegate.jobs.analysis.charts.style import BLUE, INK, PALE, SOFT, brief, plot_area, short, tidy
from tidegate.jobs.analysis.figures.model import CategoryFigures, Segment
from tidegate.jobs.analysis.insights.evidence import percent

MOST_BARS = 12


def bars(figure: Figure, figures: CategoryFigures) -> None:
    """The commonest values with their counts and shares, the others as one pale bar."""
    top = figures.top[:MOST_BARS]
    labels = [short(each.value) for each in top]
    counts = [each.count for each in top]
    colors = [BLUE] * len(top)
    if figures.distinct > len(top):
        labels.append(f"{figures.distinct - len(top):,} others")
        counts.append(figures.count - sum(counts))
        colors.append(PALE)
    texts = [f"{count:,}  ({percent(count / figures.count)})" for count in counts]
    _horizontal(plot_area(figure, left=2.3, bottom=0.3, right=1.2), labels, list(map(float, counts)), texts, colors)


def segment_bars(figure: Figure, segment: Segment, mean: float) -> None:
    """The mean of a measure in each group, against the mean of all rows."""
    groups = segment.groups if len(segment.groups) <= MOST_BARS else segment.groups[:MOST_BARS]
    labels = [f"{short(group.value, 22)}  ({group.count:,})" for group in groups]
    axes = _area(figure, labels)
    values = [group.mean for group in groups]
    _horizontal(axes, labels, values, [brief(value) for value in values], [BLUE] * len(groups))
    axes.axvline(mean, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))


def bars_height(bars: int) -> float:
    """Inches for a chart of so many horizontal bars."""
    return 1.3 + 0.34 * bars


def _area(figure: Figure, labels: list[str]) -> Axes:
    """Axes that leave the labels the room they need."""
    return plot_area(figure, left=0.5 + 0.085 * max(map(len, labels)), bottom=0.3, right=1.2)


def _horizontal(axes: Axes, labels: list[str], values: list[float], texts: list[str], colors: list[str]) -> None:
    places = list(range(len(values)))[::-1]
    axes.barh(places, values, height=0.72, color=colors)
    axes.set_yticks(places, labels, color=INK)
    tidy(axes, grid="x")
    axes.set_xticks([])
    axes.set_ylim(-0.6, len(values) - 0.4)
    for place, value, text in zip(places, values, texts, strict=True):
        axes.annotate(
            text,
            (value, place),
            xytext=(5 if value >= 0 else -5, 0),
            textcoords="offset points",
            va="center",
            ha="left" if value >= 0 else "right",
            color=SOFT,
        )
