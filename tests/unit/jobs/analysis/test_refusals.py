"""Files that hold no table are refused, with what they are and what to send."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.jobs.analysis.cases import raw_of, silent, stage, written
from tidegate import errors
from tidegate.jobs.analysis import Limits, NotData, Reason, analyse
from tidegate.jobs.analysis.columns.build import build_table
from tidegate.jobs.analysis.reading.read import read

PROSE = """It was the best of times, it was the worst of times, it was the age of wisdom.
It was the epoch of belief; it was the epoch of incredulity.
It was the season of Light, it was the season of Darkness, it was the spring of hope,
and we had everything before us.
"""
CODE = """import os

def main(path):
    for name in os.listdir(path):
        print(name)

if __name__ == "__main__":
    main(".")
"""
LETTER = """Dear Ann,

thank you for the book. I liked it very much, and so did Bob,
who read it in one night. He asks you, if you have the time,
to send the second part, too.

Yours,
Eve
"""
LOG = "".join(f"2024-01-01 12:00:{second:02} INFO worker started and is waiting for work\n" for second in range(30))


@pytest.mark.parametrize(
    ("content", "name", "reason", "word"),
    [
        (b"", "a.csv", Reason.EMPTY, "empty"),
        (b" \n\t\n", "a.csv", Reason.EMPTY, "empty"),
        (b"a,b,c\n", "a.csv", Reason.EMPTY, "no rows"),
        (b"a,b\n,\n,\n", "a.csv", Reason.EMPTY, "blank"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a.csv", Reason.BINARY, "PNG"),
        (b"%PDF-1.7\n%abc", "a.xlsx", Reason.BINARY, "PDF"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "a", Reason.BINARY, "JPEG"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "a.csv.gz", Reason.BINARY, "unpack"),
        (b"SQLite format 3\0" + bytes(100), "a.db", Reason.BINARY, "SQLite"),
        (bytes(range(256)) * 20, "a.csv", Reason.BINARY, "binary"),
        (b"\x01\x02\x03\x04" * 100, "a.csv", Reason.BINARY, "binary"),
        (PROSE.encode(), "a.csv", Reason.NOT_TABULAR, "running text"),
        (CODE.encode(), "a.csv", Reason.NOT_TABULAR, "running text"),
        (LETTER.encode(), "a.txt", Reason.NOT_TABULAR, "running text"),
        (LOG.encode(), "a.log", Reason.NOT_TABULAR, "running text"),
        (b"<!DOCTYPE html><html><body>1</body></html>", "a.xls", Reason.NOT_TABULAR, "HTML"),
        (b'<?xml version="1.0"?><rows><row/></rows>', "a.csv", Reason.NOT_TABULAR, "XML"),
        (b"{\\rtf1 hello}", "a.csv", Reason.BINARY, "rich-text"),
        (b"42", "a.json", Reason.NOT_TABULAR, "single value"),
        (b"{broken", "a.json", Reason.BROKEN, "JSON"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.doc", Reason.BROKEN, "workbook"),
    ],
)
def test_what_is_no_table_is_refused_by_what_it_is(
    tmp_path: Path, content: bytes, name: str, reason: Reason, word: str
) -> None:
    path = written(tmp_path, content, name)
    with pytest.raises(NotData, match=word) as caught:
        analyse(path, name=name, output=tmp_path, progress=silent)
    assert (caught.value.reason, caught.value.code) == (reason, "not_data")
    assert isinstance(caught.value, errors.NotData)


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(NotData, match="limit") as caught:
        raw_of(tmp_path, "a,b\n1,2\n", limits=Limits(file_bytes=4))
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_missing_file_is_no_matter_of_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "gone.csv", "gone.csv", Limits(), stage())


@given(content=st.binary(max_size=400), start=st.sampled_from([b"", b"a,b\n", b"PK\x03\x04", b"PAR1", b"[", b"{"]))
def test_any_bytes_are_a_table_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"bytes-{os.getpid()}"
    path.write_bytes(start + content)
    try:
        table = build_table(read(path, "x", Limits(), stage()), stage())
    except NotData:
        return
    assert table.rows > 0
    assert all(len(column.values) == table.rows for column in table.columns)
