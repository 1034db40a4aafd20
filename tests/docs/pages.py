"""The Markdown pages, and the fenced blocks in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"

_FENCE: Final = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"# (?P<name>\w+\.py)\n")
_FIRST_CELL: Final = re.compile(r"^\| (`[^|]*) \|", re.MULTILINE)
_WORD: Final = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: its language, its text, and the line it begins in."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file it stands for: that of a first line like `# greet.py`."""
        found = _FILE.match(self.text)
        return found["name"] if found else None


def pages() -> list[Path]:
    """README and every page below docs/."""
    return [README, *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """A page as tests call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(language=found["language"], text=found["text"], line=text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def section(page: Path, heading: str) -> str:
    """The text below a heading (given with its `#`s), up to the next of its level or above."""
    text = page.read_text("utf-8")
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = f"\n{text}".partition(f"\n{heading}\n")
    assert found, f"{name_of(page)} has no heading {heading!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def listed(page: Path, heading: str) -> Sequence[str]:
    """The words in code font in the first cells of the tables below a heading."""
    return [word for cell in _FIRST_CELL.findall(section(page, heading)) for word in _WORD.findall(cell)]


def same(shown: str, printed: str) -> bool:
    """Whether a document shows what was printed; `…` stands for anything, and blanks are all alike."""
    parts = [re.escape(" ".join(part.split())) for part in shown.split("…")]
    return re.fullmatch(r"\s*" + r".*".join(parts) + r"\s*", " ".join(printed.split()), re.DOTALL) is not None
