"""What columns are taken for, and the values they get."""

from datetime import date, datetime
from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import analysed, as_csv, at, columns_of
from tidegate.jobs.analysis.columns.parsed import Kind
from tidegate.jobs.analysis.columns.table import Column


def column_of(folder: Path, cells: list[str], heading: str = "value") -> Column:
    """The single column of a file with these cells, beside one that keeps rows from being blank."""
    rows = [[heading, "beside"], *([cell, f"row {index}"] for index, cell in enumerate(cells))]
    return columns_of(folder, as_csv(rows, quoting=True))[heading]


@pytest.mark.parametrize(
    ("cells", "values", "unit"),
    [
        (["1,234.50", "2,000", "12"], [1234.5, 2000, 12], None),
        (["1.234,50", "2.000", "12"], [1234.5, 2000, 12], None),
        (["1 234,5", "12 345 678,25"], [1234.5, 12345678.25], None),
        (["1'234.5", "2'000.25"], [1234.5, 2000.25], None),
        (["12,34,567.5", "1,00,000.5"], [1234567.5, 100000.5], None),
        (["$1,234.50", "($3.25)", "-$2.50", "$-4"], [1234.5, -3.25, -2.5, -4], "$"),
        (["12,50 €", "3,00 €", "1.000,00 €"], [12.5, 3, 1000], "€"),
        (["EUR 5.5", "EUR 6"], [5.5, 6], "EUR"),
        (["12.5%", "7 %", "100%"], [12.5, 7, 100], "%"),
        (["−5.5", "–6", "7-", "+8"], [-5.5, -6, -7, 8], None),
        (["1e3", "2.5E-1", ".5", "5."], [1000, 0.25, 0.5, 5], None),
        (["1.5", "NA", "", "-", "n/a", "NULL", "#N/A", "2.5"], [1.5, *([None] * 6), 2.5], None),
    ],
)
def test_numbers_are_read_as_people_write_them(
    tmp_path: Path, cells: list[str], values: list[float | None], unit: str | None
) -> None:
    column = column_of(tmp_path, cells)
    assert column.kind is Kind.NUMBER
    assert column.values.to_list() == values
    assert (column.unit, column.unparsed) == (unit, 0)


def test_whole_numbers_are_integers_even_where_written_as_decimals(tmp_path: Path) -> None:
    column = column_of(tmp_path, ["1.0", "2.0", "", "4.0"])
    assert column.kind is Kind.INTEGER
    assert column.values.to_list() == [1, 2, None, 4]


def test_infinity_and_nan_are_no_numbers(tmp_path: Path) -> None:
    column = column_of(tmp_path, ["1.5"] * 30 + ["inf", "1e300", "NaN"])
    assert column.values.to_list()[-3:] == [None, None, None]
    assert (column.unparsed, column.nulls) == (2, 1)


def test_an_ambiguous_comma_is_decided_by_the_other_columns_of_the_file(tmp_path: Path) -> None:
    columns = columns_of(tmp_path, "a;b\n1,234;0,5\n2,345;1,25\n3,456;2,75\n")
    assert columns["a"].values.to_list() == [1.234, 2.345, 3.456]
    assert column_of(tmp_path, ["1,234", "2,345"]).values.to_list() == [1234, 2345]


def test_an_ambiguous_comma_is_remarked_on(tmp_path: Path) -> None:
    assert "1,234" in column_of(tmp_path, ["1,234", "2,345"]).notes[0]
    assert column_of(tmp_path, ["1,234.5", "2,345"]).notes == ()


def test_a_few_strangers_count_as_unparsed(tmp_path: Path) -> None:
    column = column_of(tmp_path, [*map(str, range(30)), "about ten"])
    assert (column.kind, column.unparsed, column.odd_values) == (Kind.INTEGER, 1, ("about ten",))


def test_a_mixture_stays_text_and_is_measured(tmp_path: Path) -> None:
    cells = [str(number / 2) for number in range(12)] + [f"word {number}" for number in range(8)]
    column = column_of(tmp_path, cells)
    assert column.kind is Kind.TEXT
    assert dict(column.mixture) == pytest.approx({"number": 0.6, "text": 0.4})


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["yes", "No", "YES"], [True, False, True]),
        (["TRUE", "false", ""], [True, False, None]),
        (["t", "f", "t"], [True, False, True]),
        (["ja", "nein", "ja"], [True, False, True]),
    ],
)
def test_truth_words_are_booleans(tmp_path: Path, cells: list[str], values: list[bool | None]) -> None:
    column = column_of(tmp_path, cells)
    assert column.kind is Kind.BOOLEAN
    assert column.values.to_list() == values


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (["2024-01-31", "2024-02-01"], [(2024, 1, 31), (2024, 2, 1)]),
        (["2024/1/31", "2024/2/1"], [(2024, 1, 31), (2024, 2, 1)]),
        (["31.1.2024", "1.2.2024"], [(2024, 1, 31), (2024, 2, 1)]),
        (["1.2.2024", "2.3.2024"], [(2024, 2, 1), (2024, 3, 2)]),
        (["1/31/2024", "2/1/2024"], [(2024, 1, 31), (2024, 2, 1)]),
        (["31/1/2024", "1/2/2024"], [(2024, 1, 31), (2024, 2, 1)]),
        (["1/2/2024", "3/4/2024"], [(2024, 1, 2), (2024, 3, 4)]),
        (["1/31/99", "2/1/05"], [(1999, 1, 31), (2005, 2, 1)]),
        (["Jan 31, 2024", "Feb 1, 2024"], [(2024, 1, 31), (2024, 2, 1)]),
        (["31-Jan-24", "01-Feb-24"], [(2024, 1, 31), (2024, 2, 1)]),
        (["Wed, 31 January 2024", "Thu, 1 February 2024"], [(2024, 1, 31), (2024, 2, 1)]),
        (["2024-01", "2024-02"], [(2024, 1, 1), (2024, 2, 1)]),
        (["Jan 2024", "Feb 2024"], [(2024, 1, 1), (2024, 2, 1)]),
        (["2024-Q1", "2024-Q2"], [(2024, 1, 1), (2024, 4, 1)]),
        (["20240131", "20240201"], [(2024, 1, 31), (2024, 2, 1)]),
        (["2024-01-31", "31 Jan 2024", "1/31/2024"], [(2024, 1, 31)] * 3),
    ],
)
def test_days_are_read_as_people_write_them(tmp_path: Path, cells: list[str], days: list[tuple[int, int, int]]) -> None:
    column = column_of(tmp_path, cells)
    assert column.kind is Kind.DATE
    assert column.values.to_list() == [date(*day) for day in days]


