"""What a single cell of text looks like, before its column is known."""

import re
from enum import StrEnum

from tidegate.jobs.analysis.columns.patterns import (
    COMMA_NUMBER,
    DATE_PATTERNS,
    NULL_MARKERS,
    POINT_NUMBER,
    TRUTH_WORDS,
)

_NUMBER = re.compile(f"(?:{POINT_NUMBER})|(?:{COMMA_NUMBER})")
# Every alternative needs its own group names, and only the shape matters here.
_DATE = re.compile("|".join(re.sub(r"\?P<\w+>", "?:", pattern) for pattern in DATE_PATTERNS.values()))
_TRUTHS = frozenset(word for pair in TRUTH_WORDS for word in pair)


class Look(StrEnum):
    """What a cell looks like on its own."""

    NULL = "null"
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "boolean"
    TEXT = "text"


def look(cell: str) -> Look:
    """What this cell looks like; numbers count with either decimal sign."""
    text = cell.strip()
    if text.lower() in NULL_MARKERS:
        return Look.NULL
    if _NUMBER.fullmatch(text):
        return Look.NUMBER
    if _DATE.fullmatch(text):
        return Look.DATE
    return Look.BOOLEAN if text.lower() in _TRUTHS else Look.TEXT
