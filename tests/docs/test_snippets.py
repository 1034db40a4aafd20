"""Every Python snippet of every page runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.artifacts import servers
from tests.artifacts.servers import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server
from tests.docs.pages import DOCS, README, blocks, name_of, pages
from tests.docs.program import Program

CLIENT_PAGE = DOCS / "how-to" / "call-the-api-from-python.md"
S3_PAGE = DOCS / "how-to" / "store-artifacts-in-s3.md"
POSTGRES_PAGE = DOCS / "how-to" / "run-on-postgresql.md"
ELSEWHERE = (CLIENT_PAGE, S3_PAGE, POSTGRES_PAGE)
"""Pages that need a server: each is run where one is."""
WITH_PYTHON = [page for page in pages() if any(block.language == "python" for block in blocks(page))]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with servers.moto() as server:
        yield server


def test_there_are_pages_with_python() -> None:
    assert {README, S3_PAGE} < set(WITH_PYTHON)
    assert len(WITH_PYTHON) >= 8


@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page not in ELSEWHERE], ids=name_of)
def test_every_snippet_of_the_page_runs(page: Path, program: Program) -> None:
    assert program.run(page)


@pytest.mark.slow
def test_the_s3_snippet_opens_and_checks_a_bucket(program: Program, moto: S3Server) -> None:
    ours: Mapping[str, str] = {
        "s3://my-bucket/tidegate": f"s3://{BUCKET}/docs",
        'region="eu-central-1",': f'region="us-east-1", endpoint="{moto.url}",',
        'access_key="…"': f'access_key="{ACCESS_KEY}"',
        'secret_key="…"': f'secret_key="{SECRET_KEY}"',
    }
    assert "artifacts" in program.run(S3_PAGE, ours)


def test_a_planted_broken_snippet_fails(tmp_path: Path, program: Program) -> None:
    page = tmp_path / "planted.md"
    page.write_text("```python\nanswer = 42\n```\n\n```python\nassert answer == 41\n```\n")
    with pytest.raises(AssertionError):
        program.run(page)


def test_a_file_that_prints_something_else_than_shown_fails(tmp_path: Path, program: Program) -> None:
    page = tmp_path / "planted.md"
    main = '# planted_main.py\nif __name__ == "__main__":\n    print("two")\n'
    page.write_text(f"```python\n{main}```\n\n```text\none\n```\n")
    with pytest.raises(AssertionError):
        program.run(page)


def test_the_readme_and_the_tutorial_show_the_examples_as_they_are() -> None:
    examples = {"library.py": README, "greet.py": DOCS / "tutorial" / "first-job.md"}
    for name, page in examples.items():
        text = (README.parent / "examples" / name).read_text("utf-8")
        assert text in [block.text for block in blocks(page)]
