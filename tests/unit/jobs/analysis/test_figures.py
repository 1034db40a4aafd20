"""The figures of the samples, computed a second time from the files by other means."""

import csv
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import EXAMPLES, Result, analysed, as_csv, at, names, number, records
from tests.unit.jobs.analysis.planted import orders

Lines = list[dict[str, str]]
CLOSE = pytest.approx


@pytest.fixture(scope="module", params=["seattle-weather.csv", "nyc-flights-2013.csv"])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Lines]:
    """The result of analysing a sample, and the sample's lines."""
    path = EXAMPLES / str(request.param)
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    return analysed(tmp_path_factory.mktemp("sample"), path.read_bytes(), path.name), lines


def numbers(lines: Lines, name: str) -> list[float]:
    """The values of a column that has any."""
    return [float(line[name]) for line in lines if line[name]]


def ranks(values: list[float]) -> list[float]:
    """Where each value stands in order; equal values share the mean of their places."""
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(values)):
        places.setdefault(value, []).append(place)
    return [statistics.fmean(places[value]) for value in values]


def test_numeric_figures_agree_with_the_file(sample: tuple[Result, Lines]) -> None:
    result, lines = sample
    expected: dict[str, Callable[[list[float]], float]] = {
        "count": len,
        "sum": sum,
        "mean": statistics.fmean,
        "median": statistics.median,
        "std": statistics.stdev,
        "min": min,
        "max": max,
        "p5": lambda values: statistics.quantiles(values, n=20, method="inclusive")[0],
        "p25": lambda values: statistics.quantiles(values, n=4, method="inclusive")[0],
        "p75": lambda values: statistics.quantiles(values, n=4, method="inclusive")[2],
        "p95": lambda values: statistics.quantiles(values, n=20, method="inclusive")[18],
        "zeros": lambda values: values.count(0),
        "negatives": lambda values: sum(1 for value in values if value < 0),
    }
    assert len(names(result, "kpis", "numeric")) == 4
    for name in names(result, "kpis", "numeric"):
        values = numbers(lines, name)
        found = {figure: number(result, "kpis", "numeric", name, figure) for figure in expected}
        assert found == CLOSE({figure: compute(values) for figure, compute in expected.items()}, rel=1e-5, abs=1e-9)


def test_category_figures_agree_with_the_file(sample: tuple[Result, Lines]) -> None:
    result, lines = sample
    for name in names(result, "kpis", "categorical"):
        counts = Counter(line[name] for line in lines if line[name])
        top = records(result, "kpis", "categorical", name, "top")
        assert {each["value"]: each["count"] for each in top}.items() <= counts.items()
        assert [each["count"] for each in top] == sorted(counts.values(), reverse=True)[:20]
        squares = sum((count / counts.total()) ** 2 for count in counts.values())
        assert number(result, "kpis", "categorical", name, "concentration") == CLOSE(squares, rel=1e-5)


def test_correlations_agree_with_the_file(sample: tuple[Result, Lines]) -> None:
    result, lines = sample
    pairs = records(result, "kpis", "correlations", "pairs")
    assert len(pairs) == 6
    for pair in pairs:
        a, b = str(pair["a"]), str(pair["b"])
        both = [(float(line[a]), float(line[b])) for line in lines if line[a] and line[b]]
        left, right = [x for x, _ in both], [y for _, y in both]
        assert pair["count"] == len(both)
        assert pair["pearson"] == CLOSE(statistics.correlation(left, right), rel=1e-4, abs=1e-5)
        assert pair["spearman"] == CLOSE(statistics.correlation(ranks(left), ranks(right)), rel=1e-4, abs=1e-5)


def test_outliers_agree_with_the_file(sample: tuple[Result, Lines]) -> None:
    result, lines = sample
    for name in names(result, "kpis", "outliers"):
        place = ("kpis", "outliers", name)
        values = numbers(lines, name)
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        beyond = [v for v in values if v < low - 1.5 * (high - low) or v > high + 1.5 * (high - low)]
        assert at(result, *place, "iqr", "count") == len(beyond)
        for extreme in records(result, *place, "extremes"):
            row = extreme["row"]
            assert isinstance(row, int)
            assert float(lines[row - 1][name]) == extreme["value"]


def test_missing_cells_agree_with_the_file(sample: tuple[Result, Lines]) -> None:
    result, lines = sample
    for name in lines[0]:
        missing = sum(1 for line in lines if not line[name])
        assert at(result, "quality", "missing", name) == {
            "count": missing,
            "share": CLOSE(missing / len(lines), rel=1e-4),
        }


def test_buckets_agree_with_the_file(tmp_path: Path) -> None:
    content = (EXAMPLES / "seattle-weather.csv").read_text("utf-8")
    result = analysed(tmp_path, content)
    months: dict[str, list[float]] = {}
    for line in csv.DictReader(content.splitlines()):
        months.setdefault(line["date"][:7].replace("/", "-") + "-01", []).append(float(line["temp_max"]))
    assert at(result, "kpis", "time", "bucket") == "month"
    points = records(result, "kpis", "time", "trends", "temp_max", "points")
    assert {point["at"]: point["value"] for point in points} == {
        month: CLOSE(statistics.fmean(values), rel=1e-5) for month, values in months.items()
    }


def test_segments_agree_with_their_definition(tmp_path: Path) -> None:
    rows = [row for row in orders() if row[4] != ""]
    result = analysed(tmp_path, as_csv(rows))
    segment = next(each for each in records(result, "kpis", "segments") if each["measure"] == "revenue")
    values = [float(str(row[3])) for row in rows[1:]]
    mean = statistics.fmean(values)
    groups = {str(row[1]): [float(str(each[3])) for each in rows[1:] if each[1] == row[1]] for row in rows[1:]}
    between = sum(len(group) * (statistics.fmean(group) - mean) ** 2 for group in groups.values())
    assert segment["explained"] == CLOSE(between / sum((value - mean) ** 2 for value in values), rel=1e-4)
    best = records(segment, "groups")[0]
    assert (best["value"], best["share_of_sum"]) == ("West", CLOSE(sum(groups["West"]) / sum(values), rel=1e-4))


def test_the_score_is_the_stated_formula(tmp_path: Path) -> None:
    result = analysed(tmp_path, "a,b,c\n1,x,\n1,x,\n2,,\n3,y\n4,x,\n")
    score = 100.0
    for part in names(result, "quality", "parts"):
        score *= number(result, "quality", "parts", part)
        assert part in str(at(result, "quality", "formula"))
    assert number(result, "quality", "score") == CLOSE(score, abs=0.05)
    assert at(result, "quality", "duplicate_rows", "count") == 1
    assert number(result, "quality", "parts", "shape") == CLOSE(0.8)
