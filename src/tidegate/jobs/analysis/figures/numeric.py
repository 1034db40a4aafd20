"""Key figures of a column of numbers, and the values far off."""

import polars as pl

from tidegate.jobs.analysis.columns.table import Column, Table
from tidegate.jobs.analysis.figures.finite import number, share
from tidegate.jobs.analysis.figures.model import Extreme, Fence, NumericFigures, OutlierFigures

_ROBUST_LIMIT = 3.5
_MAD_TO_SIGMA = 0.6745
_MEAN_AD_TO_SIGMA = 1.253314
_MOST_EXTREMES = 5
_FEWEST_FOR_OUTLIERS = 20


def numeric_figures(column: Column) -> NumericFigures:
    """Count, centre, spread and percentiles of a column with at least one value."""
    values = column.values.drop_nulls()
    floats = values.cast(pl.Float64)
    zeros = int((values == 0).sum())
    return NumericFigures(
        count=len(values),
        sum=_sum(values),
        mean=number(floats.mean()) or 0.0,
        median=_quantile(floats, 0.5),
        std=number(floats.std()) if len(values) > 1 else None,
        min=number(floats.min()) or 0.0,
        max=number(floats.max()) or 0.0,
        p5=_quantile(floats, 0.05),
        p25=_quantile(floats, 0.25),
        p75=_quantile(floats, 0.75),
        p95=_quantile(floats, 0.95),
        zeros=zeros,
        zero_share=share(zeros, len(values)),
        negatives=int((values < 0).sum()),
        unit=column.unit,
    )


def outlier_figures(column: Column, table: Table) -> OutlierFigures | None:
    """Values far off by both rules, worst first; None for under 20 values or where the quartiles coincide."""
    frame = pl.DataFrame({"row": table.row_numbers, "value": column.values.cast(pl.Float64)}).drop_nulls()
    values = frame["value"]
    low, high = _quantile(values, 0.25), _quantile(values, 0.75)
    if len(values) < _FEWEST_FOR_OUTLIERS or low == high:
        return None
    reach = 1.5 * (high - low)
    median = _quantile(values, 0.5)
    sigma = _robust_sigma(values, median)
    scores = ((values - median) / sigma).alias("score")
    beyond = frame.with_columns(scores).filter(pl.col("score").abs() > _ROBUST_LIMIT)
    worst = beyond.sort([pl.col("score").abs(), "row"], descending=[True, False]).head(_MOST_EXTREMES)
    return OutlierFigures(
        count=len(values),
        median=median,
        iqr=_fence(values, low - reach, high + reach),
        mad=_fence(values, median - _ROBUST_LIMIT * sigma, median + _ROBUST_LIMIT * sigma),
        extremes=tuple(Extreme(row=row, value=value, score=score) for row, value, score in worst.rows()),
    )


def _robust_sigma(values: pl.Series, median: float) -> float:
    """The spread by the median absolute deviation; by the mean one where half of all values are alike."""
    distances = (values - median).abs()
    mad = _quantile(distances, 0.5)
    return mad / _MAD_TO_SIGMA if mad else _MEAN_AD_TO_SIGMA * (number(distances.mean()) or 1.0)


def _fence(values: pl.Series, low: float, high: float) -> Fence:
    count = int(((values < low) | (values > high)).sum())
    return Fence(low=low, high=high, count=count, share=share(count, len(values)))


def _quantile(values: pl.Series, at: float) -> float:
    return number(values.quantile(at, interpolation="linear")) or 0.0


def _sum(values: pl.Series) -> float:
    """Exact for integers, unless the sum leaves 64 bits."""
    total = number(values.cast(pl.Float64).sum()) or 0.0
    whole = values.sum() if values.dtype.is_integer() and abs(total) < 2.0**62 else None
    return whole if isinstance(whole, int) else total
