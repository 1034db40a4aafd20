"""One whole run: its promises to the caller, whatever the data."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import EXAMPLES, at, drawn, records, silent, written
from tidegate.jobs.analysis import Analysis, Limits, analyse

WEATHER = EXAMPLES / "seattle-weather.csv"
LIBRARIES = ("polars", "matplotlib", "fastexcel", "charset_normalizer", "numpy")


class Cancelled(Exception):
    """What a caller raises to end a run."""


def analysed(output: Path, source: Path = WEATHER) -> Analysis:
    """An analysis into a fresh directory."""
    output.mkdir()
    return analyse(source, name=source.name, output=output, progress=silent)


def test_the_written_result_is_the_returned_one(tmp_path: Path) -> None:
    made = analysed(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "result.json").read_text("utf-8")) == made.result
    assert list(made.charts) == [each["file"] for each in records(made.result, "charts")]
    assert all((tmp_path / "out" / chart).is_file() for chart in made.charts)


@pytest.mark.slow
def test_another_process_makes_the_same_files_of_the_same_bytes(tmp_path: Path) -> None:
    analysed(tmp_path / "first")
    code = (
        "import sys, pathlib; from tidegate.jobs.analysis import analyse;"
        "analyse(pathlib.Path(sys.argv[1]), name='seattle-weather.csv', output=pathlib.Path(sys.argv[2]),"
        " progress=lambda *_: None)"
    )
    (tmp_path / "second").mkdir()
    command = [sys.executable, "-c", code, str(WEATHER), str(tmp_path / "second")]
    environment = {"POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "7", "PATH": ""}
    subprocess.run(command, check=True, timeout=120, env=environment)
    first = {path.name: path.read_bytes() for path in (tmp_path / "first").rglob("*.*")}
    second = {path.name: path.read_bytes() for path in (tmp_path / "second").rglob("*.*")}
    assert first == second


def test_progress_rises_from_start_to_end(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    analyse(WEATHER, name="w.csv", output=tmp_path, progress=lambda fraction, text: told.append((fraction, text)))
    assert len(told) > 20
    assert all(before <= after for (before, _), (after, _) in pairwise(told))
    assert (told[-1], all(text for _, text in told)) == ((1.0, "Done"), True)
    assert max(after - before for (before, _), (after, _) in pairwise(told)) <= 0.4


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.9])
def test_what_progress_raises_ends_the_run(tmp_path: Path, fraction: float) -> None:
    def stop(done: float, _message: str) -> None:
        if done >= fraction:
            raise Cancelled

    with pytest.raises(Cancelled):
        analyse(WEATHER, name="w.csv", output=tmp_path, progress=stop)


def test_importing_the_package_loads_no_library() -> None:
    code = f"import sys, tidegate.jobs.analysis; print([name for name in {LIBRARIES} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"


def test_all_floats_are_finite_and_short(tmp_path: Path) -> None:
    drawn(tmp_path, "a,b\n" + "".join(f"{10 ** (row * 6)},{row / 7}\n" for row in range(50)))
    text = (tmp_path / "out" / "result.json").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert "0.142857" in text
    assert "0.1428571" not in text


def test_what_was_cut_is_listed(tmp_path: Path) -> None:
    source = written(tmp_path, "a,b,c\n" + "1,2,3\n4,5,6\n" * 30)
    output = tmp_path / "out"
    output.mkdir()
    limits = Limits(rows=20, columns=2)
    result = analyse(source, name="d.csv", output=output, progress=silent, limits=limits).result
    parts = [each["part"] for each in records(result, "left_out")]
    assert parts == ["rows after the first 20", "columns after the first 2 of 3"]
    assert (at(result, "kpis", "rows"), at(result, "source", "columns")) == (20, 2)


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n2\n",
        "a,b\n1,2\n",
        "d\n2024-01-01\n2024-01-01\n",
        "d,x\n2024-01-01,1\n,2\n9999-12-31,3\n0001-01-01,4\n",
        "a,b\n1,\n,2\n",
        "flag,other\nyes,no\nno,yes\n",
        "a,b\n" + "1,x\n" * 40,
        "when,v\n" + "".join(f"2024-01-01 00:00:{second:02},{second}\n" for second in range(60)),
        "d,v\n" + "".join(f"{year}-01-01,{year % 7}\n" for year in range(1800, 2000)),
        ",".join(f"c{index}" for index in range(300)) + "\n" + (",".join("1" * 300) + "\n") * 3,
    ],
)
def test_odd_little_tables_are_analysed(tmp_path: Path, text: str) -> None:
    assert at(drawn(tmp_path, text), "version") == 1
