"""What a column's name and values say beyond their type: years, timestamps, identifiers, categories."""

import re
from dataclasses import replace

import polars as pl

from tidegate.jobs.analysis.columns.parsed import Kind, Parsed

_YEAR = re.compile(r"(?:^|[^a-z])(?:year|yr|jahr|ann\u00e9e|a\u00f1o|anno|fy)$", re.IGNORECASE)
_CLOCK = re.compile(r"(?:time|stamp|epoch|date|(?:^|_)ts$|_at$)", re.IGNORECASE)
_IDENTIFIER = re.compile(
    r"(?:^|[^a-z])(?:id|ids|uuid|guid|key|code|zip|zipcode|postcode|plz|phone|telephone|fax|fips|sku|isbn|ean"
    r"|upc|iban|ssn|vin|hash|token"
    r"|(?:flight|order|invoice|account|customer|ticket|serial|part|case) (?:no|nr|number))$",
    re.IGNORECASE,
)
_INDEX = re.compile(r"^(?:column 1|index|idx|row|rownum|row number|no|nr|number|#|s/?n)$", re.IGNORECASE)
_SECONDS = (10**8, 4 * 10**9)
_LONGEST_LABEL = 200
_MOST_LABELS = 1000


def refine_integers(parsed: Parsed, name: str) -> Parsed:
    """Integers that are really years, days written 20240131, epoch times or identifiers."""
    values = parsed.values
    low, high = _bounds(values)
    spoken = _spoken(name)
    if _YEAR.search(spoken) and low >= 1500 and high <= 2200:
        return replace(parsed, kind=Kind.DATE, values=_days(values * 10_000 + 101), formats=("year",))
    if low >= 1900_01_01 and high <= 2200_12_31 and _days(values).null_count() == values.null_count():
        return replace(parsed, kind=Kind.DATE, values=_days(values), formats=("yyyymmdd",))
    for scale in (1, 1000):
        if _CLOCK.search(name) and low >= _SECONDS[0] * scale and high <= _SECONDS[1] * scale:
            instants = pl.from_epoch(values // scale, "s").cast(pl.Datetime("us"))
            return replace(parsed, kind=Kind.DATETIME, values=instants, formats=("epoch",))
    is_identifier = _IDENTIFIER.search(spoken) or (_INDEX.match(spoken) and _is_counter(values))
    return replace(parsed, kind=Kind.IDENTIFIER) if is_identifier else parsed


def text_kind(values: pl.Series, name: str) -> Kind:
    """Category, identifier or plain text, by how often values repeat and how they are written."""
    present = values.drop_nulls()
    distinct = present.n_unique()
    repeats = distinct <= 0.5 * present.len()
    if repeats and distinct <= _MOST_LABELS and not (present.str.len_chars() > _LONGEST_LABEL).any():
        return Kind.CATEGORY
    one_word = 1 - int(present.str.contains(r"\s").sum()) / present.len() >= 0.95
    unique = distinct == present.len() and distinct >= 20
    return Kind.IDENTIFIER if one_word and (unique or _IDENTIFIER.search(_spoken(name))) else Kind.TEXT


def _spoken(name: str) -> str:
    """customerId and customer_id as "customer id"."""
    return re.sub(r"[_\-.\s]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)).strip()


def _bounds(values: pl.Series) -> tuple[int, int]:
    numbers = values.drop_nulls()
    low, high = numbers.min(), numbers.max()
    return (low, high) if isinstance(low, int) and isinstance(high, int) else (0, 0)


def _days(values: pl.Series) -> pl.Series:
    return values.cast(pl.String).str.to_date("%Y%m%d", strict=False)


def _is_counter(values: pl.Series) -> bool:
    """1, 2, 3, ... without a gap."""
    return values.null_count() == 0 and bool((values.diff().drop_nulls() == 1).all())
