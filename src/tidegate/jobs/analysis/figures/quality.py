"""How good the data is: what is missing, repeated, mixed or malformed, and one score for it all."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from tidegate.jobs.analysis.columns.parsed import Kind
from tidegate.jobs.analysis.columns.table import Column, Table
from tidegate.jobs.analysis.figures.finite import share
from tidegate.jobs.analysis.reading.raw import Raw

_FORMULA = (
    "100 x completeness x uniqueness x consistency x shape x usefulness, where completeness = share of cells "
    "with a value in columns that are not empty, uniqueness = 1 - duplicate rows / rows, consistency = 1 - "
    "cells not of their column's kind / cells with a value, shape = 1 - ragged rows / rows, usefulness = 1 - "
    "half the share of empty or constant columns"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How many of something, and which share of all that is."""

    count: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RaggedRows:
    """Rows with too few (`short`) or too many cells (`long`); `examples` are row numbers."""

    count: int
    share: float
    short: int
    long: int
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """A column whose values are not all of one kind. `looks` is the share of each where none prevails."""

    unparsed: int
    share: float
    looks: dict[str, float]
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spellings:
    """How many of a category's `distinct` values differ from another only by case, blanks or dashes."""

    variants: int
    distinct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The result's `quality`."""

    score: float
    formula: str
    parts: dict[str, float]
    ragged_rows: RaggedRows
    duplicate_rows: Part
    missing_cells: Part
    missing: dict[str, Part]
    blank_rows: int
    blank_columns: int
    empty_columns: tuple[str, ...]
    constant_columns: tuple[str, ...]
    mixed_columns: dict[str, Mixed]
    mixed_dates: dict[str, tuple[str, ...]]
    spelling_variants: dict[str, Spellings]
    warnings: tuple[str, ...]


def assess(table: Table, raw: Raw) -> Quality:
    """The quality of a table; `raw` knows how its rows were shaped in the file."""
    parts = _parts(table, raw)
    odd = [column for column in table.columns if column.unparsed or column.mixture]
    return Quality(
        score=round(100 * prod(parts.values()), 1),
        formula=_FORMULA,
        parts=parts,
        ragged_rows=_ragged(raw),
        duplicate_rows=_part(table.duplicate_rows, table.rows),
        missing_cells=_part(*_missing_cells(table)),
        missing={column.name: _part(column.nulls, table.rows) for column in table.columns},
        blank_rows=table.blank_rows,
        blank_columns=table.blank_columns,
        empty_columns=tuple(column.name for column in table.columns if column.kind is Kind.EMPTY),
        constant_columns=tuple(column.name for column in _constant(table)),
        mixed_columns={column.name: _mixed(column, table) for column in odd},
        mixed_dates={column.name: column.formats for column in table.columns if len(column.formats) > 1},
        spelling_variants=dict(_spellings(table)),
        warnings=tuple(_warnings(table, raw)),
    )


def _part(count: int, whole: int) -> Part:
    return Part(count=count, share=share(count, whole))


def _ragged(raw: Raw) -> RaggedRows:
    ragged, count = raw.ragged, raw.ragged.short + raw.ragged.long
    return RaggedRows(
        count=count,
        share=share(count, raw.frame.height),
        short=ragged.short,
        long=ragged.long,
        examples=ragged.examples,
    )


def _missing_cells(table: Table) -> tuple[int, int]:
    """Cells without a value in columns that have any, and all cells of those columns."""
    filled = [column for column in table.columns if column.kind is not Kind.EMPTY]
    return sum(column.nulls for column in filled), table.rows * len(filled)


def _parts(table: Table, raw: Raw) -> dict[str, float]:
    nulls, cells = _missing_cells(table)
    odd = sum(_odd_cells(column, table) for column in table.columns)
    empty = sum(1 for column in table.columns if column.kind is Kind.EMPTY)
    return {
        "completeness": 1 - share(nulls, cells),
        "uniqueness": 1 - share(table.duplicate_rows, table.rows),
        "consistency": 1 - share(odd, cells - nulls),
        "shape": 1 - share(raw.ragged.short + raw.ragged.long, raw.frame.height),
        "usefulness": 1 - 0.5 * share(empty + len(list(_constant(table))), len(table.columns)),
    }


def _odd_cells(column: Column, table: Table) -> float:
    """Cells that are not of their column's kind; of a mixture, all but its commonest look."""
    if not column.mixture:
        return column.unparsed
    return (1 - max(part for _, part in column.mixture)) * (table.rows - column.nulls)


def _mixed(column: Column, table: Table) -> Mixed:
    return Mixed(
        unparsed=column.unparsed,
        share=share(_odd_cells(column, table), table.rows - column.nulls),
        looks=dict(column.mixture),
        examples=column.odd_values,
    )


def _constant(table: Table) -> Iterator[Column]:
    """Columns in which every row has the same value."""
    for column in table.columns:
        if column.distinct == 1 and not column.nulls and not column.unparsed and table.rows > 1:
            yield column


def _spellings(table: Table) -> Iterator[tuple[str, Spellings]]:
    for column in table.of_kind(Kind.CATEGORY):
        distinct = column.values.drop_nulls().unique()
        folded = distinct.str.to_lowercase().str.replace_all(r"[\s_\-]+", " ")
        if variants := len(distinct) - folded.n_unique():
            yield column.name, Spellings(variants=variants, distinct=len(distinct))


def _warnings(table: Table, raw: Raw) -> Iterator[str]:
    """Everything a reader of the figures should know about how the file was read."""
    yield from raw.notes
    yield from table.notes
    if not raw.origin.has_header:
        yield "The file has no header; columns are named by position."
    if raw.origin.rows_above_header:
        yield f"{raw.origin.rows_above_header:,} rows above the table were skipped."
    if table.blank_rows:
        yield f"{table.blank_rows:,} rows without any value were left out."
    if table.blank_columns:
        yield f"{table.blank_columns:,} columns with neither a name nor a value were left out."
    for column in table.columns:
        for note in column.notes:
            yield f"{column.name}: {note}"
