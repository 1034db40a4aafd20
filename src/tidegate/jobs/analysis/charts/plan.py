"""Which charts a table deserves, and drawing them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from tidegate.jobs.analysis.charts.groups import MOST_BARS, bars, bars_height, segment_bars
from tidegate.jobs.analysis.charts.lines import has_smooth, line
from tidegate.jobs.analysis.charts.matrix import MOST_COLUMNS, matrix, matrix_height
from tidegate.jobs.analysis.charts.picture import Picture
from tidegate.jobs.analysis.charts.spread import boxes, histogram
from tidegate.jobs.analysis.charts.style import canvas, plain, save
from tidegate.jobs.analysis.columns.table import Table
from tidegate.jobs.analysis.contract import Stage
from tidegate.jobs.analysis.errors import first_line
from tidegate.jobs.analysis.figures.measures import measures
from tidegate.jobs.analysis.figures.model import Kpis, TimeFigures, Trend
from tidegate.jobs.analysis.insights.evidence import Insight, amount
from tidegate.jobs.analysis.reading.raw import LeftOut

_MOST_LINES = 2
_MOST_HISTOGRAMS = 2
_MOST_BAR_CHARTS = 1
_MOST_BOXES = 4
_HEIGHT = 4.8
_TOLD = frozenset({"trend", "step", "cycle"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A chart not drawn yet. `name` becomes the file's name."""

    name: str
    kind: str
    title: str
    subtitle: str
    columns: tuple[str, ...]
    draw: Callable[[Figure], None]
    height: float = _HEIGHT


def draw_charts(
    table: Table, kpis: Kpis, insights: list[Insight], output: Path, stage: Stage
) -> tuple[list[Picture], list[LeftOut]]:
    """Draw at most eight charts into `output/charts`, those that insights speak of first.

    A chart that cannot be drawn is left out and said: it must not cost the figures. Raises OSError where
    `output` cannot be written, and what the stage raises.
    """
    drafts = list(_plan(table, kpis, insights))
    (output / "charts").mkdir(exist_ok=True)
    pictures: list[Picture] = []
    left_out: list[LeftOut] = []
    for index, draft in enumerate(drafts):
        stage.at(index / len(drafts), f"Drawing {draft.title}")
        file = f"charts/{index + 1:02}-{draft.name}.png"
        try:
            _draw(draft, output / file)
        except OSError:
            raise
        except Exception as error:
            left_out.append(LeftOut(part=f"the chart {draft.title!r}", why=first_line(error)))
        else:
            pictures.append(Picture(file=file, title=draft.title, kind=draft.kind, columns=draft.columns))
    return pictures, left_out


def _draw(draft: _Draft, path: Path) -> None:
    with canvas(draft.title, draft.subtitle, draft.height) as figure:
        draft.draw(figure)
        save(figure, path)


def _plan(table: Table, kpis: Kpis, insights: list[Insight]) -> Iterator[_Draft]:
    yield from _lines(kpis.time, insights)
    yield from _histograms(table, kpis)
    yield from _bars(kpis)
    yield from _segments(kpis)
    yield from _matrix(kpis)
    yield from _boxes(table, kpis)


def _lines(time: TimeFigures | None, insights: list[Insight]) -> Iterator[_Draft]:
    """Measures with a trend, a step or a cycle first, in the order the insights name them."""
    if time is None:
        return
    everything = {**time.trends, **({"": time.rows} if time.rows else {})}
    told = [each.columns[1] if len(each.columns) > 1 else "" for each in insights if each.rule in _TOLD]
    order = [name for name in dict.fromkeys([*told, *everything]) if name in everything]
    for name in order[:_MOST_LINES]:
        yield _line(time, everything[name])


def _line(time: TimeFigures, trend: Trend) -> _Draft:
    what = plain(trend.measure)
    title = {"count": "Rows", "sum": f"Total {what}", "mean": f"Average {what}"}[trend.aggregate]
    smooth = f"; bold: mean over {trend.window} {time.bucket}s" if has_smooth(trend) else ""
    columns = (time.column,) if trend.aggregate == "count" else (time.column, trend.measure)
    return _Draft(
        name="over-time",
        kind="line",
        title=f"{title} by {time.bucket}",
        subtitle=f"{time.first_at} to {time.last_at}; highest and lowest marked{smooth}",
        columns=columns,
        draw=partial(line, trend=trend),
    )


def _histograms(table: Table, kpis: Kpis) -> Iterator[_Draft]:
    for column in measures(table, _MOST_HISTOGRAMS):
        figures = kpis.numeric[column.name]
        yield _Draft(
            name="distribution",
            kind="histogram",
            title=f"Distribution of {plain(column.name)}",
            subtitle=f"{figures.count:,} values from {amount(figures.min)} to {amount(figures.max)}, "
            f"mean {amount(figures.mean)}",
            columns=(column.name,),
            draw=partial(histogram, column=column, figures=figures),
        )


def _bars(kpis: Kpis) -> Iterator[_Draft]:
    """The most telling grouping: not two values, not hundreds."""
    by_name = [(name, figures) for name, figures in kpis.categorical.items() if figures.distinct > 1]
    by_name.sort(key=lambda each: (each[1].distinct == 2, each[1].distinct > 50))
    for name, figures in by_name[:_MOST_BAR_CHARTS]:
        yield _Draft(
            name="groups",
            kind="bar",
            title=f"Rows by {plain(name)}",
            subtitle=f"{figures.count:,} rows, {figures.distinct:,} values",
            columns=(name,),
            draw=partial(bars, figures=figures),
            height=bars_height(min(MOST_BARS + 1, figures.distinct)),
        )


def _segments(kpis: Kpis) -> Iterator[_Draft]:
    for segment in kpis.segments[:1]:
        mean = kpis.numeric[segment.measure].mean
        yield _Draft(
            name="by-group",
            kind="bar",
            title=f"Average {plain(segment.measure)} by {plain(segment.by)}",
            subtitle=f"rows in brackets; dashed: mean of all rows, {amount(mean)}",
            columns=(segment.by, segment.measure),
            draw=partial(segment_bars, segment=segment, mean=mean),
            height=bars_height(min(MOST_BARS, len(segment.groups))),
        )


def _matrix(kpis: Kpis) -> Iterator[_Draft]:
    names = kpis.correlations.columns[:MOST_COLUMNS]
    if len(names) >= 3 and kpis.correlations.pairs:
        yield _Draft(
            name="correlations",
            kind="heatmap",
            title="What moves together",
            subtitle="Pearson's correlation: 1 rise and fall together, 0 unrelated, -1 opposite",
            columns=names,
            draw=partial(matrix, figures=kpis.correlations),
            height=matrix_height(len(names)),
        )


def _boxes(table: Table, kpis: Kpis) -> Iterator[_Draft]:
    """The measures with most values beyond the fences."""
    columns = [column for column in measures(table, 50) if column.name in kpis.outliers]
    columns = [column for column in columns if kpis.outliers[column.name].iqr.count]
    columns.sort(key=lambda column: -kpis.outliers[column.name].iqr.share)
    shown = columns[:_MOST_BOXES]
    if shown:
        yield _Draft(
            name="outliers",
            kind="box",
            title="Values far off",
            subtitle="box: middle half with the median; dots: beyond 1.5 box widths",
            columns=tuple(column.name for column in shown),
            draw=partial(boxes, columns=shown, outliers=kpis.outliers),
            height=1.3 + 1.15 * len(shown),
        )
