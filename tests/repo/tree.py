"""The files of the repository, found without git: a release archive is checked like a clone."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def ignored_names() -> list[str]:
    """The patterns of .gitignore; each is one name, which the next test relies on."""
    lines = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    return [line.strip("/") for line in lines if line and not line.startswith("#")]


def files() -> Iterator[Path]:
    """Every file that belongs to the repository, in no order."""
    patterns = [*ignored_names(), ".git"]
    folders = [ROOT]
    while folders:
        for path in folders.pop().iterdir():
            if any(fnmatch(path.name, pattern) for pattern in patterns):
                continue
            if path.is_dir():
                folders.append(path)
            else:
                yield path


def texts() -> Iterator[tuple[str, str]]:
    """(path from the root, content) of every file that is UTF-8 text."""
    for path in files():
        content = path.read_bytes()
        if b"\0" in content[:8_192]:
            continue
        try:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")
        except UnicodeDecodeError:  # a sample in another encoding
            continue
