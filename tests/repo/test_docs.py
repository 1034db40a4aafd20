"""What the documents promise."""

import re
from pathlib import Path

from tests.repo.tree import ROOT, files

LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+\s+(.*?)\s*#*$", re.MULTILINE)


def _anchors(markdown: str) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    titles = HEADING.findall(FENCE.sub("", markdown))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _leads_somewhere(link: str, document: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    if not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in _anchors(target.read_text("utf-8"))


def _broken(document: Path) -> list[str]:
    """The relative links of a Markdown document that lead nowhere."""
    links = LINK.findall(FENCE.sub("", document.read_text("utf-8")))
    return [link for link in links if not re.match(r"[a-z]+:", link) and not _leads_somewhere(link, document)]


def test_every_relative_link_leads_somewhere() -> None:
    documents = [path for path in files() if path.suffix == ".md"]
    assert documents
    broken = {path.relative_to(ROOT).as_posix(): links for path in documents if (links := _broken(path))}
    assert broken == {}


def test_a_planted_broken_link_is_found(tmp_path: Path) -> None:
    document = tmp_path / "planted.md"
    document.write_text("# A title\n[gone](nowhere.md) [here](#a-title) [lost](#no-title) [out](https://a.example/x)")
    assert _broken(document) == ["nowhere.md", "#no-title"]


def test_links_in_code_are_no_links(tmp_path: Path) -> None:
    document = tmp_path / "planted.md"
    document.write_text("```\n[gone](nowhere.md)\n```\n")
    assert _broken(document) == []
