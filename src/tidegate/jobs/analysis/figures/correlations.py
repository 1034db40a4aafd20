"""How columns of numbers move together."""

from itertools import combinations

import polars as pl

from tidegate.jobs.analysis.columns.table import Table
from tidegate.jobs.analysis.contract import Stage
from tidegate.jobs.analysis.figures.finite import number
from tidegate.jobs.analysis.figures.measures import measures
from tidegate.jobs.analysis.figures.model import Correlation, Correlations

_MOST_COLUMNS = 15
_MOST_ROWS = 100_000
_MOST_PAIRS = 105
_FEWEST_ROWS = 10


def correlation_figures(table: Table, stage: Stage) -> Correlations:
    """Pearson's and Spearman's coefficient of each pair of up to 15 measures, strongest first.

    Over 100,000 rows only each n-th row is used, evenly spread.
    """
    columns = measures(table, _MOST_COLUMNS)
    every = max(1, -(-table.rows // _MOST_ROWS))
    frame = pl.DataFrame([column.values.cast(pl.Float64) for column in columns]).gather_every(every)
    pairs: list[Correlation] = []
    names = [column.name for column in columns]
    for done, (a, b) in enumerate(combinations(names, 2)):
        stage.at(done / (len(names) ** 2 / 2), f"Comparing {a} with {b}")
        pair = _pair(frame.select(a, b).drop_nulls())
        pairs += [pair] if pair else []
    pairs.sort(key=lambda pair: -max(abs(pair.pearson), abs(pair.spearman)))
    return Correlations(columns=tuple(names), every=every, pairs=tuple(pairs[:_MOST_PAIRS]))


def _pair(both: pl.DataFrame) -> Correlation | None:
    """None where there are too few common rows, or one column is constant in them."""
    if both.height < _FEWEST_ROWS:
        return None
    a, b = both.columns
    pearson = number(both.select(pl.corr(a, b)).item())
    ranks = both.select(pl.all().rank("average"))
    spearman = number(ranks.select(pl.corr(a, b)).item())
    if pearson is None or spearman is None:
        return None
    return Correlation(a=a, b=b, count=both.height, pearson=pearson, spearman=spearman)
