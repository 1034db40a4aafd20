"""Half a million rows: the same figures as if they were few."""

import csv
from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import at, number, records, silent
from tidegate.jobs.analysis import analyse

ROWS = 500_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of eight columns whose figures can be told in advance."""
    path = tmp_path_factory.mktemp("large") / "large.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream)
        out.writerow(["order_id", "ordered_at", "region", "note", "quantity", "price", "discount", "paid"])
        for row in range(ROWS):
            clock = f"{row // 3600 % 24:02}:{row // 60 % 60:02}:{row % 60:02}"
            day = f"2024-{1 + row // 45_000:02}-{1 + row // 1700 % 26:02}"
            price = f"${row % 5000 + 1000:,}.50" if row % 1000 else "on request"
            note = 'said "hi", left' if row % 10 == 0 else ""
            out.writerow([row, f"{day} {clock}", "NSEW"[row % 4], note, row % 20, price, f"{row % 30}%", row % 2 == 0])
    return path


@pytest.mark.slow
def test_half_a_million_rows_are_analysed_right(large: Path, tmp_path: Path) -> None:
    result = analyse(large, name="large.csv", output=tmp_path, progress=silent).result
    kinds = [each["kind"] for each in records(result, "schema")]
    assert kinds == ["identifier", "datetime", "category", "category", "integer", "number", "integer", "boolean"]
    assert at(result, "kpis", "rows") == ROWS
    assert at(result, "kpis", "numeric", "quantity", "sum") == sum(row % 20 for row in range(ROWS))
    prices = [row % 5000 + 1000.5 for row in range(ROWS) if row % 1000]
    assert number(result, "kpis", "numeric", "price", "mean") == pytest.approx(sum(prices) / len(prices), rel=1e-6)
    assert at(result, "quality", "mixed_columns", "price", "unparsed") == ROWS // 1000
    assert at(result, "quality", "missing", "note", "count") == ROWS * 9 // 10
    assert at(result, "kpis", "categorical", "region", "top", 0, "share") == 0.25
    assert at(result, "kpis", "correlations", "every") == 5
    assert at(result, "quality", "ragged_rows", "count") == 0
