"""All key figures of a table."""

from tidegate.jobs.analysis.columns.table import Table
from tidegate.jobs.analysis.contract import Progress, Stage
from tidegate.jobs.analysis.figures.categories import category_figures, segment_figures
from tidegate.jobs.analysis.figures.correlations import correlation_figures
from tidegate.jobs.analysis.figures.model import Kpis
from tidegate.jobs.analysis.figures.numeric import numeric_figures, outlier_figures
from tidegate.jobs.analysis.figures.trends import time_figures


def kpis(table: Table, progress: Progress, start: float, stop: float) -> Kpis:
    """Every key figure of the table; progress runs from `start` to `stop`."""
    middle = (start + stop) / 2
    stage = Stage(progress, start, middle)
    numeric, groups = table.numeric(), table.grouping()
    stage.at(0.0, "Describing numbers")
    described = {column.name: numeric_figures(column) for column in numeric}
    stage.at(0.3, "Looking for outliers")
    outliers = {column.name: outlier_figures(column, table) for column in numeric}
    stage.at(0.6, "Describing groups")
    categories = {column.name: category_figures(column) for column in groups}
    segments = segment_figures(table)
    return Kpis(
        rows=table.rows,
        columns=len(table.columns),
        numeric=described,
        categorical=categories,
        segments=segments,
        time=time_figures(table, Stage(progress, middle, (middle + stop) / 2)),
        correlations=correlation_figures(table, Stage(progress, (middle + stop) / 2, stop)),
        outliers={name: found for name, found in outliers.items() if found is not None},
    )
