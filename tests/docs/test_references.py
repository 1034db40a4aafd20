"""What the reference pages list is what the code has, no more and no less."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import generated, http_tables, tables
from tests.docs.pages import DOCS, README, blocks, listed, name_of, pages, section
from tidegate.app import Tidegate
from tidegate.cli import commands
from tidegate.core import failure
from tidegate.core.job import Phase, Status
from tidegate.core.lifecycle import LEGAL
from tidegate.handlers import JobOptions
from tidegate.http.schemas.jobs import JobItem, JobStatus, JobWhole
from tidegate.requests import JobRequest
from tidegate.upstreams import UpstreamOptions

REFERENCE = DOCS / "reference"
JOBS = REFERENCE / "jobs.md"


def _codes() -> set[str]:
    """Every code that the core gives to a failure."""
    return {value for name, value in vars(failure).items() if name.isupper() and isinstance(value, str)}


@pytest.mark.parametrize("page", [page for page in pages() if generated.names(page.read_text("utf-8"))], ids=name_of)
def test_the_generated_parts_are_as_the_code_has_them(page: Path) -> None:
    text = page.read_text("utf-8")
    assert generated.renewed(text) == text, "out of step: run python -m tests.docs.generated"


def test_every_generated_part_has_its_page() -> None:
    placed = [name for page in pages() for name in generated.names(page.read_text("utf-8"))]
    assert sorted(placed) == sorted(generated.PARTS)


def test_every_variable_that_the_package_names_is_documented() -> None:
    page = (REFERENCE / "settings.md").read_text("utf-8")
    named = {name for text in tables.sources() for name in re.findall(r"TIDEGATE_[A-Z0-9_]+", text)}
    assert {name for name in named | tables.setting_names() if f"`{name}`" not in page} == set()


def test_every_variable_that_a_page_names_exists() -> None:
    known = tables.setting_names() | {"TIDEGATE_URL", "TIDEGATE_USER", "TIDEGATE_API_KEY"}
    for page in pages():
        named = set(re.findall(r"TIDEGATE_[A-Z0-9_]+", page.read_text("utf-8")))
        assert named <= known, name_of(page)


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("## Statuses", lambda: tables.words(Status)),
        ("## Phases", lambda: tables.words(Phase)),
        ("## Error codes", _codes),
        ("## Counters", lambda: {"runs", "attempts", "crashes", "interruptions", "upstream_faults"}),
    ],
)
def test_jobs_lists_every_word(heading: str, words: Callable[[], set[str]]) -> None:
    shown = listed(JOBS, heading)
    assert sorted(shown) == sorted(words())


def test_jobs_lists_every_field_that_a_submitter_may_set() -> None:
    asked = set(JobRequest.__dataclass_fields__)
    ours = {"user_id", "request_id", "traceparent", "asked"}  # who asks, and what ties the job to the call
    assert set(listed(JOBS, "## What a submitter may set")) == asked - ours


@pytest.mark.parametrize(
    ("heading", "model"),
    [("### In the status", JobStatus), ("### In a list too", JobItem), ("### In the whole job too", JobWhole)],
)
def test_jobs_lists_every_field_where_it_is_shown(heading: str, model: type[JobStatus]) -> None:
    inherited = {name for base in model.__mro__[1:] for name in getattr(base, "model_fields", {})}
    assert set(listed(JOBS, heading)) == set(model.model_fields) - inherited


def test_the_library_page_lists_every_option_and_every_call_of_an_application() -> None:
    page = REFERENCE / "library.md"
    assert set(listed(page, "### Options of `app.job`")) == set(JobOptions.__annotations__)
    assert set(listed(page, "### Options of `app.upstream`")) == set(UpstreamOptions.__annotations__)
    shown = section(page, "## `Tidegate(settings=None)`")
    calls = {name for name in vars(Tidegate) if not name.startswith("_")} - {"configured", "system"}
    assert {name for name in calls if f"app.{name}" not in shown} == set()


def test_http_lists_every_filter() -> None:
    assert set(listed(REFERENCE / "http.md", "## List")) == http_tables.filters()


def test_the_tree_names_every_error() -> None:
    drawn = section(REFERENCE / "errors.md", "# Errors")
    assert {name for name in tables.error_names() if name not in drawn} == set()


def test_every_exit_code_of_the_command_line_is_listed() -> None:
    from tidegate import cli

    codes = {str(value) for name, value in vars(cli).items() if name.startswith("EXIT_")}
    assert set(listed(REFERENCE / "cli.md", "## Exit codes")) == codes | {"0"}


def test_the_diagram_names_every_legal_step_and_no_other() -> None:
    assert set(tables.VERBS) == {(one, other) for one in Status for other in LEGAL[one]}


def test_every_command_that_a_page_shows_exists() -> None:
    known = {" ".join(path) for path, _ in tables.leaves(commands.app, ("tidegate",))}
    shown = [
        line for page in pages() for block in blocks(page) if block.language == "sh" for line in _tidegate(block.text)
    ]
    assert shown
    assert [words for words in shown if not any(f"{words} ".startswith(f"{path} ") for path in known)] == []


def test_the_index_links_every_page() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    inner = [page.relative_to(DOCS).as_posix() for page in pages() if page not in (README, DOCS / "README.md")]
    linked = [path for path in inner if not path.startswith("decisions/0")]
    assert [path for path in linked if f"({path})" not in index] == []


def _tidegate(script: str) -> list[str]:
    """The commands of a script, from `tidegate` on."""
    return re.findall(r"(?<![\w/.])(?:\.venv/bin/|python -m |/opt/\S*/)?(tidegate (?!-)[a-z][^\n|]*)", script)
