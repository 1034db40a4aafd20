"""Which character separates the cells of a text file, and whether it is a table at all.

The score follows CleverCSV (van den Burg, Nazabal, Sutton 2019): a delimiter is good when rows come out
equally wide (pattern) and cells come out as numbers, dates and plain words (type).
"""

import csv
import io
import re
from collections import Counter, deque
from dataclasses import dataclass

from tidegate.jobs.analysis.errors import NotData
from tidegate.jobs.analysis.reading.cells import Look, look

DELIMITERS = (",", ";", "\t", "|")
NO_DELIMITER = "\x1f"
"""Used to read a file of one column: a character no such file holds."""

_DIRECTIVE = re.compile(r'"?sep=(.)"?\r?\n')
_FOREIGN = re.compile(r'[,;\t|"\n\r]')
_SENTENCE_END = re.compile(r"[.!?:;,]\"?$")
_MARKUP = re.compile(r"\s*<(?:!doctype|\?xml|html|table|[a-z][\w:]*[\s>/])", re.IGNORECASE)

Rows = list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How to split the text: `delimiter`, the table's `width`, and lines to skip before the first row."""

    delimiter: str
    width: int
    skip_lines: int = 0


def records(sample: str, delimiter: str) -> Rows:
    """The records of a piece of text, blank ones ([]) included; plain lines if its quotes are broken."""
    try:
        return list(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter))
    except csv.Error:
        return [line.split(delimiter) if line else [] for line in sample.splitlines()]


def detect_dialect(sample: str, *, whole: bool) -> Dialect:
    """The dialect of a text from its beginning; `whole` says the sample is all of it.

    Raises NotData when the text is markup or prose.
    """
    if _MARKUP.match(sample):
        raise NotData(
            "The file holds HTML or XML, not a table in text form. Open it in a spreadsheet program, save it "
            "as CSV or .xlsx and send that."
        )
    directive = _DIRECTIVE.match(sample)
    if directive:
        rows = _records(sample[directive.end() :], directive.group(1), whole=whole)
        return Dialect(delimiter=directive.group(1), width=_width(rows), skip_lines=1)
    best = max(DELIMITERS, key=lambda delimiter: _score(sample, delimiter, whole=whole))
    rows = _records(sample, best, whole=whole)
    if _width(rows) < 2:
        best, rows = NO_DELIMITER, _records(sample, NO_DELIMITER, whole=whole)
    if _is_prose(sample, rows):
        raise NotData(
            "The file holds running text, not a table: its lines do not split into columns. Send a table "
            "with one record in each line, such as CSV."
        )
    return Dialect(delimiter=best, width=max(1, _width(rows)))


def _records(sample: str, delimiter: str, *, whole: bool) -> Rows:
    """The sample's non-blank records, without the last where it may be cut short."""
    rows = [row for row in records(sample, delimiter) if any(row)]
    return rows if whole or len(rows) < 2 else rows[:-1]


def _width(rows: Rows) -> int:
    """The commonest number of cells, the larger where two are equally common."""
    counts = Counter(map(len, rows))
    return max(counts, key=lambda width: (counts[width], width), default=0)


def _score(sample: str, delimiter: str, *, whole: bool) -> float:
    rows = _records(sample, delimiter, whole=whole)
    width = _width(rows)
    if width < 2:
        return 0.0
    pattern = sum(1 for row in rows if len(row) == width) / len(rows) * (width - 1) / width
    cells = [cell for row in rows[:500] for cell in row[:100]]
    kind = sum(map(_is_clean, cells)) / len(cells)
    return pattern * (0.1 + kind) * (1.0 if _quotes_fit(sample, delimiter, whole=whole) else 0.1)


def _is_clean(cell: str) -> bool:
    return look(cell) is not Look.TEXT or not _FOREIGN.search(cell)


def _quotes_fit(sample: str, delimiter: str, *, whole: bool) -> bool:
    """Whether each closing quote is followed by this delimiter or the line's end."""
    if '"' not in sample:
        return True
    try:
        deque(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, strict=True), maxlen=0)
    except csv.Error as error:
        return not whole and "unexpected end" in str(error)
    return True


def _is_prose(sample: str, rows: Rows) -> bool:
    """Running text: lines of many words, hardly a number or date between delimiters, no common width."""
    cells = [cell for row in rows[:500] for cell in row if cell.strip()]
    typed = sum(1 for cell in cells if look(cell) is not Look.TEXT)
    if not cells or typed > 0.1 * len(cells):
        return False
    lines = [line for line in sample.splitlines()[:500] if line.strip()]
    words = sum(len(line.split()) for line in lines) / len(lines)
    if _width(rows) == 1:
        return words > 4 or _looks_like_code(rows)
    even = sum(1 for row in rows if len(row) == _width(rows)) / len(rows)
    ends = sum(1 for line in lines if _SENTENCE_END.search(line.rstrip())) / len(lines)
    return (even < 0.7 and words >= 2 * _width(rows)) or (ends >= 0.4 and words >= 6)


def _looks_like_code(rows: Rows) -> bool:
    lines = [row[0] for row in rows[:500]]
    odd = sum(1 for line in lines if line[:1] in " \t#/" or line.rstrip()[-1:] in "{};:()")
    return odd > 0.3 * len(lines)
