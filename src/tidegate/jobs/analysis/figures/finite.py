"""Numbers that are safe to calculate with and to write as JSON."""

import math
from dataclasses import fields, is_dataclass
from datetime import date

_DIGITS = 6
_LEAST_DECIMALS = 2


def number(value: object) -> float | None:
    """The value as a finite float; None for anything else. polars answers unions; figures need floats."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None


def rounded(value: float) -> float:
    """Six significant digits, but never coarser than two decimals: 1234567.891 is 1234567.89."""
    if value == 0 or not math.isfinite(value):
        return 0.0 if value == 0 else value
    decimals = _DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(value, max(_LEAST_DECIMALS, decimals)) + 0.0


def share(part: float, whole: float) -> float:
    """part / whole; 0 where there is no whole."""
    return part / whole if whole else 0.0


def ratio(part: float, whole: float) -> float | None:
    """part / |whole|, as a change against a level; None where the level is 0."""
    return part / abs(whole) if whole else None


def to_json(value: object) -> object:
    """Dataclasses, tuples, dates and floats as what JSON has; NaN and infinity as null; floats rounded."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    if isinstance(value, float):
        return rounded(value) if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, date) else value
