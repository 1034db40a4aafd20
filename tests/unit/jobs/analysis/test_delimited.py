"""Text tables as they really come."""

from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import analysed, at, columns_of, raw_of, records

ROWS = [["day", "amount", "note"], ["2024-01-01", "1.5", "a"], ["2024-01-02", "2.5", "b"], ["2024-01-03", "4", "c"]]


@pytest.mark.parametrize(("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
def test_the_delimiter_is_found_whatever_the_file_is_called(tmp_path: Path, delimiter: str, name: str) -> None:
    raw = raw_of(tmp_path, "\n".join(delimiter.join(row) for row in ROWS), "mystery")
    assert raw.origin.delimiter == name
    assert raw.headings == ("day", "amount", "note")
    assert raw.frame.rows() == [tuple(row) for row in ROWS[1:]]


def test_semicolons_win_over_decimal_commas(tmp_path: Path) -> None:
    columns = columns_of(tmp_path, "a;b\n1,5;2,5\n3,5;4,5\n10,25;0,5\n")
    assert columns["a"].values.to_list() == [1.5, 3.5, 10.25]


def test_the_directive_of_spreadsheets_is_obeyed(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, "sep=;\r\na;b\r\n1;2\r\n3;4\r\n")
    assert (raw.headings, raw.frame.rows()) == (("a", "b"), [("1", "2"), ("3", "4")])


def test_a_file_without_header_gets_names_by_position(tmp_path: Path) -> None:
    result = analysed(tmp_path, "1,2.5\n2,3.5\n3,4.5\n4,1.5\n")
    assert at(result, "source", "has_header") is False
    assert at(result, "source", "rows") == 4
    assert [each["name"] for each in records(result, "schema")] == ["column 1", "column 2"]


def test_years_can_be_column_names(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, "country,1990,1991\nChad,3.5,4.5\nMali,5,6\n")
    assert raw.headings == ("country", "1990", "1991")


def test_text_over_text_is_a_header_where_it_names_things(tmp_path: Path) -> None:
    assert raw_of(tmp_path, "name,city\nAnn,Rome\nBob,Oslo\n").origin.has_header
    assert not raw_of(tmp_path, "yes,Rome\nno,Oslo\nyes,Oslo\nno,Rome\nyes,Rome\n").origin.has_header


def test_titles_over_the_table_are_skipped_and_counted(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, "Sales report 2024,,,\n,,,\nday,shop,amount,tax\n2024-01-01,A,1,2\n2024-01-02,B,3,4\n")
    assert raw.origin.rows_above_header == 2
    assert raw.headings == ("day", "shop", "amount", "tax")
    assert raw.frame.height == 2


def test_ragged_rows_are_counted_and_kept(tmp_path: Path) -> None:
    result = analysed(tmp_path, "a,b,c\n1,2,3\n4,5\n6,7,8,9\n10,11,12\n13,14,15,\n")
    assert at(result, "quality", "ragged_rows") == {"count": 2, "share": 0.4, "short": 1, "long": 1, "examples": [2, 3]}
    assert at(result, "kpis", "numeric", "a", "sum") == 34
    assert at(result, "quality", "missing", "c", "count") == 1


def test_quoted_newlines_and_quotes_stay_in_their_cell(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, 'name,note\nAnn,"one\ntwo, ""three"""\nBob,"x\r\ny"\n')
    assert raw.frame.rows() == [("Ann", 'one\ntwo, "three"'), ("Bob", "x\r\ny")]


def test_a_quote_that_never_closes_does_not_swallow_the_file(tmp_path: Path) -> None:
    lines = [f"{number},value {number}" for number in range(50)]
    lines[10] = '10,"value 10'
    raw = raw_of(tmp_path, "id,text\n" + "\n".join(lines) + "\n")
    assert raw.frame.height == 50
    assert raw.frame["1"][10] == "value 10"
    assert any("quote" in note for note in raw.notes)


def test_a_quote_that_never_closes_is_seen_past_the_largest_cell(tmp_path: Path) -> None:
    lines = [f"{number},{'x' * 100}" for number in range(3000)]
    raw = raw_of(tmp_path, 'id,text\n0,"oops\n' + "\n".join(lines) + "\n")
    assert raw.frame.height == 3001


def test_blank_rows_and_nameless_blank_columns_are_left_out_and_counted(tmp_path: Path) -> None:
    result = analysed(tmp_path, "a,,b\n1,,2\n,,\n\n3,,4\n5,,6\n")
    assert at(result, "source", "rows") == 3
    assert at(result, "quality", "blank_rows") == 2
    assert at(result, "quality", "blank_columns") == 1
    assert [each["name"] for each in records(result, "schema")] == ["a", "b"]


def test_a_named_column_without_values_is_kept_as_empty(tmp_path: Path) -> None:
    result = analysed(tmp_path, "a,nothing\n1,\n2,NA\n3,\n")
    assert records(result, "schema")[1]["kind"] == "empty"
    assert at(result, "quality", "empty_columns") == ["nothing"]


def test_names_become_distinct_and_printable(tmp_path: Path) -> None:
    content = '"Amount","amount"," ","two\nlines","Amount"\n1,2,3,4,5\n6,7,8,9,10\n'
    names = [str(each["name"]) for each in records(analysed(tmp_path, content), "schema")]
    assert names == ["Amount", "amount (2)", "column 3", "two lines", "Amount (3)"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\r\r\n"])
def test_every_kind_of_line_end_is_read(tmp_path: Path, newline: str) -> None:
    columns = columns_of(tmp_path, newline.join(["a,b", "1,x", "2,y", "3,z"]) + newline)
    assert columns["a"].values.to_list() == [1, 2, 3]


def test_a_single_column_needs_no_delimiter(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, "temperature\n12.5\n13.5\n11\n")
    assert (raw.headings, raw.frame.width, raw.origin.delimiter) == (("temperature",), 1, "none")


def test_a_last_row_of_totals_is_left_out(tmp_path: Path) -> None:
    result = analysed(tmp_path, "shop,amount\nA,1\nB,2\nC,3\nTotal,6\n")
    assert at(result, "kpis", "numeric", "amount", "sum") == 6
    assert at(result, "kpis", "rows") == 3
    assert "'Total'" in str(at(result, "quality", "warnings"))


def test_extra_delimiters_at_the_end_of_each_row_are_no_fault(tmp_path: Path) -> None:
    result = analysed(tmp_path, "a,b\n1,2,\n3,4,\n5,6,\n")
    assert at(result, "quality", "ragged_rows", "count") == 0
    assert at(result, "source", "columns") == 2
