"""What the pages about queues and breakers state, and a machine can check, is so: numbers, words, routes, rows."""

import ast
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest

from tests.docs import health_claims, health_words, tables
from tests.docs.health_words import ROUTE, STATUS, Api
from tests.docs.pages import DOCS, ROOT, blocks, listed, name_of, section
from tidegate.core.job import Status
from tidegate.core.states import Override, State

QUEUE: Final = DOCS / "queue-spec.md"
BREAKER: Final = DOCS / "circuit-breaker.md"
SHOWN: Final = ROOT / "tests" / "http" / "test_requirements.py"

on_both = pytest.mark.parametrize("page", [QUEUE, BREAKER], ids=name_of)

EXAMPLES: Final = {"NAME", "openrouter", "webhook.<id>"}
"""Names that are made up."""

_ROW: Final = re.compile(r"^\| (?P<row>[A-E\d, –]+) \| (?P<told>.+) \| `(?P<test>test_\w+)` \|$", re.MULTILINE)
_NAMED: Final = re.compile(r"test_((?:(?:and_)?[a-e]\d+_)*)")


@pytest.fixture(scope="module")
def api() -> Api:
    """What the OpenAPI document says."""
    return Api()


@pytest.mark.parametrize(
    ("page", "claims"), [(QUEUE, health_claims.queue), (BREAKER, health_claims.breaker)], ids=["queue", "breaker"]
)
def test_every_number_that_a_page_states_is_the_code_s(page: Path, claims: Callable[[], Iterator[str]]) -> None:
    text = health_claims.plain(page.read_text("utf-8"))
    assert [claim for claim in claims() if claim not in text] == []
    assert health_claims.numbers(_without(page.read_text("utf-8"), list(claims()))) == [], "who compares these?"


def _without(text: str, claims: list[str]) -> str:
    """A text without these claims, which may share words."""
    letters = list(text)
    for claim in claims:
        for found in re.finditer(r"\s+".join(map(re.escape, claim.split())), text):
            letters[found.start() : found.end()] = " " * (found.end() - found.start())
    return "".join(letters)


@on_both
def test_every_word_in_code_font_is_one_of_the_code_s_or_of_the_api_s(page: Path, api: Api) -> None:
    words = health_words.spans(page.read_text("utf-8")) - health_words.known() - api.names - EXAMPLES
    tests = {found["test"] for found in _ROW.finditer(page.read_text("utf-8"))}
    checks = (api.places, health_words.is_call, health_words.is_command, health_words.is_said, health_words.is_given)
    assert [word for word in sorted(words - tests) if not any(check(word) for check in checks)] == []


@on_both
def test_every_route_exists(page: Path, api: Api) -> None:
    text = health_claims.plain(health_words.prose(page.read_text("utf-8")))
    named = [(found["method"], found["path"]) for found in ROUTE.finditer(text)]
    assert named
    assert [route for route in named if not api.statuses(*route)] == []


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        (QUEUE, "## Limits"),
        (QUEUE, "## What the API shows"),
        (BREAKER, "## What HTTP says"),
        (BREAKER, "## What the API shows"),
    ],
)
def test_every_status_is_one_that_the_routes_of_its_line_answer_with_or_else_a_submit(
    page: Path, heading: str, api: Api
) -> None:
    wrong, named = [], 0
    for line in re.split(r"\n(?:\n+|(?=\|))", health_words.prose(section(page, heading))):
        routes = [api.statuses(found["method"], found["path"]) for found in ROUTE.finditer(line)]
        statuses = set(STATUS.findall(line))
        named += len(statuses)
        if not statuses <= frozenset[str]().union(*routes or [api.statuses("POST", "/jobs")]):
            wrong.append(line)
    assert wrong == []
    assert named


@pytest.mark.parametrize(("heading", "words"), [("## States", State), ("## An operator's word", Override)])
def test_every_state_and_every_word_of_an_operator_has_its_row(heading: str, words: type[StrEnum]) -> None:
    assert set(listed(BREAKER, heading)) - {"Retry-After", "reset"} == tables.words(words)


def test_the_diagrams_know_the_states_that_there_are() -> None:
    for page, words in ((QUEUE, Status), (BREAKER, State)):
        [drawn] = [block.text for block in blocks(page) if block.language == "mermaid"]
        named = set(re.findall(r"\w+(?= -->)|(?<=--> )\w+", drawn))
        assert named == tables.words(words)


def test_each_test_of_the_requirements_is_a_row_of_one_of_the_pages_and_the_row_is_that_of_its_name() -> None:
    rows = [found for page in (QUEUE, BREAKER) for found in _ROW.finditer(page.read_text("utf-8"))]
    tests = [
        node.name
        for node in ast.parse(SHOWN.read_text("utf-8")).body
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert sorted(found["test"] for found in rows) == sorted(tests)
    assert [found["row"] for found in rows] == [_row_of(found["test"]) for found in rows]


def _row_of(test: str) -> str:
    named = _NAMED.match(test)
    words = re.findall(r"[a-e]\d+", named[1]) if named else []
    return ", ".join(words).upper() or "–"
