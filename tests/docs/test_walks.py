"""Whoever follows the README or the tutorial sees what they show."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, README, same
from tests.docs.walk import Step, walked

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def _told(steps: list[Step]) -> int:
    """How many outcomes are shown; each must be what was printed."""
    shown = [step for step in steps if step.shown is not None]
    for step in shown:
        assert step.shown is not None
        assert same(step.shown, step.printed), f"line {step.block.line}: shown\n{step.shown}\nprinted\n{step.printed}"
    return len(shown)


def test_the_readme_s_commands_upload_create_poll_and_show_insights(tmp_path: Path) -> None:
    with walked(README, tmp_path) as steps:
        assert _told(steps) >= 4
        printed = "".join(step.printed for step in steps)
    assert all(word in printed for word in ("upload:", "succeeded", "temp_max", "rise and fall together"))


def test_the_tutorial_s_commands_show_what_it_says(tmp_path: Path) -> None:
    with walked(DOCS / "tutorial" / "first-job.md", tmp_path, "examples.greet:app") as steps:
        assert _told(steps) == 5
