"""The table's time axis: which column it is, how it is cut into buckets, and series of values along it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from tidegate.jobs.analysis.columns.table import Column, Table

_MOST_BUCKETS = 120
_PLAUSIBLE_YEARS = (1500, 2299)
_BUCKETS = (
    ("hour", "1h", timedelta(hours=1)),
    ("day", "1d", timedelta(days=1)),
    ("week", "1w", timedelta(days=7)),
    ("month", "1mo", timedelta(days=30.4)),
    ("quarter", "1q", timedelta(days=91.2)),
    ("year", "1y", timedelta(days=365.2)),
)
_EVERY = {name: every for name, every, _ in _BUCKETS}
_LENGTH = {name: length for name, _, length in _BUCKETS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The axis. `at` has one instant a row, null where the row has no date or an implausible one.

    `step` is the usual distance between neighbouring distinct instants. `events` says that rows do not come
    one by one at a regular pace, so that their number per bucket tells something.
    """

    column: Column
    others: tuple[str, ...]
    at: pl.Series
    first: datetime
    last: datetime
    step: timedelta
    events: bool
    outside: int
    bucket: str

    @property
    def span(self) -> timedelta:
        """From the first instant to the last."""
        return self.last - self.first

    @property
    def shape(self) -> str:
        """How buckets are written: with a time of day or without."""
        return "%Y-%m-%dT%H:%M" if self.bucket == "hour" else "%Y-%m-%d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values along the axis, one a bucket without gaps; None where a bucket has no value."""

    starts: tuple[datetime, ...]
    values: tuple[float | None, ...]
    rows: tuple[int, ...]

    def present(self) -> list[tuple[datetime, float]]:
        """The buckets that have a value."""
        return [(at, value) for at, value in zip(self.starts, self.values, strict=True) if value is not None]


def find_timeline(table: Table) -> Timeline | None:
    """The time axis: the date column with the fewest gaps, then the most distinct dates, then the first.

    Dates far from nearly all others (1900-01-01, 9999-12-31) are set aside, and all before 1500 or after
    2299. None where no column has at least two dates, in at least half of the rows.
    """
    candidates = [
        column for column in table.temporal() if column.distinct > 1 and column.values.null_count() <= table.rows / 2
    ]
    if not candidates:
        return None
    best = min(candidates, key=lambda column: (column.values.null_count(), -column.distinct))
    at = best.values.cast(pl.Datetime("us"))
    plausible = _plausible(at)
    instants = plausible.drop_nulls().unique().sort()
    first, last, step = instants.min(), instants.max(), instants.diff().drop_nulls().median()
    if not (isinstance(first, datetime) and isinstance(last, datetime) and isinstance(step, timedelta)):
        return None
    return Timeline(
        column=best,
        others=tuple(column.name for column in table.temporal() if column is not best),
        at=plausible,
        first=first,
        last=last,
        step=step,
        events=len(instants) < 0.9 * (len(plausible) - plausible.null_count()) or not _is_regular(instants),
        outside=plausible.null_count() - at.null_count(),
        bucket=_bucket(last - first, step),
    )


def _is_regular(instants: pl.Series) -> bool:
    """Whether most neighbours are about equally far apart (months are)."""
    gaps = instants.diff().drop_nulls().cast(pl.Int64)
    usual = gaps.median()
    if not isinstance(usual, int | float):
        return True
    return int(((gaps > 1.2 * usual) | (gaps < 0.8 * usual)).sum()) <= 0.2 * len(gaps)


def _plausible(at: pl.Series) -> pl.Series:
    at = pl.select(pl.when(at.dt.year().is_between(*_PLAUSIBLE_YEARS)).then(at)).to_series()
    micros = at.cast(pl.Int64)
    low, high = micros.quantile(0.01, "nearest"), micros.quantile(0.99, "nearest")
    if low is None or high is None or low == high:
        return at
    reach = 2 * (high - low)
    near = (micros >= low - reach) & (micros <= high + reach)
    return pl.select(pl.when(near).then(at)).to_series()


def _bucket(span: timedelta, step: timedelta) -> str:
    """The finest bucket that gives at most 120 of them and is no finer than the data."""
    for name, _, length in _BUCKETS:
        if span / length <= _MOST_BUCKETS and length >= 0.9 * step:
            return name
    return "year"


def series_of(timeline: Timeline, values: pl.Series | None, aggregate: str, bucket: str) -> Series:
    """One value a bucket: the "mean" or "sum" of `values`, or the "count" of rows."""
    frame = pl.DataFrame({"at": timeline.at})
    frame = frame.with_columns((values.cast(pl.Float64) if values is not None else timeline.at).alias("x"))
    amount = {"mean": pl.col("x").mean(), "sum": pl.col("x").sum(), "count": pl.len().cast(pl.Float64)}
    every = _EVERY[bucket]
    found = (
        frame.drop_nulls()
        .group_by(pl.col("at").dt.truncate(every))
        .agg(amount[aggregate].alias("value"), pl.len().alias("rows"))
        .sort("at")
    )
    if not found.height:
        return Series(starts=(), values=(), rows=())
    edges = found.select(pl.datetime_range(pl.col("at").min(), pl.col("at").max(), every, time_unit="us"))
    filled = edges.join(found, on="at", how="left", maintain_order="left")
    gap = 0.0 if aggregate == "count" else None
    return Series(
        starts=tuple(filled["at"]),
        values=tuple(filled["value"] if gap is None else filled["value"].fill_null(gap)),
        rows=tuple(filled["rows"].fill_null(0)),
    )


def complete(timeline: Timeline, series: Series) -> tuple[bool, ...]:
    """Which buckets the data covers from end to end; only the first and the last may not."""
    length = _LENGTH[timeline.bucket]
    slack = max(length * 0.15, timeline.step * 1.5)
    head = timeline.first - series.starts[0] <= slack
    tail = length - (timeline.last - series.starts[-1]) <= slack
    middle = (True,) * (len(series.starts) - 2)
    return (head, *middle, tail) if len(series.starts) > 1 else (head and tail,)
