"""Text to numbers: thousands separators, decimal commas, currencies, percents, bracketed negatives."""

from collections.abc import Sequence

import polars as pl

from tidegate.jobs.analysis.columns.parsed import Hints, Kind, Parsed, sample, share_matching
from tidegate.jobs.analysis.columns.patterns import (
    COMMA_NUMBER,
    NEGATIVE,
    NUMBER_BODY,
    PLAIN_NUMBER,
    POINT_NUMBER,
    UNIT,
)

_LEAST_SHARE = 0.3
_CODE = r"^0[0-9]{2,}$|^[0-9]{19,}$"
_COMMA_ONLY = r"[0-9],[0-9]{1,2}$|,[0-9]{4,}$|\.[0-9]{3},"
_POINT_ONLY = r"[0-9]\.[0-9]{1,2}$|\.[0-9]{4,}$|,[0-9]{3}\."
_EITHER = r"^[^.,0-9]*[1-9][0-9]{0,2}[.,][0-9]{3}[^.,0-9]*$"
_SEPARATORS = r"[ \u{a0}\u{2007}\u{2009}\u{202f}'\u{2019}]"
_EXACT = 2.0**53
_LARGEST = 1e100


def uses_decimal_comma(columns: Sequence[pl.Series]) -> bool:
    """Whether more text columns can only be read with a decimal comma than only with a decimal point."""
    votes = 0
    for text in map(sample, columns):
        comma = (text.str.contains(COMMA_NUMBER) & text.str.contains(_COMMA_ONLY)).sum()
        point = (text.str.contains(POINT_NUMBER) & text.str.contains(_POINT_ONLY)).sum()
        if max(comma, point) > _LEAST_SHARE * text.len():
            votes += 1 if comma > point else -1
    return votes > 0


def parse_numbers(text: pl.Series, hints: Hints) -> Parsed | None:
    """The column as numbers, or None where hardly any value is one.

    "1,234" and "1.234" can be read two ways: the column's other values decide, then the file's other
    columns; else the point is taken as the decimal sign, and a remark says so. Digits that are codes
    (leading zeros, more than 18) stay text, as identifiers.
    """
    few = sample(text)
    point, comma = share_matching(few, POINT_NUMBER), share_matching(few, COMMA_NUMBER)
    if max(point, comma) < _LEAST_SHARE:
        return None
    if share_matching(few, _CODE) > 0.01 and share_matching(few, r"^[0-9]+$") > 0.9:
        return Parsed(kind=Kind.IDENTIFIER, values=text)
    use_comma = comma > point or (comma == point and hints.decimal_comma)
    values = _plain(text) if not use_comma else None
    unit, notes = None, _doubt(few, use_comma=use_comma) if comma == point else ()
    if values is None:
        values = _dressed(text, use_comma=use_comma)
        unit, more = _unit(few)
        notes += more
    elif share_matching(few, ",") == 0.0:
        notes = ()
    return Parsed(kind=_kind(values), values=_narrow(values), unit=unit, notes=notes)


def _plain(text: pl.Series) -> pl.Series | None:
    """The fast way, where every value is written as a program would write it."""
    if not text.drop_nulls().str.contains(PLAIN_NUMBER).all():
        return None
    bare = text.str.strip_prefix("+")
    whole = bare.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    return only_usable(bare.cast(pl.Float64, strict=False))


def _dressed(text: pl.Series, *, use_comma: bool) -> pl.Series:
    """Numbers as people write them; null for what is none."""
    value = pl.col("text")
    body = value.str.extract(NUMBER_BODY, 1).str.replace_all(_SEPARATORS, "")
    if use_comma:
        body = body.str.replace_all(".", "", literal=True).str.replace_all(",", ".", literal=True)
    else:
        body = body.str.replace_all(",", "", literal=True)
    size = body.cast(pl.Float64, strict=False)
    signed = pl.when(value.str.contains(NEGATIVE)).then(-size).otherwise(size)
    number = pl.when(value.str.contains(COMMA_NUMBER if use_comma else POINT_NUMBER)).then(signed)
    return only_usable(pl.DataFrame({"text": text}).select(number).to_series())


def only_usable(values: pl.Series) -> pl.Series:
    """Floats with null for NaN, infinity and what is too large to be squared (1e100 and more)."""
    return pl.select(pl.when(values.abs() < _LARGEST).then(values).alias(values.name)).to_series()


def _kind(values: pl.Series) -> Kind:
    return Kind.INTEGER if values.dtype.is_integer() or _is_whole(values) else Kind.NUMBER


def _narrow(values: pl.Series) -> pl.Series:
    return values.cast(pl.Int64) if values.dtype.is_float() and _is_whole(values) else values


def _is_whole(values: pl.Series) -> bool:
    return bool((values == values.floor()).all() and (values.abs() < _EXACT).all())


def _unit(few: pl.Series) -> tuple[str | None, tuple[str, ...]]:
    """The unit most values are written with, and a remark where they use several."""
    units = few.str.extract(UNIT, 1).drop_nulls()
    if units.len() < 0.5 * few.len():
        return None, ("Some values carry a unit and most do not.",) if units.len() else ()
    found = units.value_counts(sort=False).sort(["count", units.name], descending=[True, False])
    names = found.to_series(0).to_list()
    notes = (f"Values come in several units: {', '.join(names)}.",) if len(names) > 1 else ()
    return str(names[0]), notes


def _doubt(few: pl.Series, *, use_comma: bool) -> tuple[str, ...]:
    either = few.filter(few.str.contains(_EITHER))
    if not either.len():
        return ()
    sign = "comma" if use_comma else "point"
    return (f"Values such as {either[0]} can be read two ways; the {sign} was taken as the decimal sign.",)
