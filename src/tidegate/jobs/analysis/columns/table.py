"""The table every figure is computed from: named columns with kinds and typed values."""

from dataclasses import dataclass

import polars as pl

from tidegate.jobs.analysis.columns.parsed import NUMERIC, TEMPORAL, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `values` has one entry a row, null where there is no value or none of this kind.

    `original` is the heading as found. `nulls` counts cells without a value; `unparsed` cells with a value
    that is not of this kind, of which `odd_values` are a few. `mixture` gives the share of values by look
    where no kind fits enough of them. `formats` are the shapes dates came in; `unit` what numbers were
    written with.
    """

    name: str
    original: str
    kind: Kind
    values: pl.Series
    nulls: int
    distinct: int
    unparsed: int = 0
    odd_values: tuple[str, ...] = ()
    mixture: tuple[tuple[str, float], ...] = ()
    unit: str | None = None
    formats: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All columns, equally long. `row_numbers[i]` is the number in the file of row i.

    `duplicate_rows` counts rows that repeat an earlier one in every cell, `blank_rows` those left out for
    having no value at all, `blank_columns` those left out for having neither a name nor a value.
    """

    columns: tuple[Column, ...]
    rows: int
    row_numbers: pl.Series
    duplicate_rows: int
    blank_rows: int
    blank_columns: int
    notes: tuple[str, ...] = ()

    def of_kind(self, *kinds: Kind) -> list[Column]:
        """The columns of these kinds that have at least one value, in the table's order."""
        return [each for each in self.columns if each.kind in kinds and each.distinct]

    def numeric(self) -> list[Column]:
        """The columns to calculate with."""
        return self.of_kind(*NUMERIC)

    def temporal(self) -> list[Column]:
        """The columns that place a row in time."""
        return self.of_kind(*TEMPORAL)

    def grouping(self) -> list[Column]:
        """The columns whose values repeat and so make groups."""
        return self.of_kind(Kind.CATEGORY, Kind.BOOLEAN)
