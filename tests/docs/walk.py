"""The shell blocks of a page, run one after the other against a served instance, as a reader would."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.pages import ROOT, Block, blocks, name_of
from tests.e2e.process import Served

SERVERS: Final = ("make run", ".venv/bin/python -m tidegate serve")
ADDRESS: Final = "http://127.0.0.1:8080"
WALK_SECONDS: Final = 120
_MARK: Final = "@@ block %d @@"


@dataclass(frozen=True, slots=True)
class Step:
    """A shell block, what it printed, and what the page shows of that."""

    block: Block
    printed: str
    shown: str | None


@contextmanager
def walked(page: Path, folder: Path, app: str = "") -> Iterator[list[Step]]:
    """Run a page's shell blocks, but for those that start the server, which is `app`, running already."""
    server = Served(folder, {"TIDEGATE_APP": app})
    for name in ("examples", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    try:
        url = server.start()
        yield list(_steps(page, folder, server, url))
    finally:
        server.close()


def _steps(page: Path, folder: Path, server: Served, url: str) -> Iterator[Step]:
    found = blocks(page)
    shells = [(block, after) for block, after in zip(found, [*found[1:], None], strict=True) if _is_step(block)]
    assert shells, f"{name_of(page)} has no steps"
    printed = _run([block for block, _ in shells], folder, server, url)
    for (block, after), text in zip(shells, printed, strict=True):
        shown = after.text if after is not None and after.language in ("text", "json") else None
        yield Step(block, text, shown)


def _is_step(block: Block) -> bool:
    return block.language == "sh" and not block.text.startswith(SERVERS)


def _run(shells: list[Block], folder: Path, server: Served, url: str) -> list[str]:
    """What each block prints: they share one shell, and any failing command ends it."""
    marked = [f"echo '{_MARK % number}'\n{block.text}" for number, block in enumerate(shells)]
    script = "set -eu -o pipefail\n" + "\n".join(marked)
    ended = subprocess.run(
        ["bash", "-c", script.replace(ADDRESS, url)],
        env={**os.environ, **server.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WALK_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}\n{server.log.read_text()[-2000:]}"
    return _parts(ended.stdout, len(shells))


def _parts(printed: str, count: int) -> list[str]:
    parts: list[str] = []
    for number in range(count):
        _, _, printed = printed.partition(_MARK % number)
        parts.append(printed.partition(_MARK % (number + 1))[0])
    return parts
