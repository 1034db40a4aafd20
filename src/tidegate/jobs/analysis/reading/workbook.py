"""Excel workbooks: the sheet with the most data in it."""

import errno
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import fastexcel
import polars as pl

from tidegate.jobs.analysis.contract import Limits, Stage
from tidegate.jobs.analysis.errors import NotData, Reason, first_line, is_panic
from tidegate.jobs.analysis.reading.archive import check_archive
from tidegate.jobs.analysis.reading.compound import Malformed, check_compound
from tidegate.jobs.analysis.reading.header import find_heading
from tidegate.jobs.analysis.reading.raw import Origin, Raw, rows_left_out

_MOST_ROWS_ABOVE = 32
_DAMAGE = (Malformed, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError)
"""How a damaged archive makes itself known; an OSError only where it is a seek to nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    name: str
    rows: int
    cells: int
    frame: pl.DataFrame


def read_workbook(source: Path, limits: Limits, stage: Stage) -> Raw:
    """Read the sheet with the most filled cells as a table of text cells; name the others.

    Raises NotData when the file is encrypted, broken, no workbook, unpacks to more than
    `limits.unpacked_bytes`, or holds no cells.
    """
    kind = _kind(source, limits)
    try:
        sheets = _load(fastexcel.read_excel(source), limits, stage)
    except BaseException as error:
        if isinstance(error, fastexcel.FastExcelError) or is_panic(error):
            raise _broken(kind, error) from error
        raise
    if not sheets:
        raise NotData("The workbook's sheets are all empty: there is nothing to analyse.", Reason.EMPTY)
    best = max(sheets, key=lambda sheet: sheet.cells)
    others = [f"{sheet.name} ({sheet.rows:,} rows)" for sheet in sheets if sheet is not best]
    return _raw(best, tuple(others), kind, limits)


def _load(book: fastexcel.ExcelReader, limits: Limits, stage: Stage) -> list[_Sheet]:
    """Every sheet with cells in it; only the fullest so far keeps its cells."""
    sheets: list[_Sheet] = []
    fullest = 0
    for index, name in enumerate(book.sheet_names):
        stage.at(index / len(book.sheet_names), f"Reading sheet {name}")
        sheet = book.load_sheet(name, header_row=None, dtypes="string", n_rows=limits.rows + _MOST_ROWS_ABOVE)
        if not sheet.width or not sheet.height:
            continue
        frame = sheet.to_polars()
        cells = sum(len(column) - column.null_count() for column in frame)
        kept = frame if cells > fullest else frame.clear()
        fullest = max(fullest, cells)
        if cells:
            sheets.append(_Sheet(name=name, rows=sheet.total_height, cells=cells, frame=kept))
    return sheets


def _raw(sheet: _Sheet, others: tuple[str, ...], kind: str, limits: Limits) -> Raw:
    frame = sheet.frame.rename({old: str(index) for index, old in enumerate(sheet.frame.columns)})
    grid = [["" if cell is None else cell for cell in row] for row in frame.head(1000).rows()]
    heading = find_heading(grid, frame.width)
    start = heading.above + heading.named
    most = limits.rows_of(frame.width)
    body = frame.slice(start, most)
    cut = sheet.rows - start > most
    return Raw(
        frame=body,
        headings=tuple(grid[heading.above]) if heading.named else ("",) * frame.width,
        origin=Origin(
            format=kind,
            sheet=sheet.name,
            other_sheets=others,
            rows_above_header=heading.above,
            has_header=heading.named,
        ),
        left_out=(rows_left_out(most),) if cut else (),
    )


def _kind(source: Path, limits: Limits) -> str:
    """The kind of workbook, which is then safe to open."""
    with source.open("rb") as stream:
        kind = "xlsx" if stream.read(2) == b"PK" else "xls"
    try:
        if kind == "xlsx":
            check_archive(source, limits)
        else:
            check_compound(source)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise _broken(kind, error) from error
    return kind


def _broken(kind: str, error: BaseException) -> NotData:
    return NotData(
        f"The file looks like a workbook ({kind}) but cannot be read: {first_line(error)}. Open it in a "
        "spreadsheet program, save it again as .xlsx and send that.",
        Reason.BROKEN,
    )
