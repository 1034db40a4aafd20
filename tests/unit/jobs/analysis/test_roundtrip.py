"""Whatever table is written as delimited text is read back in its shape."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.jobs.analysis.cases import as_csv, stage
from tidegate.jobs.analysis import Limits
from tidegate.jobs.analysis.reading.delimited import read_delimited
from tidegate.jobs.analysis.reading.raw import Raw

Cells = list[list[str]]
DELIMITERS = st.sampled_from([",", ";", "\t", "|"])
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('\n",;\t|'), max_size=12)
CALM_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=",;|"), max_size=12)
NUMBERS = st.integers(-(10**9), 10**9).map(str) | st.decimals(-1000, 1000, places=2).map(str)


@st.composite
def tables(draw: st.DrawFn, cells: st.SearchStrategy[str]) -> Cells:
    """A header, and one to twelve rows with a number in the first cell and any text in the others."""
    width = draw(st.integers(2, 6))
    row = st.tuples(NUMBERS, *[cells] * (width - 1)).map(list)
    return [[f"name {index}" for index in range(width)], *draw(st.lists(row, min_size=1, max_size=12))]


def read_back(base: Path, text: str) -> Raw:
    """The table in a file with this text."""
    path = base / f"table-{os.getpid()}.csv"
    path.write_bytes(text.encode())
    return read_delimited(path, Limits(), stage())


@given(table=tables(ANY_TEXT), delimiter=DELIMITERS)
def test_any_quoted_text_is_read_back(tmp_path_factory: pytest.TempPathFactory, table: Cells, delimiter: str) -> None:
    raw = read_back(tmp_path_factory.getbasetemp(), as_csv(table, delimiter=delimiter, quoting=True))
    assert [list(raw.headings), *map(list, raw.frame.rows())] == table
    assert (raw.ragged.short, raw.ragged.long) == (0, 0)


@given(table=tables(CALM_TEXT), delimiter=DELIMITERS)
def test_text_quoted_where_needed_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: Cells, delimiter: str
) -> None:
    raw = read_back(tmp_path_factory.getbasetemp(), as_csv(table, delimiter=delimiter))
    assert [list(raw.headings), *map(list, raw.frame.rows())] == table
