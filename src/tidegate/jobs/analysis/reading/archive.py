"""What must be known about a ZIP file before a workbook reader may open it."""

import re
import zipfile
from pathlib import Path

from tidegate.jobs.analysis.contract import Limits
from tidegate.jobs.analysis.errors import NotData, Reason

_BLOCK = 1 << 20
_OVERLAP = 64
_WORKBOOK = "xl/workbook.xml"
_OTHERS = {
    "word/document.xml": "a Word document, not a table. Send CSV, Excel, Parquet or JSON.",
    "ppt/presentation.xml": "a presentation, not a table. Send CSV, Excel, Parquet or JSON.",
    "xl/workbook.bin": "a binary workbook (.xlsb). Save it as .xlsx and send that.",
    "content.xml": "an OpenDocument file. Save it as .xlsx and send that.",
}
_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Z]{1,3})([0-9]{1,7})["']""")


def check_archive(source: Path, limits: Limits) -> None:
    """Pass an .xlsx that is safe to open: it unpacks to a bounded size, and so do its sheets in memory.

    A reader lays a sheet out as the rectangle around its cells, so two cells in opposite corners can cost
    hundreds of gigabytes. Raises NotData, or what zipfile raises for a broken archive.
    """
    with zipfile.ZipFile(source) as archive:
        names = set(archive.namelist())
        if _WORKBOOK not in names:
            what = next((text for name, text in _OTHERS.items() if name in names), None)
            raise NotData(f"The file is {what or 'a ZIP archive and no workbook. Unpack it, send the table inside.'}")
        left = limits.unpacked_bytes
        for entry in archive.infolist():
            left -= _check_entry(archive, entry, left, limits)


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int, limits: Limits) -> int:
    """The number of bytes this entry really unpacks to: the size it declares can lie."""
    # zipfile stops at the declared size; past the limit by two blocks, ours is always noticed before.
    entry.file_size = left + 2 * _BLOCK
    size, tail = 0, b""
    last_row, last_column = 0, 0
    with archive.open(entry) as stream:
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > left:
                raise _too_large(f"unpacks to more than {limits.unpacked_bytes / 2**20:,.0f} MiB")
            for column, row in _PLACE.findall(tail + block):
                last_row, last_column = max(last_row, int(row)), max(last_column, _number(column))
            if last_row * last_column > limits.cells:
                raise _too_large(f"has a sheet of {last_row:,} rows by {last_column:,} columns, mostly empty")
            tail = block[-_OVERLAP:]
    return size


def _number(column: bytes) -> int:
    """A is 1, Z is 26, AA is 27."""
    number = 0
    for letter in column:
        number = number * 26 + letter - 64
    return number


def _too_large(what: str) -> NotData:
    return NotData(
        f"The workbook {what}, which is over the limit. Copy the table alone into a new workbook, or save it "
        "as CSV, and send that.",
        Reason.TOO_LARGE,
    )
