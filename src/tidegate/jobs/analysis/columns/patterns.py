"""How values are written in files: the patterns and words, in one place.

The patterns are in the subset that Python's `re` and polars' (Rust) `regex` share: no look-around, no
back-references. Each is meant to match a whole, stripped cell.
"""

NULL_MARKERS = frozenset(
    ["", "na", "n/a", "n.a.", "#n/a", "nan", "null", "(null)", "none", "nil", "\\n", "missing"]
) | frozenset(["-", "--", "---", "\u2013", "\u2014", "?", ".", "..", "#div/0!", "#value!", "#ref!", "#name?", "#num!"])
"""Cells that mean "no value", in lower case."""

TRUTH_WORDS = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("on", "off"),
    ("ja", "nein"),
    ("oui", "non"),
    ("si", "no"),
    ("sí", "no"),
)
"""Pairs of words for true and false, in lower case."""

_SPACE = r"[ \u00a0\u2007\u2009\u202f'\u2019]"
_SIGN = r"[+\-\u2212\u2013]?"
_MONEY = (
    r"(?:[$\u20ac\u00a3\u00a5\u20b9\u20bd\u20a9\u20ba\u20b4]|US\$|R\$|USD|EUR|GBP|CHF|JPY|CAD|AUD|NZD|INR|CNY|SEK"
    r"|NOK|DKK|PLN|CZK|BRL|MXN|ZAR|kr|z\u0142)"
)
_EXPONENT = r"(?:[eE][+\-]?[0-9]{1,3})?"
_SPACED = rf"[1-9][0-9]{{0,2}}(?:{_SPACE}[0-9]{{3}})+"
_POINT_BODY = rf"(?:(?:[1-9][0-9]{{0,2}}(?:,[0-9]{{2,3}})*,[0-9]{{3}}|{_SPACED}|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)"
_COMMA_BODY = rf"(?:(?:[1-9][0-9]{{0,2}}(?:\.[0-9]{{3}})+|{_SPACED}|[0-9]+)(?:,[0-9]*)?|,[0-9]+)"


def _number(body: str) -> str:
    left, right = rf"\(?{_SIGN}\s*{_MONEY}?\s*{_SIGN}\s*", rf"\s*(?:{_MONEY}|%|\u2030)?\s*-?\)?"
    return rf"^{left}{body}{_EXPONENT}{right}$"


PLAIN_NUMBER = r"^[+\-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+\-]?[0-9]{1,3})?$"
POINT_NUMBER = _number(_POINT_BODY)
"""1,234.50 and its kin: the point is the decimal sign."""
COMMA_NUMBER = _number(_COMMA_BODY)
"""1.234,50 and its kin: the comma is the decimal sign."""
NUMBER_BODY = rf"([0-9.,](?:[0-9.,]|{_SPACE})*(?:[eE][+\-]?[0-9]{{1,3}})?)"
NEGATIVE = r"^\(|^[^0-9.,]*[\-\u2212\u2013]|-\)?$"
UNIT = rf"({_MONEY}|%|\u2030)"

_TIME = (
    r"(?:[T ,]+(?P<h>[0-9]{1,2}):(?P<mi>[0-9]{2})(?::(?P<s>[0-9]{2})(?:[.,][0-9]{1,9})?)?"
    r"\s?(?P<ap>[AaPp]\.?[Mm]\.?)?\s?(?P<off>Z|UTC|[+\-][0-9]{2}:?[0-9]{2})?)?"
)
_WEEKDAY = r"(?:[A-Za-z]{3,9}\.?,?\s+)?"
_MONTH = (
    r"(?P<mon>(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?))"
)
DATE_PATTERNS = {
    "year-month-day": rf"^(?P<y>[0-9]{{4}})[\-/.](?P<a>[0-9]{{1,2}})[\-/.](?P<b>[0-9]{{1,2}}){_TIME}$",
    "day/month/year": (rf"^(?P<a>[0-9]{{1,2}})[\-/.](?P<b>[0-9]{{1,2}})[\-/.](?P<y>[0-9]{{4}}|[0-9]{{2}}){_TIME}$"),
    "day month-name year": (
        rf"^{_WEEKDAY}(?P<b>[0-9]{{1,2}})(?:st|nd|rd|th|\.)?[\s\-/]*{_MONTH}\.?[\s\-/,]*"
        rf"(?P<y>[0-9]{{4}}|[0-9]{{2}}){_TIME}$"
    ),
    "month-name day year": (
        rf"^{_WEEKDAY}{_MONTH}\.?\s*(?P<b>[0-9]{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>[0-9]{{4}}){_TIME}$"
    ),
    "month-name year": rf"^{_MONTH}\.?[\s\-/]*(?P<y>[0-9]{{4}}|[0-9]{{2}})$",
    "year-month": r"^(?P<y>[0-9]{4})[\-/](?P<a>[0-9]{1,2})$",
    "year-quarter": r"^(?P<y>[0-9]{4})[\s\-]?[Qq](?P<q>[1-4])$",
    "quarter year": r"^[Qq](?P<q>[1-4])[\s\-/]?(?P<y>[0-9]{4})$",
}
"""Shapes of dates: y year, a and b the numbers beside it, mon a month's name, q a quarter, h:mi:s a time.

In "day/month/year" a and b are day and month in the order the column shows; in the others a is the month
and b the day.
"""
