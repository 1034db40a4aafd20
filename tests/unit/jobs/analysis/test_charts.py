"""Charts: real pictures, few, named in the result, and drawn for whatever the columns hold."""

import warnings
from pathlib import Path

import polars as pl
import pytest
from matplotlib.image import imread

from tests.unit.jobs.analysis.cases import EXAMPLES, Result, as_csv, drawn, records
from tests.unit.jobs.analysis.planted import Rows, orders, weekly
from tidegate.jobs.analysis.charts import plan
from tidegate.jobs.analysis.charts.spread import intervals
from tidegate.jobs.analysis.charts.style import Numbers, brief


def charts(folder: Path, result: Result) -> list[str]:
    """The kinds of the result's charts, each checked to be a picture with something on it."""
    kinds = []
    for each in records(result, "charts"):
        picture = imread(folder / "out" / str(each["file"]))
        assert picture.shape[1] == 1260
        assert picture.min() < 0.5 < picture.max()
        kinds.append(str(each["kind"]))
    files = {path.relative_to(folder / "out").as_posix() for path in (folder / "out" / "charts").iterdir()}
    assert files == {str(each["file"]) for each in records(result, "charts")}
    return kinds


def test_a_rich_table_gets_each_kind_of_chart(tmp_path: Path) -> None:
    result = drawn(tmp_path, (EXAMPLES / "seattle-weather.csv").read_bytes())
    expected = ["line", "line", "histogram", "histogram", "bar", "bar", "heatmap", "box"]
    assert charts(tmp_path, result) == expected


def test_a_poor_table_gets_few_charts(tmp_path: Path) -> None:
    result = drawn(tmp_path, as_csv([["name", "remark"], *([f"n {i}", f"remark {i} here"] for i in range(30))]))
    assert charts(tmp_path, result) == []


@pytest.mark.parametrize(
    "columns",
    [
        [[5, 5, 5, 6], [0.0, 1e99, -1e99, 5]],
        [[1e-300, 2e-300, 3e-300, 1e-300], [10**15, 10**15 + 1, 10**15 + 2, 0]],
        [[0, 0, 0, 1e9], [-1, -2, -3, -4]],
    ],
)
def test_any_numbers_can_be_drawn(tmp_path: Path, columns: list[list[float]]) -> None:
    rows: Rows = [["day", "x", "y", "g"]]
    rows += [[f"2024-01-{i + 1:02}", columns[0][i % 4], columns[1][i % 4], "ab"[i % 2]] for i in range(24)]
    assert charts(tmp_path, drawn(tmp_path, as_csv(rows))).count("histogram") == 2


def test_any_letters_can_be_drawn(tmp_path: Path) -> None:
    names = ["東京", "$x^2$ & $y", "a_b^{", "🙂", "very long name " * 8]
    rows: Rows = [["価格 $", "<grp>"]]
    rows += [[i * 1.5, names[i % 5]] for i in range(60)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kinds = charts(tmp_path, drawn(tmp_path, as_csv(rows)))
    assert {"histogram", "bar"} <= set(kinds)


def test_charts_show_what_the_insights_speak_of(tmp_path: Path) -> None:
    rows = weekly()
    wide = [[day, index * 7919 % 11, index % 5, level] for index, (day, level) in enumerate(rows)]
    wide[0] = ["day", "first", "second", "level"]
    result = drawn(tmp_path, as_csv(wide))
    assert records(result, "charts")[0]["columns"] == ["day", "level"]


def test_the_outliers_of_orders_are_drawn(tmp_path: Path) -> None:
    assert "box" in charts(tmp_path, drawn(tmp_path, as_csv(orders())))


def test_a_chart_that_fails_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise ValueError("no such luck")

    monkeypatch.setattr(plan, "histogram", fail)
    result = drawn(tmp_path, as_csv(orders()))
    assert "histogram" not in charts(tmp_path, result)
    left_out = [each["part"] for each in records(result, "left_out")]
    assert left_out == ["the chart 'Distribution of revenue'", "the chart 'Distribution of weight'"]
    assert {"bar", "box"} <= set(charts(tmp_path, result))


@pytest.mark.parametrize(
    ("values", "whole", "expected"),
    [
        ([float(value) for value in range(1, 11)], True, (0.5, 1.0, 10)),
        ([0.0, 0.1, 0.5, 0.9, 1.0] * 40, False, (0.0, 0.1, 10)),
        ([float(value) for value in range(1000)], True, (-0.5, 100.0, 10)),
    ],
)
def test_intervals_have_round_edges(values: list[float], whole: bool, expected: tuple[float, float, int]) -> None:
    assert intervals(pl.Series(values), whole=whole) == pytest.approx(expected)


def test_axis_labels_have_equally_many_decimals() -> None:
    assert Numbers().format_ticks([0, 2.5, 5]) == ["0.0", "2.5", "5.0"]
    assert Numbers().format_ticks([0, 500, 1000, 1500]) == ["0", "500", "1,000", "1,500"]
    assert Numbers().format_ticks([0, 500_000, 1_000_000]) == ["0.0M", "0.5M", "1.0M"]
    assert Numbers().format_ticks([-0.002, 0, 0.002]) == ["-0.002", "0.000", "0.002"]


def test_figures_on_charts_are_brief() -> None:
    shown = [brief(value) for value in (0, 0.7968, 28.09, 128.4, 1234.5, 2_500_000, -3.14159)]
    assert shown == ["0", "0.797", "28.1", "128", "1,234", "2.5M", "-3.14"]
