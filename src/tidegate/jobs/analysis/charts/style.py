"""One look for every chart: where things stand, their colours and letters, how numbers are written."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter

# Okabe and Ito's palette: told apart with any common colour blindness, and in grey.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, SOFT, GRID, PALE = "#1F2933", "#616E7C", "#E4E7EB", "#B3CDE3"

_WIDTH, _DPI = 9.0, 140
_LEFT = 0.035
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"))


@contextmanager
def canvas(title: str, subtitle: str, height: float = 4.8) -> Iterator[Figure]:
    """An empty figure with its heading; `height` in inches."""
    with _look(), warnings.catch_warnings():
        # A letter the font lacks (CJK labels) is drawn as a box; that is no reason to warn or stop.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing", category=UserWarning)
        figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        figure.text(_LEFT, 1 - 0.28 / height, title, fontsize=14, fontweight="bold", va="center")
        figure.text(_LEFT, 1 - 0.56 / height, subtitle, fontsize=10, color=SOFT, va="center")
        yield figure


def _look() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "font.family": ["DejaVu Sans"],
            "font.size": 10.5,
            "text.color": INK,
            # Dollar signs in labels are dollars.
            "text.parse_math": False,
            "axes.edgecolor": GRID,
            "axes.labelcolor": SOFT,
            "axes.axisbelow": True,
            "date.converter": "concise",
            "xtick.color": SOFT,
            "ytick.color": SOFT,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
        }
    )


def plot_area(figure: Figure, *, left: float = 0.9, bottom: float = 0.55, right: float = 0.35) -> Axes:
    """Axes under the heading; margins in inches, so that text has room whatever the size."""
    width, height = figure.get_size_inches()
    top = 0.85
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )


def tidy(axes: Axes, *, grid: str = "y") -> None:
    """No frame but a base line; faint lines to read values by, along one axis."""
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    if grid == "y":
        axes.spines["bottom"].set_visible(True)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.yaxis.set_major_formatter(Numbers())
    else:
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.xaxis.set_major_formatter(Numbers())


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG. The same figure gives the same bytes."""
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})


class Numbers(Formatter):
    """Tick labels with thousands separators and equally many decimals: 1,500 or 2.5M, 3.0M, 3.5M."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        """A single label."""
        del pos
        return self.format_ticks([value])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """All labels of an axis."""
        largest = max((abs(value) for value in values), default=0.0)
        scale, letter = next(((limit, name) for limit, name in _SCALES if largest >= limit), (1.0, ""))
        shown = [value / scale for value in values]
        decimals = next((few for few in range(6) if all(_is_shown(value, few) for value in shown)), 6)
        return [f"{value:,.{decimals}f}{letter}" for value in shown]


def _is_shown(value: float, decimals: int) -> bool:
    return abs(round(value, decimals) - value) <= 1e-6 * abs(value)


def brief(value: float) -> str:
    """A figure on a chart: three significant digits, whole from 100 on."""
    size = abs(value)
    scale, letter = next(((limit, name) for limit, name in _SCALES if size >= limit), (1.0, ""))
    return f"{value:,.0f}" if 100 <= size < 1e6 else f"{float(f'{value / scale:.3g}'):,.10g}{letter}"


def short(text: str, length: int = 28) -> str:
    """A label that fits beside a bar."""
    return text if len(text) <= length else text[: length - 1] + "\u2026"


def plain(text: str) -> str:
    """A column's name as words: unit_price as "unit price"."""
    return text.replace("_", " ")
