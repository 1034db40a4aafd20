"""JSON in the shapes that carry a table."""

import json
from datetime import date
from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import analysed, as_csv, at, columns_of, raw_of, records
from tidegate.jobs.analysis import Limits, NotData, Reason
from tidegate.jobs.analysis.columns.parsed import Kind

RECORDS: list[dict[str, object]] = [
    {"day": "2024-01-01", "amount": 1.5, "ok": True, "shop": {"name": "A", "city": "Rome"}},
    {"day": "2024-01-02", "amount": 2, "ok": False, "shop": {"name": "B", "city": "Oslo"}},
    {"day": "2024-01-03", "amount": None, "ok": True, "shop": None, "late": "x"},
]
COLUMNS = {"day": ["2024-01-01", "2024-01-02"], "amount": [1.5, 2]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORDS),
        "\n".join(json.dumps(each) for each in RECORDS),
        json.dumps({"status": "ok", "data": RECORDS, "page": 1}),
        "\ufeff" + json.dumps(RECORDS, indent=2),
    ],
)
def test_records_become_rows(tmp_path: Path, text: str) -> None:
    columns = columns_of(tmp_path, text, "data.json")
    assert columns["day"].values.to_list() == [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)]
    assert columns["amount"].values.to_list() == [1.5, 2, None]
    assert columns["ok"].kind is Kind.BOOLEAN
    assert columns["late"].nulls == 2


def test_objects_are_opened_one_level_and_said(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, json.dumps(RECORDS), "data.json")
    assert {"shop.name", "shop.city"} <= set(raw.headings)
    assert raw.notes == ("Nested objects were opened one level: shop.",)


def test_lists_and_deeper_objects_become_text_and_are_said(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, json.dumps([{"a": [1, 2], "b": {"c": {"d": 1}}, "e": 1}] * 2), "data.json")
    assert raw.frame.row(0) == ("[1, 2]", '{"d": 1}', 1)
    assert "a, b.c" in raw.notes[1]


def test_an_object_of_arrays_is_a_table_of_columns(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, json.dumps(COLUMNS), "data.json")
    assert (raw.headings, raw.frame.rows()) == (("day", "amount"), [("2024-01-01", 1.5), ("2024-01-02", 2.0)])


def test_an_object_of_objects_is_a_table_with_keys(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, json.dumps({"x": {"n": 1}, "y": {"n": 2}}), "data.json")
    assert (raw.headings, raw.frame.rows()) == (("key", "n"), [("x", 1), ("y", 2)])


def test_an_array_of_arrays_is_a_grid_with_header(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, json.dumps([["day", "n"], ["2024-01-01", 1], ["2024-01-02", None]]), "data.json")
    assert (raw.headings, raw.frame.height) == (("day", "n"), 2)


def test_mixed_values_become_text(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, json.dumps([{"a": 1}, {"a": "x"}, {"a": 2**70}, {"a": True}]), "data.json")
    assert raw.frame["0"].to_list() == ["1", "x", str(2**70), "true"]


def test_what_json_cannot_mean_is_missing(tmp_path: Path) -> None:
    text = '[{"a": 1.5, "b": "x"}, {"a": NaN, "b": "half \\ud800"}, {"a": Infinity, "b": "y"}]'
    columns = columns_of(tmp_path, text, "data.json")
    assert columns["a"].values.to_list() == [1.5, None, None]
    assert columns["b"].values.to_list() == ["x", "half ?", "y"]


def test_a_few_broken_lines_are_left_out_and_said(tmp_path: Path) -> None:
    lines = [json.dumps({"n": number}) for number in range(40)]
    lines[7] = '{"n": 7, '
    raw = raw_of(tmp_path, "\n".join(lines), "data.ndjson")
    assert (raw.frame.height, raw.origin.format) == (39, "ndjson")
    assert raw.notes == ("1 lines are not JSON and were left out.",)


@pytest.mark.parametrize("text", ['"word"', "[]", "{}", '{"a": 1, "b": "x"}', "[[]]"])
def test_json_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotData):
        columns_of(tmp_path, text, "data.json")


def test_json_that_breaks_off_says_where(tmp_path: Path) -> None:
    with pytest.raises(NotData, match="line 4") as caught:
        raw_of(tmp_path, '[\n{"a": 1},\n{"a": \n', "data.json")
    assert caught.value.reason is Reason.BROKEN


def test_a_csv_may_begin_with_a_bracket(tmp_path: Path) -> None:
    assert raw_of(tmp_path, as_csv([["[id]", "n"], [1, 2], [3, 4]])).headings == ("[id]", "n")


def test_json_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotData, match="nested"):
        raw_of(tmp_path, "[" * 100_000 + "]" * 100_000, "data.json")


def test_records_that_all_have_other_keys_cost_no_memory(tmp_path: Path) -> None:
    text = json.dumps([{f"key{number}": number} for number in range(2000)])
    raw = raw_of(tmp_path, text, "data.json", Limits(columns=50))
    assert raw.frame.shape == (2000, 50)
    assert raw.left_out[0].part == "columns after the first 50 of 2,000"


def test_cells_over_the_limit_are_left_out(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, json.dumps([{"a": 1, "b": 2}] * 100), "data.json", Limits(cells=60))
    assert raw.frame.shape == (30, 2)
    assert raw.left_out[0].part == "rows after the first 30"


def test_large_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotData, match="limit for JSON"):
        raw_of(tmp_path, json.dumps(RECORDS), "data.json", Limits(json_bytes=100))


def test_json_is_analysed_to_the_end(tmp_path: Path) -> None:
    rows = [{"day": f"2024-01-{day:02}", "amount": day * 1.5, "shop": "AB"[day % 2]} for day in range(1, 31)]
    result = analysed(tmp_path, json.dumps(rows), "export")
    assert at(result, "source", "format") == "json"
    assert [each["kind"] for each in records(result, "schema")] == ["date", "number", "category"]
    assert at(result, "kpis", "numeric", "amount", "sum") == sum(range(1, 31)) * 1.5
