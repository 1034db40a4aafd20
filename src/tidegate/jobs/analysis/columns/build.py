"""From a raw table to a typed one."""

import re

import polars as pl

from tidegate.jobs.analysis.columns.infer import infer_column, normalise
from tidegate.jobs.analysis.columns.numbers import uses_decimal_comma
from tidegate.jobs.analysis.columns.parsed import Hints
from tidegate.jobs.analysis.columns.table import Column, Table
from tidegate.jobs.analysis.contract import Stage
from tidegate.jobs.analysis.errors import NotData, Reason
from tidegate.jobs.analysis.reading.header import column_names
from tidegate.jobs.analysis.reading.raw import Raw

_TOTAL = re.compile(r"(?:grand |sub)?(?:total|totals|sum|summe|gesamt|somme)\s*:?", re.IGNORECASE)


def build_table(raw: Raw, stage: Stage) -> Table:
    """Type every column of a raw table; rows and columns without any value are left out and counted.

    Raises NotData when no cell holds a value.
    """
    frame = pl.DataFrame([normalise(column) for column in raw.frame])
    frame, notes = _without_total(frame)
    present = frame.select(~pl.all_horizontal(pl.all().is_null())).to_series()
    numbers = pl.Series("row", range(1, frame.height + 1), dtype=pl.Int64).filter(present)
    blank_rows = frame.height - len(numbers)
    if not len(numbers):
        raise NotData("The table has columns but no values: every cell is blank.", Reason.EMPTY)
    frame = frame.filter(present) if blank_rows else frame
    duplicates = frame.height - frame.hash_rows(seed=0).n_unique()
    columns = _columns(frame, raw, stage)
    return Table(
        columns=columns,
        rows=len(numbers),
        row_numbers=numbers,
        duplicate_rows=duplicates,
        blank_rows=blank_rows,
        blank_columns=raw.frame.width - len(columns),
        notes=notes,
    )


def _columns(frame: pl.DataFrame, raw: Raw, stage: Stage) -> tuple[Column, ...]:
    """Columns with a kind. Takes them out of `frame` one by one, so that no two copies are held."""
    names = column_names(raw.headings)
    kept = [index for index in range(frame.width) if raw.headings[index].strip() or _has_values(frame, index)]
    texts = [column for column in frame if column.dtype == pl.String]
    hints = Hints(decimal_comma=uses_decimal_comma(texts), day_first=raw.origin.delimiter == "semicolon")
    del texts
    columns: list[Column] = []
    for done, index in enumerate(kept):
        stage.at(done / len(kept), f"Reading column {names[index]}")
        values = frame.drop_in_place(str(index))
        columns.append(infer_column(values, name=names[index], original=raw.headings[index], hints=hints))
    return tuple(columns)


def _has_values(frame: pl.DataFrame, index: int) -> bool:
    column = frame.to_series(index)
    return column.null_count() < len(column)


def _without_total(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The frame without a last row of totals, which would count everything twice."""
    if frame.height < 3:
        return frame, ()
    last = [cell for cell in frame.row(-1) if cell is not None]
    if not last or not isinstance(last[0], str) or not _TOTAL.fullmatch(last[0]):
        return frame, ()
    return frame.head(-1), (f"The last row, {last[0]!r}, holds totals and was left out.",)
