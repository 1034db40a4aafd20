"""Rules of the repository that no linter knows."""

import ast
import os
import re
import subprocess
import sys
from urllib.parse import urlsplit

from tests.repo.tree import ROOT, ignored_names, texts

LOOPBACK = {"", "localhost", "127.0.0.1", "::1"}
TARGETS = {"run", "test", "test-fast", "check", "lint", "types", "bench", "docs"}

# Put together from halves, so that this file does not name what it forbids.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot)/")
INDEX_OPTION = re.compile(
    "|".join(["--(extra-|default-)?index" + "(-url)?[ =]", "--find" + "-links", "py" + r"pi\.org"])
)
SILENCED = [
    "# type:" + " ignore",
    "# no" + "qa",
    "pragma:" + " no",
    r"pytest\.(mark\.)?(importor)?(skip|xf" + "ail)",
]
SUPPRESSION = re.compile("|".join(SILENCED))
LEFTOVER = re.compile(r"\b(TO" + "DO|FIX" + r"ME|TYPE_" + "CHECKING)\\b")
BANNED_CALL = re.compile(r"asyncio\.wait" + r"_for|^\s*(import|from) pick" + "le", re.MULTILINE)


def _lines_with(pattern: re.Pattern[str], *, suffix: str = "") -> list[str]:
    """Where a pattern occurs, as path:line. What it matched is not repeated: it may be private."""
    return [
        f"{path}:{content.count(chr(10), 0, found.start()) + 1}"
        for path, content in texts()
        if path.endswith(suffix)
        for found in pattern.finditer(content)
    ]


def _configured_indexes() -> set[str]:
    """Hosts and folders of the package indexes that this machine's pip and uv are configured with."""
    command = [f"{sys.base_prefix}/bin/python3", "-m", "pip", "config", "list"]
    pip = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # pip may be absent
    values = [line.partition("=")[2] for line in pip.stdout.splitlines() if re.search("index|links", line)]
    values += [value for name, value in os.environ.items() if re.match(r"(PIP|UV)_.*(INDEX|LINKS)", name)]
    urls = [urlsplit(word) for value in values for word in value.strip("'").split()]
    return {url.hostname or url.path.removesuffix("/simple") for url in urls} - LOOPBACK


def test_no_file_names_the_package_index_of_this_machine() -> None:
    for place in _configured_indexes():
        assert _lines_with(re.compile(re.escape(place) + r"\b")) == []


def test_no_file_names_any_package_index() -> None:
    assert _lines_with(INDEX_OPTION) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _lines_with(MACHINE_PATH) == []


def test_no_finding_of_a_tool_is_silenced_and_no_test_is_left_out() -> None:
    assert _lines_with(SUPPRESSION, suffix=".py") == []


def test_nothing_is_left_for_later_and_no_cycle_is_hidden() -> None:
    assert _lines_with(LEFTOVER, suffix=".py") == []


def test_what_is_banned_in_src_is_banned_in_tests_too() -> None:
    assert _lines_with(BANNED_CALL, suffix=".py") == []


def test_make_help_lists_every_word() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert {line.split()[1] for line in shown.stdout.splitlines() if line} >= TARGETS


def _pins(lock: str) -> dict[str, str]:
    pins = re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE)
    return dict(pins)


def test_running_and_developing_use_the_same_versions() -> None:
    runtime, development = _pins("requirements.lock"), _pins("requirements-dev.lock")
    assert len(runtime) > 10
    assert runtime.items() <= development.items()


def test_every_locked_package_has_a_hash() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        entries = re.split(r"^(?=\S+==)", lock.read_text("utf-8"), flags=re.MULTILINE)[1:]
        assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_module_says_what_it_is() -> None:
    modules = sorted((ROOT / "src").rglob("*.py"))
    assert modules
    silent = [path for path in modules if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []


def test_every_ignored_pattern_is_a_single_name() -> None:
    assert [name for name in ignored_names() if "/" in name or name.startswith("!")] == []
