"""What a parser of text columns answers, and what it is told."""

from dataclasses import dataclass
from enum import StrEnum

import polars as pl

SAMPLE = 1000


class Kind(StrEnum):
    """What a column holds."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    TEXT = "text"
    DATE = "date"
    DATETIME = "datetime"
    IDENTIFIER = "identifier"
    EMPTY = "empty"


NUMERIC = frozenset({Kind.NUMBER, Kind.INTEGER})
TEMPORAL = frozenset({Kind.DATE, Kind.DATETIME})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the whole file tells about how a single column is to be read."""

    decimal_comma: bool = False
    day_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Values of one kind; null where the text was null or is no such value.

    `unit` is what the numbers were written with ("%", "$"). `formats` are the shapes dates came in.
    """

    kind: Kind
    values: pl.Series
    unit: str | None = None
    formats: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def sample(text: pl.Series) -> pl.Series:
    """About 1,000 of the column's values, evenly spread."""
    present = text.drop_nulls()
    return present.gather_every(max(1, present.len() // SAMPLE))


def share_matching(text: pl.Series, pattern: str) -> float:
    """The share of values that match the pattern; 0 for no values."""
    return int(text.str.contains(pattern).sum()) / text.len() if text.len() else 0.0
