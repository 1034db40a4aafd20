"""Which kind of file this is, from its first bytes; names and extensions are not trusted."""

from enum import StrEnum
from pathlib import Path

from tidegate.jobs.analysis.errors import NotData, Reason


class Format(StrEnum):
    """The kinds of file a reader exists for."""

    DELIMITED = "delimited"
    WORKBOOK = "workbook"
    PARQUET = "parquet"
    JSON = "json"


_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a media file"),
    (b"\x1f\x8b", "gzip-compressed; unpack it first"),
    (b"BZh", "bzip2-compressed; unpack it first"),
    (b"\xfd7zXZ", "xz-compressed; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed; unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"SQLite format 3\0", "an SQLite database; export the table you want as CSV"),
    (b"ARROW1", "an Arrow file; save it as Parquet"),
    (b"\x89HDF", "an HDF5 file; export the table you want as CSV or Parquet"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"{\\rtf", "a rich-text document"),
)
_WORKBOOKS = (b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def detect_format(source: Path, name: str) -> Format:
    """The format of this file by its content. Raises NotData for one that is no data, saying what it is."""
    with source.open("rb") as stream:
        head = stream.read(4096)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n\0").lstrip()
    if not text and source.stat().st_size <= len(head):
        raise NotData(f"The file {name!r} is empty: there is nothing to analyse.", Reason.EMPTY)
    for magic, what in _OTHERS:
        if head.startswith(magic) and not (magic == b"MZ" and head.isascii()):
            message = f"The file {name!r} is {what}. Only tables can be analysed: "
            raise NotData(message + "CSV, TSV, Excel, Parquet or JSON.", Reason.BINARY)
    if head.startswith(_WORKBOOKS):
        return Format.WORKBOOK
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    return Format.JSON if text[:1] in (b"{", b"[") else Format.DELIMITED
