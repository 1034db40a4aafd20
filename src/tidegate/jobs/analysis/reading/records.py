"""JSON: an array of objects or of rows, an object of arrays, one record a line."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from tidegate.jobs.analysis.contract import Limits, Stage
from tidegate.jobs.analysis.errors import NotData, Reason
from tidegate.jobs.analysis.reading.encoding import detect_encoding
from tidegate.jobs.analysis.reading.header import find_heading
from tidegate.jobs.analysis.reading.nested import opened_note, text_note
from tidegate.jobs.analysis.reading.raw import LeftOut, Origin, Raw, columns_left_out, rows_left_out

Record = dict[str, object]
_PROGRESS_EVERY = 20_000
_LARGEST_INT = 2**63 - 1


class NotJson(Exception):
    """The text is not JSON after all. `args[0]` says where it stops being so."""


def read_json(source: Path, limits: Limits, stage: Stage) -> Raw:
    """Read JSON as a table; nested objects are opened one level.

    Raises NotJson when the text is not JSON, NotData when it is but holds no table or is larger than
    `limits.json_bytes`.
    """
    size = source.stat().st_size
    if size > limits.json_bytes:
        raise NotData(
            f"The JSON file has {size / 2**20:,.0f} MiB; the limit for JSON is "
            f"{limits.json_bytes / 2**20:,.0f} MiB. Send it as CSV or Parquet.",
            Reason.TOO_LARGE,
        )
    stage.at(0.0, "Reading JSON")
    encoding = detect_encoding(source)
    text = source.read_text(encoding=encoding.name, errors=encoding.errors)
    kind, document, broken = _parse(text)
    stage.at(0.4, "Reading JSON")
    raw = _table(document, Origin(format=kind, encoding=encoding.label), limits, stage)
    notes = (f"{broken:,} lines are not JSON and were left out.",) if broken else ()
    return replace(raw, notes=(*(note for note in (encoding.note,) if note), *notes, *raw.notes))


def _parse(text: str) -> tuple[str, object, int]:
    """The format, the document, and how many lines of it were no JSON."""
    try:
        return "json", _loads(text), 0
    except ValueError as error:
        whole = error
    lines = [line for line in text.split("\n") if line.strip()]
    found = [each for each in map(_line, lines) if each is not None]
    if len(found) < max(2, 0.9 * len(lines)):
        raise NotJson(str(whole)) from whole
    return "ndjson", found, len(lines) - len(found)


def _line(text: str) -> object:
    try:
        return _loads(text)
    except ValueError:
        return None


def _loads(text: str) -> object:
    try:
        document: object = json.loads(text, parse_constant=lambda _: None)
    except RecursionError as error:
        raise NotData("The JSON is nested too deeply to be a table. Send flat records.") from error
    return document


def _table(document: object, origin: Origin, limits: Limits, stage: Stage) -> Raw:
    records = _records(document)
    if records and all(isinstance(each, list) for each in records):
        return _grid([each for each in records if isinstance(each, list)], origin, limits)
    flat = _Flattened(limits)
    for number, each in enumerate(records):
        if number % _PROGRESS_EVERY == 0:
            stage.at(0.4 + 0.6 * number / len(records), f"Reading records: {number:,}")
        if flat.full():
            break
        flat.add(each if isinstance(each, dict) else {"value": each})
    return Raw(
        frame=pl.DataFrame(flat.series()),
        headings=tuple(flat.columns),
        origin=origin,
        notes=(*opened_note(sorted(flat.opened)), *text_note(sorted(flat.texts))),
        left_out=tuple(flat.left_out(len(records))),
    )


def _records(document: object) -> list[object]:
    """The rows in a document. Raises NotData when it holds none."""
    match document:
        case []:
            raise NotData("The JSON array is empty: there is nothing to analyse.", Reason.EMPTY)
        case list():
            if any(isinstance(each, dict | list) for each in document) or len(document) > 1:
                return document
        case dict():
            found = _inside(document)
            if found:
                return found
    raise NotData(
        "The JSON holds a single value or record, not a table. Send an array of records, an object of "
        "equally long arrays, or one record a line."
    )


def _inside(document: Record) -> list[object]:
    """Rows in an object: equally long arrays are columns, one array of objects is the table."""
    arrays = {key: value for key, value in document.items() if isinstance(value, list) and value}
    tables = [value for value in arrays.values() if all(isinstance(each, dict) for each in value)]
    if tables:
        return max(tables, key=len)
    if arrays and len(arrays) == len(document) and len({len(each) for each in arrays.values()}) == 1:
        rows = zip(*arrays.values(), strict=True)
        return [dict(zip(arrays, row, strict=True)) for row in rows]
    inner = [value for value in document.values() if isinstance(value, dict)]
    if len(inner) == len(document) > 1:
        return [{"key": key, **value} for key, value in document.items() if isinstance(value, dict)]
    return []


def _grid(rows: list[list[object]], origin: Origin, limits: Limits) -> Raw:
    """A table from arrays of cells, the first of which may be the header."""
    width = max(1, *(len(row) for row in rows))
    cells = [["" if cell is None else _text(cell) for cell in row] + [""] * (width - len(row)) for row in rows]
    heading = find_heading(cells[:1000], width)
    body = cells[heading.above + heading.named :][: limits.rows_of(width)]
    return Raw(
        frame=pl.DataFrame({str(i): [row[i] for row in body] for i in range(width)}, strict=False),
        headings=tuple(cells[heading.above]) if heading.named else ("",) * width,
        origin=origin,
    )


class _Flattened:
    """Records turned into columns, in order of first appearance."""

    def __init__(self, limits: Limits) -> None:
        self.columns: dict[str, list[object]] = {}
        self.opened: set[str] = set()
        self.texts: set[str] = set()
        self._ignored: set[str] = set()
        self._rows = 0
        self._limits = limits

    def full(self) -> bool:
        return self._rows >= self._limits.rows_of(len(self.columns))

    def add(self, record: Record) -> None:
        for key, value in self._flat(record):
            if key not in self.columns and len(self.columns) >= self._limits.columns:
                self._ignored.add(key)
                continue
            column = self.columns.setdefault(key, [])
            column += [None] * (self._rows - len(column))
            column[self._rows :] = [value]
        self._rows += 1

    def left_out(self, records: int) -> Iterator[LeftOut]:
        if self._rows < records:
            yield rows_left_out(self._rows)
        if self._ignored:
            yield columns_left_out(len(self.columns), len(self.columns) + len(self._ignored))

    def _flat(self, record: Record) -> Iterator[tuple[str, object]]:
        for key, value in record.items():
            if isinstance(value, dict):
                self.opened.add(key)
                for inner, deeper in value.items():
                    yield f"{key}.{inner}", self._cell(f"{key}.{inner}", deeper)
            else:
                yield key, self._cell(key, value)

    def _cell(self, key: str, value: object) -> object:
        if isinstance(value, dict | list):
            self.texts.add(key)
            return _text(value)
        return value

    def series(self) -> Iterable[pl.Series]:
        for index, values in enumerate(self.columns.values()):
            yield _series(str(index), values + [None] * (self._rows - len(values)))


def _series(name: str, values: list[object]) -> pl.Series:
    """Numbers and booleans keep their kind where the whole column has one; else every cell becomes text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int} and all(value is None or _fits(value) for value in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds and kinds <= {int, float}:
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    return pl.Series(name, [None if value is None else _text(value) for value in values], dtype=pl.String)


def _fits(value: object) -> bool:
    return isinstance(value, int) and -_LARGEST_INT <= value <= _LARGEST_INT


def _text(value: object) -> str:
    """A cell as text; half of a surrogate pair, which JSON can spell and UTF-8 cannot, becomes "?"."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
