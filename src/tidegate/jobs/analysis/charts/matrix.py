"""The chart of correlations."""

from math import isfinite, nan

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from tidegate.jobs.analysis.charts.style import BLUE, INK, RED, plain, short
from tidegate.jobs.analysis.figures.model import Correlations

MOST_COLUMNS = 10
_ROOM = 60
_DIVERGING = LinearSegmentedColormap.from_list("tidegate", [RED, "#FAFAFA", BLUE])


def matrix_height(columns: int) -> float:
    """Inches for a chart of so many columns."""
    return 1.75 + 0.5 * columns


def matrix(figure: Figure, figures: Correlations) -> None:
    """Pearson's coefficient of each pair, blue for together and red for opposite; only the lower half."""
    names = list(figures.columns[:MOST_COLUMNS])
    found = {frozenset((pair.a, pair.b)): pair.pearson for pair in figures.pairs}
    width, height = figure.get_size_inches()
    axes = figure.add_axes((2.2 / width, 0.85 / height, (width - 2.6) / width, (height - 1.75) / height))
    rows, columns = names[1:], names[:-1]
    grid = [_row(row, columns, index, found) for index, row in enumerate(rows)]
    axes.imshow(grid, cmap=_DIVERGING, vmin=-1, vmax=1, aspect="auto")
    below, beside = ([short(plain(name), 22) for name in part] for part in (columns, rows))
    level = len(columns) * max(map(len, below)) <= _ROOM
    turn, anchor = (0, "center") if level else (25, "right")
    axes.set_xticks(range(len(columns)), below, rotation=turn, ha=anchor)
    axes.set_yticks(range(len(rows)), beside, color=INK)
    for side in axes.spines.values():
        side.set_visible(False)
    for index, line in enumerate(grid):
        for place, value in enumerate(line):
            if isfinite(value):
                color = "white" if abs(value) > 0.6 else INK
                axes.text(place, index, f"{round(value, 2) + 0.0:.2f}", ha="center", va="center", color=color)


def _row(row: str, columns: list[str], index: int, found: dict[frozenset[str], float]) -> list[float]:
    """The coefficients of one row up to the diagonal, blank after it."""
    known = [found.get(frozenset((row, column)), nan) for column in columns[: index + 1]]
    return known + [nan] * (len(columns) - index - 1)
