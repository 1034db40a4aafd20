"""Key figures of a column of groups, and how measures differ between groups."""

import math
from collections.abc import Iterator

import polars as pl

from tidegate.jobs.analysis.columns.infer import cut
from tidegate.jobs.analysis.columns.table import Column, Table
from tidegate.jobs.analysis.figures.finite import number, share
from tidegate.jobs.analysis.figures.measures import adds_up, measures
from tidegate.jobs.analysis.figures.model import CategoryFigures, Group, Segment, ValueCount

_MOST_VALUES = 20
_MOST_GROUPS = 20
_FEWEST_ROWS = 5
_MOST_SEGMENTS = 12
_MOST_MEASURES = 8
_LEAST_EXPLAINED = 0.01


def category_figures(column: Column) -> CategoryFigures:
    """How values spread over a column with at least one; ties in alphabetical order."""
    texts = column.values.drop_nulls().cast(pl.String).alias("value")
    counts = texts.value_counts(name="count").sort(["count", "value"], descending=[True, False])
    total = len(texts)
    shares = [count / total for count in counts["count"]]
    entropy = -sum(each * math.log(each) for each in shares)
    top = tuple(_value_count(value, count, total) for value, count in counts.head(_MOST_VALUES).rows())
    rarest, fewest = counts.row(-1)
    return CategoryFigures(
        count=total,
        distinct=len(shares),
        entropy=entropy / math.log(len(shares)) if len(shares) > 1 else 0.0,
        concentration=sum(each * each for each in shares),
        top3_share=sum(shares[:3]),
        top=top,
        rarest=_value_count(rarest, fewest, total),
    )


def _value_count(value: str, count: int, total: int) -> ValueCount:
    return ValueCount(value=cut(value), count=count, share=share(count, total))


def segment_figures(table: Table) -> tuple[Segment, ...]:
    """Where groups differ most: each grouping column with up to 20 groups against each leading measure."""
    groupings = [column for column in table.grouping() if 2 <= column.distinct <= _MOST_GROUPS]
    found = [
        segment
        for by in groupings[:_MOST_MEASURES]
        for measure in measures(table, _MOST_MEASURES)
        for segment in _segment(by, measure)
    ]
    return tuple(sorted(found, key=lambda each: -each.explained)[:_MOST_SEGMENTS])


def _segment(by: Column, measure: Column) -> Iterator[Segment]:
    frame = pl.DataFrame({"by": by.values.cast(pl.String), "x": measure.values.cast(pl.Float64)}).drop_nulls()
    groups = (
        frame.group_by("by", maintain_order=True)
        .agg(pl.len().alias("n"), pl.col("x").mean().alias("mean"), pl.col("x").sum().alias("sum"))
        .filter(pl.col("n") >= _FEWEST_ROWS)
        .sort(["mean", "by"], descending=[True, False])
    )
    explained = _explained(frame.filter(pl.col("by").is_in(groups["by"].to_list()))["x"], groups)
    if groups.height < 2 or explained < _LEAST_EXPLAINED:
        return
    total = number(frame["x"].sum()) if adds_up(measure) and bool((frame["x"] >= 0).all()) else None
    yield Segment(
        by=by.name,
        measure=measure.name,
        count=len(frame),
        adds_up=bool(total),
        explained=explained,
        groups=tuple(_groups(groups, len(frame), total)),
    )


def _groups(groups: pl.DataFrame, rows: int, total: float | None) -> Iterator[Group]:
    for value, count, mean, amount in groups.rows():
        of_sum = amount / total if total else None
        yield Group(value=cut(value), count=count, share=count / rows, mean=mean, share_of_sum=of_sum)


def _explained(values: pl.Series, groups: pl.DataFrame) -> float:
    """Eta squared: the share of the values' variance that lies between the groups."""
    variance, grand = number(values.var(ddof=0)), number(values.mean())
    if not variance or grand is None:
        return 0.0
    between = sum(n * (mean - grand) ** 2 for n, mean in groups.select("n", "mean").rows())
    return share(between / len(values), variance)
