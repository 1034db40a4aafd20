"""Excel workbooks: which sheet, where in it, and which are refused before they can do harm."""

import struct
import zipfile
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
import xlsxwriter

from tests.unit.jobs.analysis.cases import analysed, at, columns_of, raw_of, records, written
from tests.unit.jobs.analysis.compound import compound_file
from tidegate.jobs.analysis import Limits, NotData, Reason
from tidegate.jobs.analysis.columns.parsed import Kind

XLS = Path(__file__).parent / "files" / "sales.xls"
START = datetime(2024, 1, 1)


def workbook(*, rows: int = 30) -> bytes:
    """A workbook with notes, a table that starts at C4, a hidden copy of its header, and a chart sheet."""
    content = BytesIO()
    book = xlsxwriter.Workbook(content)
    day = book.add_format({"num_format": "dd/mm/yyyy"})
    book.add_worksheet("Notes").write_column(0, 0, ["Prepared by", "the accounts team"])
    sheet = book.add_worksheet("Sales")
    sheet.write(0, 2, "Sales of 2024")
    sheet.write_row(3, 2, ["Day", "Shop", "Amount", "Paid", "Ratio"])
    for index in range(rows):
        sheet.write_datetime(4 + index, 2, START + timedelta(days=index), day)
        sheet.write_row(4 + index, 3, ["North" if index % 2 else "South", 100 + index * 2.5])
        sheet.write_boolean(4 + index, 5, index % 5 != 0)
        sheet.write_formula(4 + index, 6, "=1/0", None, "#DIV/0!" if index % 3 else "0.5")
    hidden = book.add_worksheet("Old")
    hidden.write_row(0, 0, ["Day", "Amount"])
    hidden.hide()
    book.add_worksheet("Empty")
    book.close()
    return content.getvalue()


def test_the_fullest_sheet_is_read_from_where_its_table_starts(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, workbook(), "report.xlsx")
    assert (raw.origin.sheet, raw.origin.rows_above_header, raw.frame.height) == ("Sales", 3, 30)
    assert raw.origin.other_sheets == ("Notes (2 rows)", "Old (1 rows)")


def test_cells_keep_their_kinds(tmp_path: Path) -> None:
    columns = columns_of(tmp_path, workbook(), "report.xlsx")
    assert list(columns) == ["Day", "Shop", "Amount", "Paid", "Ratio"]
    assert columns["Day"].values.to_list()[:2] == [date(2024, 1, 1), date(2024, 1, 2)]
    assert columns["Amount"].values.to_list()[:2] == [100, 102.5]
    assert columns["Paid"].values.to_list()[:2] == [False, True]
    assert (columns["Ratio"].nulls, columns["Ratio"].kind) == (20, Kind.NUMBER)


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    assert raw_of(tmp_path, workbook(), "report.csv").origin.format == "xlsx"
    assert raw_of(tmp_path, "a,b\n1,2\n", "report.xlsx").origin.format == "csv"


def test_the_old_format_is_read_too(tmp_path: Path) -> None:
    result = analysed(tmp_path, XLS.read_bytes(), "sales.xls")
    assert at(result, "source", "format") == "xls"
    assert at(result, "source", "sheet") == "Sales"
    assert [each["kind"] for each in records(result, "schema")] == ["date", "category", "number", "boolean"]
    assert at(result, "kpis", "numeric", "Amount", "sum") == sum(100 + index * 2.5 for index in range(40))


def refusal(folder: Path, content: bytes, name: str, limits: Limits | None = None) -> NotData:
    """The error that reading this file ends with."""
    with pytest.raises(NotData) as caught:
        raw_of(folder, content, name, limits)
    return caught.value


def test_a_workbook_with_a_password_is_refused_as_such(tmp_path: Path) -> None:
    content = compound_file({"EncryptionInfo": b"\4\0\4\0", "EncryptedPackage": b"\0" * 5000})
    error = refusal(tmp_path, content, "secret.xlsx")
    assert (error.reason, "password" in str(error)) == (Reason.ENCRYPTED, True)


@pytest.mark.parametrize("name", ["half.xlsx", "half.xls"])
def test_half_a_workbook_is_refused_as_broken(tmp_path: Path, name: str) -> None:
    content = workbook() if name.endswith("x") else XLS.read_bytes()
    assert refusal(tmp_path, content[: len(content) // 2], name).reason is Reason.BROKEN


def test_a_workbook_without_cells_is_refused_as_empty(tmp_path: Path) -> None:
    content = BytesIO()
    xlsxwriter.Workbook(content).close()
    assert refusal(tmp_path, content.getvalue(), "blank.xlsx").reason is Reason.EMPTY


def bomb(size: int, declared: int | None = None) -> bytes:
    """A workbook with an entry of `size` zeros that says it has `declared`."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b"\0" * size)
    data = content.getvalue()
    return data if declared is None else data.replace(struct.pack("<I", size), struct.pack("<I", declared))


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    limits = Limits(unpacked_bytes=1_000_000)
    assert refusal(tmp_path, bomb(5_000_000), "bomb.xlsx", limits).reason is Reason.TOO_LARGE


def test_a_workbook_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    limits = Limits(unpacked_bytes=1_000_000)
    assert refusal(tmp_path, bomb(5_000_000, declared=1000), "bomb.xlsx", limits).reason is Reason.TOO_LARGE


def test_two_cells_in_opposite_corners_cost_no_memory(tmp_path: Path) -> None:
    content = BytesIO()
    book = xlsxwriter.Workbook(content)
    sheet = book.add_worksheet()
    sheet.write(0, 0, "here")
    sheet.write(1_048_575, 16_383, "there")
    book.close()
    error = refusal(tmp_path, content.getvalue(), "corners.xlsx")
    assert (error.reason, "1,048,576 rows" in str(error)) == (Reason.TOO_LARGE, True)


def test_other_archives_are_refused_by_what_they_are(tmp_path: Path) -> None:
    for entry, word in (("word/document.xml", "Word"), ("content.xml", "OpenDocument"), ("data.csv", "ZIP archive")):
        content = BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr(entry, "x")
        assert word in str(refusal(tmp_path, content.getvalue(), "thing.xlsx"))


def test_rows_over_the_limit_are_left_out_and_said(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, workbook(rows=50), "report.xlsx", Limits(rows=20))
    assert raw.frame.height == 20
    assert raw.left_out[0].part == "rows after the first 20"


def test_a_path_with_brackets_is_one_file(tmp_path: Path) -> None:
    written(tmp_path, workbook(), "a[1]*.xlsx")
    assert raw_of(tmp_path, workbook(), "a[1]*.xlsx").frame.height == 30
