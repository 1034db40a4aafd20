"""The page about outages shows the provider as it is."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Block, blocks, listed, same, section
from tests.servers.provider import provider
from tidegate.provider.reading import read
from tidegate.provider.timeline import Does, Phase

PAGE = DOCS / "how-to" / "watch-an-outage.md"
HEADINGS = ("## Start the provider", "## Call it by hand", "## Write a timeline", "## Read the log")
START = "tidegate provider --timeline o1 --scale 10 --log outage.jsonl\n"


def _blocks(folder: Path) -> list[Block]:
    """The blocks of the sections that are about the provider alone."""
    text = "\n".join(section(PAGE, heading) for heading in HEADINGS)
    part = folder / "part.md"
    part.write_text(text, "utf-8")
    return blocks(part)


@pytest.mark.e2e
def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    found = _blocks(tmp_path)
    shells = [(one, after) for one, after in zip(found, [*found[1:], None], strict=True) if one.language == "sh"]
    assert shells.pop(0)[0].text == START
    told = 0
    with provider("o1", scale=10, log=tmp_path / "outage.jsonl") as fake:
        for block, after in shells:
            printed = _run(block.text.replace("http://127.0.0.1:8090", fake.url))
            if after is not None and after.language in ("text", "json"):
                told += 1
                assert same(_tight(after.text), _tight(printed)), f"shown\n{after.text}\nprinted\n{printed}"
    assert (told, len(shells)) == (4, 5)


def _tight(text: str) -> str:
    """JSON may be shown with more blanks than it was sent with."""
    return re.sub(r"\s*([{}\[\]:,])\s*", r"\1", text)


def _run(script: str) -> str:
    ended = subprocess.run(
        ["bash", "-c", f"set -eu\n{script}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_timeline_is_one(tmp_path: Path) -> None:
    (shown,) = [block.text for block in _blocks(tmp_path) if block.language == "yaml"]
    phases = read(shown, "page").tenants["a"].phases
    assert [phase.does for phase in phases][1:3] == [Does.RATE_LIMIT, Does.SERVER_ERROR]


def test_every_misbehaviour_and_every_field_is_listed() -> None:
    assert sorted(listed(PAGE, "## Choose a misbehaviour")) == sorted(Does)
    fields = {field.alias or name for name, field in Phase.model_fields.items()}
    assert set(listed(PAGE, "## Write a timeline")) == fields
