"""The fuzzer of the HTTP API: what it leaves out is named as it is, what it adds is right, and a short run is clean."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegate.app import Tidegate
from tidegate.http.app import create_app
from tools import fuzz_http
from tools.fuzz_checks import wrongly_taken

CONFIG = tomllib.loads((Path(fuzz_http.__file__).with_name("fuzz.toml")).read_text("utf-8"))
DOCUMENT = create_app(Tidegate()).openapi()


def _names() -> Iterator[str]:
    for exception in CONFIG["operations"]:
        named = exception.get("include-name", [])
        yield from [named] if isinstance(named, str) else named


def _settings(value: Any, path: str = "") -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _settings(inner, f"{path}.{key}")
        case list():
            for inner in value:
                yield from _settings(inner, path)
        case _:
            yield path, value


def test_every_exception_is_made_for_an_operation_that_exists() -> None:
    known = {f"{verb.upper()} {path}" for path, operations in DOCUMENT["paths"].items() for verb in operations}
    assert set(_names()) <= known
    assert set(_names())


def test_no_check_is_switched_off_and_no_operation_is_left_out() -> None:
    assert [path for path, _ in _settings(CONFIG) if path.endswith("enabled") or "exclude" in path] == []


def test_a_wrong_job_that_a_batch_took_is_found_and_a_refused_one_is_none() -> None:
    sent = [{"type": "echo"}, {"type": 3}, {"typ": "echo"}, {"type": "echo", "priority": 99}]
    told: list[dict[str, object]] = [{"index": 0}, {"index": 1}, {"index": 2, "problem": {}}, {"index": 3}]
    assert wrongly_taken(DOCUMENT, sent, told) == [1, 3]


@pytest.mark.slow
@pytest.mark.e2e
def test_a_short_run_finds_nothing() -> None:
    short = ["--requests", "1", "--phases", "examples,coverage", "--path", "^/jobs(/bulk)?$"]
    assert fuzz_http.main(short) == 0
