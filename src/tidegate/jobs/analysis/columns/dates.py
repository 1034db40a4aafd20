"""Text to dates: ISO, day and month in either order, month names, quarters, times with and without a zone."""

import polars as pl

from tidegate.jobs.analysis.columns.parsed import Hints, Kind, Parsed, sample, share_matching
from tidegate.jobs.analysis.columns.patterns import DATE_PATTERNS

_LEAST_SHARE = 0.3
_NUMERIC = "day/month/year"
_FAST = (
    ("year-month-day", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "%Y-%m-%d"),
    ("year-month-day", r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$", "%Y-%m-%d %H:%M:%S"),
    ("year-month-day", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$", "%Y-%m-%dT%H:%M:%S"),
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CENTURY_TURN = 69


def parse_dates(text: pl.Series, hints: Hints) -> Parsed | None:
    """The column as dates or, where any has a time of day, datetimes; None where hardly any value is one.

    Times with a zone become UTC. Two-digit years are 1969 to 2068, as in POSIX. In "3/4/2024" the order is
    what other values show; else `hints.day_first` or a point as separator; else month first, as remarked.
    """
    few = sample(text)
    shapes = [shape for shape, pattern in DATE_PATTERNS.items() if share_matching(few, pattern) > 0]
    if sum(share_matching(few, DATE_PATTERNS[shape]) for shape in shapes) < _LEAST_SHARE:
        return None
    fast = _fast(text)
    if fast is not None:
        return fast
    notes: list[str] = []
    parts = []
    for shape in shapes:
        fields = text.str.extract_groups(DATE_PATTERNS[shape]).struct.unnest()
        day_first = _is_day_first(text, fields, hints, notes) if shape == _NUMERIC else False
        parts.append(_assemble(fields, shape, day_first=day_first))
    values = pl.select(pl.coalesce(parts)).to_series()
    used = [shape for shape, part in zip(shapes, parts, strict=True) if part.null_count() < part.len()]
    return _as_parsed(values, tuple(used), tuple(notes))


def _fast(text: pl.Series) -> Parsed | None:
    present = text.drop_nulls()
    for shape, pattern, form in _FAST:
        if present.head(1).str.contains(pattern).all() and present.str.contains(pattern).all():
            return _as_parsed(text.str.to_datetime(form, strict=False, time_unit="us"), (shape,), ())
    return None


def _as_parsed(values: pl.Series, formats: tuple[str, ...], notes: tuple[str, ...]) -> Parsed:
    days = values.dt.date()
    if (values == days.cast(pl.Datetime("us"))).all():
        return Parsed(kind=Kind.DATE, values=days, formats=formats, notes=notes)
    return Parsed(kind=Kind.DATETIME, values=values, formats=formats, notes=notes)


def _is_day_first(text: pl.Series, fields: pl.DataFrame, hints: Hints, notes: list[str]) -> bool:
    """Which of the first two numbers is the day; numbers over 12 are days."""
    first, second = fields["a"].cast(pl.Int32), fields["b"].cast(pl.Int32)
    day_first, month_first = (first > 12).sum(), (second > 12).sum()
    if day_first and month_first:
        notes.append(f"Some dates put the day first ({day_first:,}) and some the month ({month_first:,}).")
    if day_first != month_first:
        return bool(day_first > month_first)
    if hints.day_first or text.str.contains(r"^[0-9]+\.[0-9]+\.").any():
        return True
    example = text.filter(first.is_not_null())[0]
    notes.append(f"Dates such as {example} can be read two ways; the month was taken to come first.")
    return False


def _assemble(fields: pl.DataFrame, shape: str, *, day_first: bool) -> pl.Series:
    """Datetimes from the parts of a date. Impossible ones (31 February) are null."""
    have = set(fields.columns)
    first = pl.col("a").cast(pl.Int32) if "a" in have else pl.lit(1, pl.Int32)
    second = pl.col("b").cast(pl.Int32) if "b" in have else pl.lit(1, pl.Int32)
    month, day = (second, first) if day_first else (first, second)
    if "mon" in have:
        names = pl.col("mon").str.to_lowercase().str.slice(0, 3)
        month = names.replace_strict(list(_MONTHS), list(range(1, 13)), default=None, return_dtype=pl.Int32)
    if "q" in have:
        month = pl.col("q").cast(pl.Int32) * 3 - 2
    if shape == _NUMERIC:
        # Where one order makes no month, the other is meant.
        month, day = (
            pl.when(month > 12).then(day).otherwise(month),
            pl.when(month > 12).then(month).otherwise(day),
        )
    stamp = pl.format("{}-{}-{}", _year(), _two(month), _two(day)).str.to_datetime(
        "%Y-%m-%d", strict=False, time_unit="us"
    )
    return fields.select(stamp + _time_of_day() if "h" in have else stamp).to_series()


def _two(number: pl.Expr) -> pl.Expr:
    return number.cast(pl.String).str.zfill(2)


def _year() -> pl.Expr:
    year = pl.col("y").cast(pl.Int32)
    short = year + pl.when(year < _CENTURY_TURN).then(2000).otherwise(1900)
    return pl.when(pl.col("y").str.len_chars() == 2).then(short).otherwise(year).cast(pl.String).str.zfill(4)


def _time_of_day() -> pl.Expr:
    """How far into the day, UTC where an offset is given; zero where there is no time. Null for 25:00."""
    hour, minute, second = (pl.col(part).cast(pl.Int64).fill_null(0) for part in ("h", "mi", "s"))
    half = pl.col("ap").str.to_lowercase().str.slice(0, 1)
    hour = pl.when(half.is_null()).then(hour).otherwise(hour % 12 + pl.when(half == "p").then(12).otherwise(0))
    possible = (hour < 24) & (minute < 60) & (second < 61)
    digits = pl.col("off").str.replace_all("[^0-9]", "")
    minutes = digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 60
    minutes = (minutes + digits.str.slice(2, 2).cast(pl.Int64, strict=False)).fill_null(0)
    east = pl.when(pl.col("off").str.starts_with("-")).then(-minutes).otherwise(minutes)
    seconds = hour * 3600 + minute * 60 + second - east * 60
    return pl.duration(seconds=pl.when(possible).then(seconds), time_unit="us")
