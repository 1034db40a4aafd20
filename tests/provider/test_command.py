"""`tidegate provider`, called by hand."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.provider import provider
from tidegate.cli import EXIT_USAGE
from tidegate.cli.provider import Place, Play
from tidegate.cli.provider import provider as serve_provider
from tidegate.errors import ConfigError
from tidegate.provider.reading import names

pytestmark = pytest.mark.e2e


def _called(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegate", "provider", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_list_names_each_timeline_and_what_happens_in_it() -> None:
    listed = _called("--list")
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == names()


def test_nobody_called_is_said_and_is_no_failure() -> None:
    with provider("o1", scale=60) as fake:
        status = fake.status()
        assert (status.scale, list(status.tenants)) == (60, ["a", "b"])
        assert fake.stop().strip() == "nobody called"


def test_a_mistake_ends_with_a_line_and_the_code_for_it(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("tenants:\n  a:\n    phases:\n      - does: explode\n")
    ended = _called("--timeline", str(wrong))
    assert ended.returncode == EXIT_USAGE
    assert ended.stderr.startswith(f"tidegate: {wrong}:4: tenants.a.phases[1].does: Input should be")
    assert "Traceback" not in ended.stderr


def test_what_can_t_be_played_or_served_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    for play, place, said in (
        (Play(timeline="o2"), Place(), "o2: no such file"),
        (Play(scale=0), Place(), "--scale: Input should be"),
        (Play(seed=-1), Place(), "--seed: Input should be"),
        (Play(), Place(port=70_000), "can't listen on 127.0.0.1:70000"),
        (Play(), Place(host="nowhere.invalid"), "can't listen on nowhere.invalid:8090"),
        (Play(), Place(key_file=empty), "there is no key"),
        (Play(), Place(key_file=tmp_path / "none"), "can't read the key"),
        (Play(log=tmp_path), Place(port=0), "can't write the log"),
    ):
        with pytest.raises(ConfigError) as refused:
            serve_provider(play=play, place=place)
        assert said in str(refused.value)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(ConfigError, match=f"can't listen on 127.0.0.1:{port}"):
            serve_provider(place=Place(port=port))
