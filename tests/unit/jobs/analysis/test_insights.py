"""Insights: found where something was planted, silent where not, and true to the figures."""

import re
from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import EXAMPLES, Result, analysed, as_csv, at, insight_ids, names, records
from tests.unit.jobs.analysis.planted import Rows, noise, orders, rising, stepping, weekly, yearly
from tidegate.jobs.analysis.insights.evidence import amount, change, percent, pointer, resolve

FIGURE = re.compile(r"(?<![\w.])[+-]?[0-9][0-9,]*(?:\.[0-9]+)?%?")
MESSY = (
    "a b,kind,n,c\n"
    + "".join(
        f"{index},{['North', 'north', 'South'][index % 3]},{index if index % 19 else 'oops'},\n"
        for index in range(1, 60)
    )
    + "1,North,1,\n1,North,1,\n5\n6,South,6,,9\n"
)


def insight(result: Result, name: str) -> Result:
    """The insight with this id."""
    return next(each for each in records(result, "insights") if each["id"] == name)


def found_in(folder: Path, rows: Rows) -> list[str]:
    """The ids of the insights into a table."""
    return insight_ids(analysed(folder, as_csv(rows)))


def test_a_trend_is_found(tmp_path: Path) -> None:
    result = analysed(tmp_path, as_csv(rising()))
    found = insight(result, "trend:level")
    assert (found["severity"], "rose" in str(found["title"])) == ("high", True)
    assert at(result, "kpis", "time", "bucket") == "week"
    assert at(result, "kpis", "time", "trends", "level", "slope") == pytest.approx(0.3 * 7, rel=0.03)


def test_a_step_is_found_where_it_is_and_not_taken_for_a_trend(tmp_path: Path) -> None:
    result = analysed(tmp_path, as_csv(stepping()))
    assert at(result, "kpis", "time", "trends", "level", "step", "at") == "2022-10-03"
    assert at(result, "kpis", "time", "trends", "level", "step", "after") == pytest.approx(150, rel=0.02)
    assert "step:level" in insight_ids(result)
    assert "trend:level" not in insight_ids(result)


def test_a_weekday_that_stands_out_is_found(tmp_path: Path) -> None:
    result = analysed(tmp_path, as_csv(weekly()))
    pattern = ("kpis", "time", "trends", "level", "patterns", "weekday")
    assert at(result, *pattern, "peak", "label") == "Saturday"
    assert "cycle:level:weekday" in insight_ids(result)


def test_a_season_is_found_and_not_taken_for_a_trend(tmp_path: Path) -> None:
    result = analysed(tmp_path, as_csv(yearly()))
    pattern = ("kpis", "time", "trends", "level", "patterns", "month_of_year")
    assert (at(result, *pattern, "peak", "label"), at(result, *pattern, "trough", "label")) == ("July", "January")
    assert insight_ids(result) == ["cycle:level:month_of_year"]


def test_nothing_is_found_in_noise(tmp_path: Path) -> None:
    assert found_in(tmp_path, noise()) == []


def test_what_is_in_the_orders_is_found(tmp_path: Path) -> None:
    found = found_in(tmp_path, orders())
    expected = {"contribution:revenue:shop", "segment:revenue:shop", "imbalance:priority", "outliers:weight"}
    assert expected | {"missing:weight"} <= set(found)


def test_two_columns_that_say_the_same_are_found(tmp_path: Path) -> None:
    rows: Rows = [["celsius", "fahrenheit"]]
    rows += [[index * 0.7, index * 0.7 * 1.8 + 32] for index in range(100)]
    result = analysed(tmp_path, as_csv(rows))
    assert "Either says nearly everything" in str(insight(result, "correlation:celsius:fahrenheit")["text"])


def test_faults_of_the_file_are_found(tmp_path: Path) -> None:
    found = insight_ids(analysed(tmp_path, MESSY))
    assert {"duplicates", "ragged", "mixed:n", "spelling:kind", "useless:empty"} <= set(found)


def test_gaps_in_time_are_found(tmp_path: Path) -> None:
    rows = rising()
    assert "gaps" in found_in(tmp_path, rows[:60] + rows[200:])


def test_the_weightiest_come_first_and_no_rule_floods(tmp_path: Path) -> None:
    rows: Rows = [[f"m{index}" for index in range(12)]]
    rows += [[row * (index + 1) + row % (index + 2) for index in range(12)] for row in range(80)]
    result = analysed(tmp_path, as_csv(rows))
    order = ["high", "medium", "low"]
    ranks = [order.index(str(each["severity"])) for each in records(result, "insights")]
    assert ranks == sorted(ranks)
    assert sum(1 for each in insight_ids(result) if each.startswith("correlation:")) == 3


SOURCES = {
    "weather": (EXAMPLES / "seattle-weather.csv").read_bytes(),
    "flights": (EXAMPLES / "nyc-flights-2013.csv").read_bytes(),
    "orders": as_csv(orders()).encode(),
    "stepping": as_csv(stepping()).encode(),
    "weekly": as_csv(weekly()).encode(),
    "messy": MESSY.encode(),
    "odd names": as_csv([["a/b", "~{x:count}"], *([number, number * 3.5] for number in range(90))]).encode(),
}


@pytest.fixture(scope="module", params=SOURCES)
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The result of analysing one of the sources."""
    return analysed(tmp_path_factory.mktemp("insights"), SOURCES[str(request.param)])


def steps_of(place: str, document: object) -> tuple[str | int, ...]:
    """The path that a JSON pointer spells."""
    path: tuple[str | int, ...] = ()
    for part in place.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        path += (int(name) if isinstance(resolve(document, path), list) else name,)
    return path


def test_every_evidence_is_a_figure_of_the_result(result: Result) -> None:
    assert records(result, "insights")
    for each in records(result, "insights"):
        evidence = each["evidence"]
        assert isinstance(evidence, dict)
        assert evidence
        for place, value in evidence.items():
            path = steps_of(place, result)
            assert path[0] in {"kpis", "quality"}
            assert resolve(result, path) == value
            assert pointer(path) == place


def test_every_figure_in_a_text_is_among_its_evidence(result: Result) -> None:
    for each in records(result, "insights"):
        evidence = each["evidence"]
        assert isinstance(evidence, dict)
        quoted = [value for value in evidence.values() if isinstance(value, int | float)]
        said = {form(value) for value in quoted for form in (amount, change, percent, lambda v: f"{v:,.0f}")}
        text = str(each["text"])
        for word in [*(str(v) for v in evidence.values() if isinstance(v, str)), *names(result, "kpis", "numeric")]:
            text = text.replace(str(word), "")
        assert {figure.rstrip(",") for figure in FIGURE.findall(text)} <= said
