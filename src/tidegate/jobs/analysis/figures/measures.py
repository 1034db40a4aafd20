"""Which columns are worth calculating with, and how their values add up."""

import re

from tidegate.jobs.analysis.columns.parsed import Kind
from tidegate.jobs.analysis.columns.table import Column, Table

_ADDS = re.compile(
    r"\b(?:amount|revenue|sales|turnover|cost|costs|expenses?|profit|income|quantity|qty|units|orders|volume|count"
    r"|total|sum|paid|payments?|spend|budget|precipitation|rain|rainfall|snowfall|generation|consumption|energy"
    r"|kwh|visits|clicks|views|downloads|births|deaths|cases|tickets|hours|minutes|umsatz|menge|betrag|kosten)\b",
    re.IGNORECASE,
)
_DOES_NOT_ADD = re.compile(
    r"\b(?:avg|average|mean|median|rate|ratio|price|percent|pct|share|per|index|score|max|min|unit)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"^(?:lat|latitude|lon|lng|long|longitude)$", re.IGNORECASE)


def measures(table: Table, most: int) -> list[Column]:
    """The leading numeric columns that vary and measure something (coordinates do not)."""
    return [column for column in table.numeric() if column.distinct > 1 and not _PLACE.match(column.name.strip())][
        :most
    ]


def adds_up(column: Column) -> bool:
    """Whether a sum over rows means something, by the column's name: sales do, temperatures do not."""
    words = re.sub(r"[_\W]+", " ", column.name)
    if column.kind not in (Kind.NUMBER, Kind.INTEGER) or column.unit == "%":
        return False
    return bool(_ADDS.search(words)) and not _DOES_NOT_ADD.search(words)