@pytest.mark.parametrize(
    ("cell", "instant"),
    [
        ("2024-01-31 14:05", datetime(2024, 1, 31, 14, 5)),
        ("2024-01-31T14:05:06", datetime(2024, 1, 31, 14, 5, 6)),
        ("2024-01-31T14:05:06.789Z", datetime(2024, 1, 31, 14, 5, 6)),
        ("2024-01-31T14:05:06+02:00", datetime(2024, 1, 31, 12, 5, 6)),
        ("1/31/2024 2:05 PM", datetime(2024, 1, 31, 14, 5)),
        ("1/31/2024 12:05 AM", datetime(2024, 1, 31, 0, 5)),
        ("31.01.2024 14:05", datetime(2024, 1, 31, 14, 5)),
    ],
)
def test_instants_become_utc(tmp_path: Path, cell: str, instant: datetime) -> None:
    column = column_of(tmp_path, [cell, cell])
    assert column.kind is Kind.DATETIME
    assert column.values.to_list() == [instant, instant]


def test_an_impossible_day_is_unparsed(tmp_path: Path) -> None:
    column = column_of(tmp_path, [f"2024-01-{day:02}" for day in range(1, 31)] + ["2024-02-31"])
    assert (column.unparsed, column.values[-1]) == (1, None)


def test_an_ambiguous_order_of_day_and_month_is_remarked_on(tmp_path: Path) -> None:
    assert "3/4/2024" in column_of(tmp_path, ["3/4/2024", "5/6/2024"]).notes[0]
    assert column_of(tmp_path, ["13/4/2024", "5/6/2024"]).notes == ()


def test_both_orders_in_one_column_are_remarked_on(tmp_path: Path) -> None:
    column = column_of(tmp_path, ["13/4/2024", "14/4/2024", "4/15/2024"])
    assert column.values.to_list() == [date(2024, 4, 13), date(2024, 4, 14), date(2024, 4, 15)]
    assert "(2)" in column.notes[0]


def test_several_shapes_of_date_show_in_the_quality(tmp_path: Path) -> None:
    result = analysed(tmp_path, as_csv([["d", "x"], ["2024-01-31", 1], ["31 Jan 2024", 2], ["2024-02-01", 3]]))
    assert at(result, "quality", "mixed_dates", "d") == ["year-month-day", "day month-name year"]


@pytest.mark.parametrize(
    ("heading", "cells", "kind"),
    [
        ("year", ["2001", "2002", "2003"], Kind.DATE),
        ("count", ["2001", "2002", "2003"], Kind.INTEGER),
        ("created_at", ["1700000000", "1700000060"], Kind.DATETIME),
        ("amount", ["1700000000", "1700000060"], Kind.INTEGER),
        ("customer_id", ["17", "4", "17"], Kind.IDENTIFIER),
        ("orderId", ["17", "4", "18"], Kind.IDENTIFIER),
        ("zip", ["01234", "98765"], Kind.IDENTIFIER),
        ("plain", ["00123", "00456"], Kind.IDENTIFIER),
        ("card", ["1234567890123456789", "1234567890123456780"], Kind.IDENTIFIER),
        ("token", [f"a{number:05}" for number in range(30)], Kind.IDENTIFIER),
        ("region", ["N", "S", "N", "S", "N"], Kind.CATEGORY),
        ("comment", [f"remark number {number} here" for number in range(30)], Kind.TEXT),
    ],
)
def test_names_and_values_tell_what_a_column_means(tmp_path: Path, heading: str, cells: list[str], kind: Kind) -> None:
    assert column_of(tmp_path, cells, heading).kind is kind


def test_namibia_is_no_missing_value(tmp_path: Path) -> None:
    codes = ["DE", "FR", "IT", "NA", "US", "GB"] * 3
    assert column_of(tmp_path, codes, "country").nulls == 0
    assert column_of(tmp_path, ["red", "green", "NA"] * 3, "color").nulls == 3
