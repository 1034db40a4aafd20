"""The TypeScript types are those of the API as it is, and what the page about them shows compiles and runs."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, blocks, same
from tests.docs.serving import tutorial
from tests.docs.walk import ADDRESS
from tools import typescript
from tools.typescript import NODE, TYPES, WEB

PAGE = DOCS / "how-to" / "call-the-api-from-typescript.md"
CLIENT, EXAMPLE = TYPES.with_name("tidegate.ts"), TYPES.with_name("example.ts")
RUN_SECONDS = 60

RIGHT = (
    'const { items } = await api.call("get", "/jobs", { query: { status: "dead_letter" } });',
    "export const when: string | null | undefined = items[0]?.retry_at;",
    'await api.call("delete", "/keys/{key_id}", { path: { key_id: "k" } });',
)
WRONG = {
    "no such place": 'await api.call("get", "/job", {});',
    "no such method there": 'await api.call("put", "/jobs", {});',
    "no such field": 'await api.call("post", "/jobs", { body: { typ: "greet" } });',
    "no body": 'await api.call("post", "/jobs", {});',
    "no job id": 'await api.call("get", "/jobs/{job_id}", {});',
    "no such status": 'await api.call("get", "/jobs", { query: { status: "done" } });',
    "no such part of the answer": '(await api.call("get", "/jobs", {})).rows;',
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    assert (WEB / "node_modules").is_dir(), "run make setup: it installs what web/package-lock.json locks"


def test_the_types_are_those_of_the_api_as_it_is() -> None:
    assert typescript.generated() == TYPES.read_text("utf-8"), "out of step: run make typescript"


def test_all_that_uses_the_types_compiles() -> None:
    said = typescript.checked()
    assert (said.returncode, said.stdout) == (0, "")


def test_the_compiler_refuses_what_the_api_has_not_and_nothing_else(tmp_path: Path) -> None:
    for source in (TYPES, CLIENT):
        (tmp_path / source.name).symlink_to(source)
    head = ('import { Tidegate } from "./tidegate.ts";', 'const api = new Tidegate("http://127.0.0.1:1", {});')
    (tmp_path / "planted.ts").write_text("\n".join((*head, *RIGHT, *WRONG.values())), "utf-8")
    config = {"extends": str(WEB / "tsconfig.json"), "include": ["planted.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config), "utf-8")
    found = re.findall(r"planted\.ts\((\d+),", typescript.checked(tmp_path).stdout)
    first = len(head) + len(RIGHT) + 1
    assert [int(line) for line in found] == list(range(first, first + len(WRONG)))


def test_the_page_shows_the_files_as_they_are() -> None:
    shown = [block.text for block in blocks(PAGE) if block.language == "ts"]
    assert shown == [CLIENT.read_text("utf-8"), EXAMPLE.read_text("utf-8")]


def test_what_the_page_shows_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    with tutorial(tmp_path / "data") as url:
        for source in (CLIENT, EXAMPLE):
            text = source.read_text("utf-8").replace(ADDRESS, url)
            (tmp_path / source.name).write_text(text, "utf-8")
        command: list[str | Path] = [NODE, tmp_path / EXAMPLE.name]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    assert ended.returncode == 0, ended.stderr
    [printed] = [block.text for block in blocks(PAGE) if block.language == "text"]
    assert same(printed, ended.stdout), ended.stdout


def test_what_is_installed_is_locked_by_its_hash_and_names_no_registry() -> None:
    locked = json.loads((WEB / "package-lock.json").read_text("utf-8"))["packages"]
    asked = json.loads((WEB / "package.json").read_text("utf-8"))["devDependencies"]
    for name, package in locked.items():
        assert name == "" or package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
    assert {name: locked[f"node_modules/{name}"]["version"] for name in asked} == asked
