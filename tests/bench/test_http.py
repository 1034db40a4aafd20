"""The bench of POST /jobs measures what it says it does, and fails where it can't."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.http.results import Results, Sample, show, write
from bench.http.subjects import BARE, SUBJECTS, Served, Stores, chosen, serving
from bench.http.wrk import SCRIPT, Broken, Shot, read

FIGURES = '{"requests":300,"microseconds":2000000,"p50":700,"p99":4200,"refused":0,"broken":0}'


def _shot(rate: int, *, refused: int = 0) -> Shot:
    return Shot(requests=rate, microseconds=1_000_000, p50=700, p99=4_200, refused=refused, broken=0)


def _body() -> bytes:
    """What the script sends."""
    [statement] = re.findall(r"wrk\.body = (.*?)\n\n", SCRIPT.read_text(), re.DOTALL)
    return "".join(re.findall(r"'([^']*)'", statement)).encode()


def _post(served: Served, body: bytes) -> tuple[int, int]:
    """The answer's status and length."""
    headers = {"Content-Type": "application/json", "X-User-ID": "ada"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{served.url}/jobs", body, headers), timeout=30) as answer:
            return answer.status, len(answer.read())
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, 0


def test_what_is_held_against_it_validates_the_same_and_answers_as_much() -> None:
    with ExitStack() as stack:
        stores = Stores(stack)
        bare, ours = (stack.enter_context(serving(subject, stores)) for subject in chosen("memory"))
        assert _post(bare, _body()) == _post(ours, _body())
        assert _post(ours, _body())[0] == 201
        assert {_post(one, b'{"type":"order","priority":"3"}') for one in (bare, ours)} == {(422, 0)}
        assert ours.stored() == 2


def test_the_script_s_last_line_is_what_is_read() -> None:
    shot = read(f"Running 2s test @ http://127.0.0.1:1/jobs\n  Latency  700us\n{FIGURES}\n")
    assert (shot.rate, shot.p99, shot.good) == (150.0, 4_200, True)


@pytest.mark.parametrize("said", ["", "unable to connect to 127.0.0.1:1", "{}"])
def test_a_load_without_figures_is_no_load(said: str) -> None:
    with pytest.raises(Broken, match="no figures"):
        read(said)


@pytest.mark.parametrize("lack", ["refused", "broken", "requests"])
def test_a_load_with_an_answer_missing_or_refused_is_not_good(lack: str) -> None:
    figures = json.loads(FIGURES) | {lack: 0 if lack == "requests" else 1}
    assert not read(json.dumps(figures)).good


def test_a_share_is_of_the_bare_route_s_rate_in_the_same_round(tmp_path: Path) -> None:
    pairs = [(600, 1_000), (300, 600), (700, 1_000)]
    results = Results(
        [
            Sample(subject="memory", connections=16, shot=_shot(own), bare=_shot(bare), busy=bare / 10)
            for own, bare in pairs
        ],
        ["memory, 16 connections: 1 of 9 refused, 0 without an answer"],
    )
    said = show(results)
    assert re.search(r"^memory +16 +600 \(300–700\) +60 \(50–70\) +100 +0\.70 +4\.2 \(4\.2\)$", said, re.MULTILINE)
    assert said.endswith("failed:\nmemory, 16 connections: 1 of 9 refused, 0 without an answer")
    write(tmp_path / "http.json", results, {"rounds": 3})
    [row] = json.loads((tmp_path / "http.json").read_text())["rows"]
    assert row["share"] == {"median": 60.0, "runs": [60.0, 50.0, 70.0]}


def test_the_bare_route_is_always_measured_and_first() -> None:
    assert [subject.name for subject in chosen("sqlite")] == [BARE, "sqlite"]
    assert [subject.name for subject in SUBJECTS if subject not in chosen("")] == ["thin", "memory"]
    with pytest.raises(ValueError, match="there is no 'mysql': choose from bare"):
        chosen("mysql")


def test_without_wrk_it_says_how_to_get_it(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bench.http", "--only", "memory", "--json", str(tmp_path / "none.json")]
    ended = subprocess.run(
        words, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "apt-get install wrk" in ended.stderr
    assert not (tmp_path / "none.json").exists()
