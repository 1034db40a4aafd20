"""Parquet files, whose columns have kinds of their own."""

from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from tests.unit.jobs.analysis.cases import analysed, at, columns_of, raw_of
from tidegate.jobs.analysis import Limits, NotData, Reason
from tidegate.jobs.analysis.columns.parsed import Kind

FRAME = pl.DataFrame(
    {
        "number": [1, 2, 3, None],
        "ratio": [0.5, float("nan"), float("inf"), 2.5],
        "whole": [1.0, 2.0, None, 4.0],
        "day": [date(2024, 1, day) for day in range(1, 5)],
        "instant": [datetime(2024, 1, day, 12, tzinfo=UTC) for day in range(1, 5)],
        "ok": [True, False, None, True],
        "word": ["a", "b", "a", "a"],
        "group": pl.Series(["x", "y", "x", "y"], dtype=pl.Categorical),
        "wait": [timedelta(seconds=seconds) for seconds in (1, 2, 3, 4.5)],
        "place": [{"city": "Rome", "zip": "00100"}] * 4,
        "tags": [["a", "b"], ["c"], None, []],
        "large": pl.Series([2**63, 2**63 + 1, 5, 6], dtype=pl.UInt64),
        "text": ["1,50", "2,50", "3,25", "4,75"],
    }
)


def parquet(frame: pl.DataFrame) -> bytes:
    """The frame as a file."""
    content = BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def test_columns_keep_their_kinds(tmp_path: Path) -> None:
    columns = columns_of(tmp_path, parquet(FRAME), "data.bin")
    kinds = {name: column.kind for name, column in columns.items()}
    assert kinds == {
        "number": Kind.INTEGER,
        "ratio": Kind.NUMBER,
        "whole": Kind.INTEGER,
        "day": Kind.DATE,
        "instant": Kind.DATETIME,
        "ok": Kind.BOOLEAN,
        "word": Kind.CATEGORY,
        "group": Kind.CATEGORY,
        "wait": Kind.NUMBER,
        "place.city": Kind.CATEGORY,
        "place.zip": Kind.IDENTIFIER,
        "tags": Kind.TEXT,
        "large": Kind.NUMBER,
        "text": Kind.NUMBER,
    }


def test_values_survive(tmp_path: Path) -> None:
    columns = columns_of(tmp_path, parquet(FRAME), "data.bin")
    assert columns["ratio"].values.to_list() == [0.5, None, None, 2.5]
    assert columns["wait"].values.to_list() == [1, 2, 3, 4.5]
    assert columns["instant"].values[0] == datetime(2024, 1, 1, 12)
    assert columns["tags"].values.to_list() == ['["a","b"]', '["c"]', None, "[]"]
    assert columns["text"].values.to_list() == [1.5, 2.5, 3.25, 4.75]


def test_nested_columns_are_reported(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, parquet(FRAME), "data.parquet")
    assert raw.notes == (
        "Nested objects were opened one level: place.",
        "Lists and deeper objects were kept as text: tags.",
    )


def test_parquet_is_analysed_to_the_end(tmp_path: Path) -> None:
    result = analysed(tmp_path, parquet(pl.concat([FRAME] * 10)), "data.parquet")
    assert at(result, "source", "format") == "parquet"
    assert at(result, "kpis", "numeric", "number", "sum") == 60


def test_rows_over_the_limit_are_left_out(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, parquet(FRAME), "data.parquet", Limits(rows=3))
    assert (raw.frame.height, raw.left_out[0].part) == (3, "rows after the first 3")


def test_half_a_file_is_refused_as_broken(tmp_path: Path) -> None:
    with pytest.raises(NotData) as caught:
        raw_of(tmp_path, parquet(FRAME)[:500], "data.parquet")
    assert caught.value.reason is Reason.BROKEN
