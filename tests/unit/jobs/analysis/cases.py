"""Files written on the spot, and short ways to run and to read an analysis."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from tidegate.jobs.analysis import Limits, analyse
from tidegate.jobs.analysis.columns.build import build_table
from tidegate.jobs.analysis.columns.table import Column, Table
from tidegate.jobs.analysis.contract import Stage
from tidegate.jobs.analysis.insights.evidence import resolve
from tidegate.jobs.analysis.reading.raw import Raw
from tidegate.jobs.analysis.reading.read import read
from tidegate.jobs.analysis.run import examine

Result = dict[str, object]
EXAMPLES = Path(__file__).parents[4] / "examples" / "data"


def silent(_fraction: float, _message: str) -> None:
    """Progress that nobody listens to."""


def stage() -> Stage:
    """A stage that nobody listens to."""
    return Stage(silent, 0.0, 1.0)


def written(folder: Path, content: bytes | str, name: str = "data.csv") -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def raw_of(folder: Path, content: bytes | str, name: str = "data.csv", limits: Limits | None = None) -> Raw:
    """The raw table in a file with this content."""
    return read(written(folder, content, name), name, limits or Limits(), stage())


def table_of(folder: Path, content: bytes | str, name: str = "data.csv") -> Table:
    """The typed table in a file with this content."""
    return build_table(raw_of(folder, content, name), stage())


def columns_of(folder: Path, content: bytes | str, name: str = "data.csv") -> dict[str, Column]:
    """The typed columns in a file with this content, by name."""
    return {column.name: column for column in table_of(folder, content, name).columns}


def analysed(folder: Path, content: bytes | str, name: str = "data.csv") -> Result:
    """The result of analysing a file with this content, without charts."""
    return examine(written(folder, content, name), name=name, progress=silent, limits=Limits()).document


def drawn(folder: Path, content: bytes | str, name: str = "data.csv") -> Result:
    """The result of analysing a file with this content; its files are in `folder / "out"`."""
    output = folder / "out"
    output.mkdir()
    return analyse(written(folder, content, name), name=name, output=output, progress=silent).result


def at(result: Result, *path: str | int) -> object:
    """The value at a place of the result."""
    return resolve(result, path)


def number(result: Result, *path: str | int) -> float:
    """The number at a place of the result."""
    value = resolve(result, path)
    assert isinstance(value, int | float)
    return value


def names(result: Result, *path: str | int) -> list[str]:
    """The keys of the object at a place of the result."""
    value = resolve(result, path)
    assert isinstance(value, dict)
    return list(value)


def records(result: Result, *path: str | int) -> list[Result]:
    """The objects in the array at a place of the result."""
    value = resolve(result, path)
    assert isinstance(value, list)
    return value


def insight_ids(result: Result) -> list[str]:
    """The ids of the result's insights, in their order."""
    return [str(each["id"]) for each in records(result, "insights")]


def as_csv(rows: Iterable[Sequence[object]], *, delimiter: str = ",", quoting: bool = False) -> str:
    """Rows as CSV text; `quoting` quotes every cell."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL if quoting else csv.QUOTE_MINIMAL).writerows(rows)
    return text.getvalue()
