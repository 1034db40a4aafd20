"""What is said about each column, whatever it holds."""

from dataclasses import dataclass

import polars as pl

from tidegate.jobs.analysis.columns.infer import cut
from tidegate.jobs.analysis.columns.parsed import Kind
from tidegate.jobs.analysis.columns.table import Column, Table
from tidegate.jobs.analysis.figures.finite import rounded, share

_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSchema:
    """One column of the result's `schema`."""

    name: str
    original_name: str
    kind: Kind
    nulls: int
    null_share: float
    distinct: int
    examples: tuple[str, ...]
    unit: str | None
    formats: tuple[str, ...]
    unparsed: int
    notes: tuple[str, ...]


def schema(table: Table) -> tuple[ColumnSchema, ...]:
    """One entry a column, in the table's order."""
    return tuple(_describe(column, table.rows) for column in table.columns)


def _describe(column: Column, rows: int) -> ColumnSchema:
    return ColumnSchema(
        name=column.name,
        original_name=cut(column.original, 200),
        kind=column.kind,
        nulls=column.nulls,
        null_share=share(column.nulls, rows),
        distinct=column.distinct,
        examples=_examples(column.values),
        unit=column.unit,
        formats=column.formats,
        unparsed=column.unparsed,
        notes=column.notes,
    )


def _examples(values: pl.Series) -> tuple[str, ...]:
    """The first few distinct values, as text."""
    first = values.head(1000).drop_nulls()
    first = first if len(first) else values.drop_nulls().head(_EXAMPLES)
    distinct = first.unique(maintain_order=True).head(_EXAMPLES).to_list()
    return tuple(cut(_written(each)) for each in distinct)


def _written(value: object) -> object:
    """As a person would write it: true, 0.142857."""
    if isinstance(value, bool):
        return str(value).lower()
    return rounded(value) if isinstance(value, float) else value
