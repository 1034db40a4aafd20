"""The tests of the documents read them as a reader does."""

from pathlib import Path

import pytest

from tests.docs import generated
from tests.docs.pages import Block, blocks, listed, same, section


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("one\ntwo\n", "one\ntwo\n"),
        ("one two", "  one\n  two\n"),
        ('{"id": "…", "n": 1}', '{"id": "0190b2a4", "n": 1}'),
        ("first …\nlast", "first and\nmany\nlast"),
    ],
)
def test_what_was_printed_may_differ_in_blanks_and_where_dots_stand(shown: str, printed: str) -> None:
    assert same(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"), [("one", "two"), ("one", "one two"), ("1.5", "125"), ("", "anything"), ("a … c", "a b")]
)
def test_anything_else_is_another_outcome(shown: str, printed: str) -> None:
    assert not same(shown, printed)


def test_blocks_know_their_language_their_line_and_their_file(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\n# greet.py\nx = 1\n```\n\n```\nplain\n```\n")
    assert blocks(page) == [
        Block(language="python", text="# greet.py\nx = 1\n", line=3),
        Block(language="", text="plain\n", line=8),
    ]
    assert [block.file for block in blocks(page)] == ["greet.py", None]


def test_a_section_ends_at_the_next_heading_of_its_level_and_lists_what_its_rows_name(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n## One\n\n| `a`, `b` | x `y` |\n\n### In it\n\n| `c` |\n\n## Two\n\n| `d` |\n")
    assert "In it" in section(page, "## One")
    assert listed(page, "## One") == ["a", "b", "c"]


def test_a_part_that_is_out_of_step_is_written_anew_and_the_rest_is_kept() -> None:
    page = "before\n<!-- generated: errors -->\nold\n<!-- end -->\nafter\n"
    renewed = generated.renewed(page)
    assert renewed.startswith("before\n<!-- generated: errors -->\n\n```text\nTidegateError\n")
    assert renewed.endswith("<!-- end -->\nafter\n")
    assert generated.renewed(renewed) == renewed
