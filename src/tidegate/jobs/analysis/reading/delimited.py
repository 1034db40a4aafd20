"""CSV and its kin: any delimiter, any encoding, quoted newlines, ragged rows."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import polars as pl

from tidegate.jobs.analysis.contract import Limits, Stage
from tidegate.jobs.analysis.reading.dialect import NO_DELIMITER, Dialect, detect_dialect, records
from tidegate.jobs.analysis.reading.encoding import Encoding, detect_encoding
from tidegate.jobs.analysis.reading.header import Heading, find_heading
from tidegate.jobs.analysis.reading.raw import Origin, Ragged, Raw, rows_left_out

_SAMPLE = 1 << 18
_CHUNK = 20_000
_MOST_EXAMPLES = 5
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", NO_DELIMITER: "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a text file's beginning tells. `headings` are as many as the table has columns."""

    encoding: Encoding
    dialect: Dialect
    heading: Heading
    headings: tuple[str, ...]
    quoted: bool = True


def read_delimited(source: Path, limits: Limits, stage: Stage) -> Raw:
    """Read a text file as a table of text cells.

    Raises NotData when the text is no table.
    """
    layout = lay_out(source)
    try:
        gathered = _gather(source, layout, limits, stage)
    except csv.Error:
        gathered = None
    if gathered is None or gathered.unclosed_quote:
        layout = lay_out(source, quoted=False)
        gathered = _gather(source, layout, limits, stage)
    return _raw(layout, gathered, limits)


def lay_out(source: Path, *, quoted: bool = True) -> Layout:
    """Detect encoding, delimiter, width and header from the file's beginning. Raises NotData."""
    encoding = detect_encoding(source)
    with source.open(encoding=encoding.name, errors=encoding.errors, newline="") as stream:
        sample = stream.read(_SAMPLE)
    text = sample if quoted else sample.replace('"', "")
    dialect = detect_dialect(text, whole=len(sample) < _SAMPLE)
    rows = records(text, dialect.delimiter)[dialect.skip_lines :][:1000]
    heading = find_heading(rows, dialect.width)
    first = rows[heading.above] if heading.named else []
    headings = first + [""] * (dialect.width - len(first))
    return Layout(encoding=encoding, dialect=dialect, heading=heading, headings=tuple(headings), quoted=quoted)


@dataclass(slots=True)
class _Gathered:
    """Rows so far, in columns; and which of them had too few or too many cells."""

    width: int
    frames: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0
    short: int = 0
    long: int = 0
    examples: list[int] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    cut: bool = False
    unclosed_quote: bool = False

    def take(self, chunk: list[list[str]]) -> None:
        for index, row in enumerate(chunk):
            if len(row) != self.width:
                chunk[index] = self._fit(row, self.rows + index + 1)
        self.rows += len(chunk)
        self.last = chunk[-1]
        columns = [
            pl.Series(str(index), cells, dtype=pl.String) for index, cells in enumerate(zip(*chunk, strict=True))
        ]
        self.frames.append(pl.DataFrame(columns))

    def _fit(self, row: list[str], number: int) -> list[str]:
        short = len(row) < self.width
        if row and (short or any(row[self.width :])):
            self.short += short
            self.long += not short
            if len(self.examples) < _MOST_EXAMPLES:
                self.examples.append(number)
        return row[: self.width] + [""] * (self.width - len(row))


def _gather(source: Path, layout: Layout, limits: Limits, stage: Stage) -> _Gathered:
    """All rows of the file. Raises csv.Error when a quote swallows more than any cell may hold."""
    gathered = _Gathered(width=len(layout.headings))
    most, size = limits.rows_of(gathered.width), max(1, source.stat().st_size)
    encoding = layout.encoding
    with source.open("rb") as binary:
        text = io.TextIOWrapper(binary, encoding=encoding.name, errors=encoding.errors, newline="")
        rows = _rows(text, layout)
        while chunk := list(islice(rows, min(_CHUNK, most - gathered.rows))):
            gathered.take(chunk)
            stage.at(binary.tell() / size, f"Reading rows: {gathered.rows:,}")
        gathered.cut = next(rows, None) is not None
        gathered.unclosed_quote = bool(gathered.rows) and _swallowed(gathered.last, source, layout)
    return gathered


def _rows(text: io.TextIOWrapper, layout: Layout) -> Iterator[list[str]]:
    lines = islice(text, layout.dialect.skip_lines, None)
    bare = lines if layout.quoted else (line.replace('"', "") for line in lines)
    reader = csv.reader(bare, delimiter=layout.dialect.delimiter)
    return islice(reader, layout.heading.above + layout.heading.named, None)


def _swallowed(last: list[str], source: Path, layout: Layout) -> bool:
    """Whether the last cell runs over lines to the end of the file because its quote is never closed."""
    if not layout.quoted or not last or "\n" not in last[-1].rstrip("\r\n"):
        return False
    with source.open(encoding=layout.encoding.name, errors=layout.encoding.errors, newline="") as stream:
        return sum(line.count('"') for line in stream) % 2 == 1


def _raw(layout: Layout, gathered: _Gathered, limits: Limits) -> Raw:
    unclosed = None if layout.quoted else "A quote is never closed; all quotes were dropped."
    none = pl.DataFrame(schema={str(index): pl.String for index in range(gathered.width)})
    delimiter, most = layout.dialect.delimiter, limits.rows_of(gathered.width)
    return Raw(
        frame=pl.concat(gathered.frames or [none], rechunk=True),
        headings=layout.headings,
        origin=Origin(
            format="tsv" if delimiter == "\t" else "csv",
            encoding=layout.encoding.label,
            delimiter=_NAMES.get(delimiter, delimiter),
            rows_above_header=layout.heading.above,
            has_header=layout.heading.named,
        ),
        ragged=Ragged(short=gathered.short, long=gathered.long, examples=tuple(gathered.examples)),
        notes=tuple(note for note in (layout.encoding.note, unclosed) if note),
        left_out=(rows_left_out(most),) if gathered.cut else (),
    )
