"""A page's Python, run as a reader would: top to bottom, in one namespace and one folder."""

import ast
import asyncio
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType

import pytest

from tests.docs.pages import ROOT, Block, blocks, same

ON_MEMORY = {"TIDEGATE_ENGINE": "memory://", "TIDEGATE_ARTIFACTS": "memory://", "TIDEGATE_LOG_LEVEL": "error"}
PROGRAM_SECONDS = 30


class Program:
    """Runs pages in `folder`, on a store in memory. The folder has the examples, and an empty one named `out`.

    A block that begins with `# name.py` is that file, and imported under its name. One with a main program is
    run as a script, and what it prints must be what the next block, a `text`, shows.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patch = patch
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "out").mkdir()
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        for name, value in (ON_MEMORY | {"TIDEGATE_DATA_DIR": str(folder)}).items():
            patch.setenv(name, value)

    def run(self, page: Path, replace: Mapping[str, str] | None = None) -> dict[str, object]:
        """What the page's blocks have defined. `replace` puts this machine's values for a reader's."""
        namespace: dict[str, object] = {"__name__": "page"}
        found = blocks(page)
        with asyncio.Runner() as runner:
            for block, after in zip(found, [*found[1:], None], strict=True):
                if block.language == "python":
                    self._run(block, after, page, replace or {}, (namespace, runner))
        return namespace

    def _run(
        self,
        block: Block,
        after: Block | None,
        page: Path,
        replace: Mapping[str, str],
        place: tuple[dict[str, object], asyncio.Runner],
    ) -> None:
        text = block.text
        for readers, ours in replace.items():
            text = text.replace(readers, ours)
        if "__main__" in text:
            self._script(text, after)
            return
        if block.file is not None:
            self._module(block.file, text)
            return
        namespace, runner = place
        evaluated = eval(_compiled(text, f"{page.name}:{block.line}"), namespace)
        if inspect.iscoroutine(evaluated):
            runner.run(evaluated)

    def _module(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text, "utf-8")
        importlib.invalidate_caches()
        module = name.removesuffix(".py")
        self._patch.delitem(sys.modules, module, raising=False)
        importlib.import_module(module)

    def _script(self, text: str, after: Block | None) -> None:
        script = self._folder / "script.py"
        script.write_text(text, "utf-8")
        printed = run_program(script)
        assert after is not None
        assert after.language == "text", "a program prints, and the page does not show what"
        assert same(after.text, printed), f"shown\n{after.text}\nprinted\n{printed}"


def run_program(script: Path) -> str:
    """What a script prints; it must end well."""
    ended = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_SECONDS,
        env=os.environ,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _compiled(text: str, where: str) -> CodeType:
    code = compile(text, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)
    return code
