"""Which kind a single column is, and its values as that kind."""

import re
from dataclasses import replace

import polars as pl

from tidegate.jobs.analysis.columns.dates import parse_dates
from tidegate.jobs.analysis.columns.meaning import refine_integers, text_kind
from tidegate.jobs.analysis.columns.numbers import only_usable, parse_numbers
from tidegate.jobs.analysis.columns.parsed import Hints, Kind, Parsed, share_matching
from tidegate.jobs.analysis.columns.patterns import NULL_MARKERS
from tidegate.jobs.analysis.columns.table import Column
from tidegate.jobs.analysis.columns.truths import parse_truths

_ENOUGH = 0.9
_MIXED = 0.1
_COUNTRY_CODE = r"^[A-Z]{2}$"


def normalise(raw: pl.Series) -> pl.Series:
    """The column without surrounding blanks and with every null marker as null; other dtypes unchanged.

    "NA" stays where nearly all other values are two capital letters too: it is Namibia then.
    """
    if isinstance(raw.dtype, pl.Categorical | pl.Enum):
        return normalise(raw.cast(pl.String))
    if raw.dtype.is_float():
        return only_usable(raw)
    if raw.dtype != pl.String:
        return raw
    text = raw.str.strip_chars()
    empty = text.str.to_lowercase().is_in(list(NULL_MARKERS))
    if (text == "NA").any():
        others = text.filter(~empty).unique()
        if others.len() >= 5 and share_matching(others, _COUNTRY_CODE) >= 0.9:
            empty &= text != "NA"
    return pl.select(pl.when(~empty).then(text).alias(raw.name)).to_series()


def infer_column(values: pl.Series, *, name: str, original: str, hints: Hints) -> Column:
    """Give a normalised column its kind.

    A kind is taken when it fits at least 9 of 10 values; the rest count as unparsed and become null.
    """
    column = Column(name=name, original=original, kind=Kind.EMPTY, values=values, nulls=values.null_count(), distinct=0)
    if column.nulls == len(values):
        return column
    if values.dtype == pl.String:
        return _from_text(column, hints)
    return _finish(column, _typed(values))


def _typed(values: pl.Series) -> Parsed:
    """Columns whose file says what they hold."""
    dtype = values.dtype
    if dtype in (pl.Boolean, pl.Date):
        return Parsed(kind=Kind.BOOLEAN if dtype == pl.Boolean else Kind.DATE, values=values)
    if isinstance(dtype, pl.Datetime):
        utc = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else values
        return Parsed(kind=Kind.DATETIME, values=utc.cast(pl.Datetime("us")))
    if isinstance(dtype, pl.Duration):
        return Parsed(kind=Kind.NUMBER, values=values.dt.total_milliseconds() / 1000, unit="s")
    if dtype.is_numeric():
        return _numbers(values)
    return Parsed(kind=Kind.TEXT, values=values.cast(pl.String, strict=False))


def _numbers(values: pl.Series) -> Parsed:
    if values.dtype.is_integer():
        exact = values.cast(pl.Int64, strict=False)
        if exact.null_count() == values.null_count():
            return Parsed(kind=Kind.INTEGER, values=exact)
    floats = values.cast(pl.Float64, strict=False)
    whole = bool((floats == floats.floor()).all() and (floats.abs() < 2.0**53).all())
    if whole:
        return Parsed(kind=Kind.INTEGER, values=floats.cast(pl.Int64))
    return Parsed(kind=Kind.NUMBER, values=floats)


def _from_text(column: Column, hints: Hints) -> Column:
    text = column.values
    present = len(text) - column.nulls
    mixture: dict[str, float] = {}
    for parsed in (parse_truths(text), parse_numbers(text, hints), parse_dates(text, hints)):
        if parsed is None:
            continue
        share = 1 - (parsed.values.null_count() - column.nulls) / present
        if share >= _ENOUGH:
            return _finish(column, parsed)
        mixture[parsed.kind.value] = share
    mixed = {kind: share for kind, share in mixture.items() if share >= _MIXED}
    rest = {"text": 1 - sum(mixed.values())} if mixed else {}
    column = replace(column, mixture=tuple({**mixed, **rest}.items()))
    return _finish(column, Parsed(kind=Kind.TEXT, values=text))


def _finish(column: Column, parsed: Parsed) -> Column:
    """The column with its parsed values, and what its name and values say beyond their type."""
    values = parsed.values.alias(column.name)
    unparsed = values.null_count() - column.nulls
    odd = column.values.filter(values.is_null() & column.values.is_not_null()).unique(maintain_order=True)
    kind = parsed.kind
    if kind is Kind.INTEGER and parsed.unit is None:
        parsed = refine_integers(parsed, column.name)
        kind, values = parsed.kind, parsed.values.alias(column.name)
    elif kind is Kind.TEXT:
        kind = text_kind(values, column.name)
    return replace(
        column,
        kind=kind,
        values=values,
        distinct=values.drop_nulls().n_unique(),
        unparsed=unparsed,
        odd_values=tuple(cut(each) for each in odd.head(3)),
        unit=parsed.unit,
        formats=parsed.formats,
        notes=parsed.notes,
    )


def cut(value: object, length: int = 60) -> str:
    """The value as one line of text, shortened."""
    text = re.sub(r"\s+", " ", str(value)).strip()
    return text if len(text) <= length else text[: length - 1] + "\u2026"
