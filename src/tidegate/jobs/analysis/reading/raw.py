"""What every reader returns: cells as they were found, and how they were found."""

from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where in the file the table was. Texts are for people; None means the format has no such thing."""

    format: str
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    other_sheets: tuple[str, ...] = ()
    rows_above_header: int = 0
    has_header: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """Rows whose number of cells is not the table's. `examples` are row numbers, the first few."""

    short: int = 0
    long: int = 0
    examples: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A part of the file, or of the analysis, that is missing from the result, and why."""

    part: str
    why: str


def rows_left_out(most: int) -> LeftOut:
    """The table was cut after `most` rows."""
    return LeftOut(part=f"rows after the first {most:,}", why="The table has more rows than one analysis reads.")


def columns_left_out(kept: int, found: int) -> LeftOut:
    """The table was cut to its first columns."""
    return LeftOut(
        part=f"columns after the first {kept:,} of {found:,}",
        why="The table has more columns than one analysis reads.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A table before its columns have kinds.

    The columns of `frame` are named by position ("0", "1", ...); `headings` are their names as found, ""
    where there was none. Row i of `frame` is row number i + 1: data rows are counted from the one after the
    header, blank ones included.
    """

    frame: pl.DataFrame
    headings: tuple[str, ...]
    origin: Origin
    ragged: Ragged = field(default_factory=Ragged)
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
