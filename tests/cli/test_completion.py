"""`tidegate completion`: what the shell proposes once its script is there."""

import subprocess
from pathlib import Path

import pytest

from tidegate.cli.commands import app

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
"$(complete -p tidegate | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does when somebody presses Tab behind these words."""

WHERE = {
    "bash": ".local/share/bash-completion/completions/tidegate",
    "fish": ".config/fish/completions/tidegate.fish",
    "zsh": ".zsh/completions/_cyclopts_tidegate",
}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one for bash."""
    path = tmp_path_factory.mktemp("completion") / "tidegate.bash"
    app(["completion", "--shell", "bash", "--output", str(path)])
    return path


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        (["jobs", "ca"], {"cancel"}),
        (["jobs", ""], {"cancel", "list", "retry", "show", "submit", "wait"}),
        (["up"], {"upstreams"}),
        (["be"], {"bench"}),
        (["bench", "--po"], {"--poll"}),
        (["jobs", "submit", "greet", "--wa"], {"--wait"}),
        (["jobs", "list", "--url", "http://h", "--js"], {"--json"}),
        (["no", "such"], set()),
    ],
)
def test_bash_proposes_what_goes_on_with_what_is_typed(typed: list[str], proposed: set[str], script: Path) -> None:
    words = ["bash", "--norc", "-c", ASK, "bash", str(script), "tidegate", *typed]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {word for word in ended.stdout.split("\n") if word} == proposed


@pytest.mark.parametrize("shell", WHERE)
def test_the_script_goes_where_the_shell_looks_and_no_other_file_is_touched(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".bashrc").write_text("mine")
    app(["completion", "--shell", shell])
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {".bashrc", WHERE[shell]}
    assert (tmp_path / ".bashrc").read_text() == "mine"
    assert "submit" in (tmp_path / WHERE[shell]).read_text()
    assert WHERE[shell] in capsys.readouterr().out


def test_the_page_says_where_each_script_goes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text("utf-8")
    assert all(f"`~/{place}`" in page for place in WHERE.values())
