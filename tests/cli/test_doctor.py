"""What `tidegate doctor` finds, and that looking changes nothing."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.valkey import valkey
from tidegate.cli.doctor import doctor
from tidegate.cli.variables import CLIENT, unknown
from tidegate.sdk.connecting import API_KEY, URL, USER


def _doctor(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return _tidegate("doctor", *words, **environment)


def _tidegate(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return subprocess.run(
        [sys.executable, "-m", "tidegate", *words],
        env=others | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_json_is_all_that_stands_on_stdout_and_a_store_that_may_forget_is_a_warning(tmp_path: Path) -> None:
    with valkey() as server:
        url = server.url().replace("://", "://default:hunter2@") + "?namespace=blue"
        asyncio.run(_ask(server.url(), "CONFIG", "SET", "requirepass", "hunter2"))
        found = _doctor("--json", TIDEGATE_ENGINE=url, TIDEGATE_DATA_DIR=str(tmp_path / "data"))
    checks = {check["check"]: check for check in json.loads(found.stdout)}
    assert found.returncode == 0, found.stdout
    assert (checks["engine"]["ok"], checks["engine"]["state"]) == (True, "warn")
    assert f"redis://127.0.0.1:{server.port}/0, namespace blue, by TIDEGATE_ENGINE: " in checks["engine"]["detail"]
    assert "hunter2" not in found.stdout + found.stderr


async def _ask(url: str, *words: str) -> None:
    from tidegate.engines.redis.address import read_address
    from tidegate.engines.redis.connection import Links

    links = Links(read_address(url), lambda *_: None)
    await links.here().ask(*words)
    await links.close()


def test_looking_makes_neither_store_nor_artifacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL", "TIDEGATE_URL", "TIDEGATE_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))
    assert doctor() == 0
    said = capsys.readouterr().out
    assert "no store yet" in said
    assert "no folder yet" in said
    assert not (tmp_path / "data").exists()


def test_the_server_that_tidegate_url_names_is_asked(tmp_path: Path) -> None:
    found = _doctor(TIDEGATE_URL="http://127.0.0.1:9", TIDEGATE_DATA_DIR=str(tmp_path / "data"))
    assert found.returncode == 1
    assert "FAIL server     TIDEGATE_URL can't be reached (ConnectError)" in found.stdout


def test_a_misspelt_variable_is_told_with_the_nearest_name_and_without_its_value(tmp_path: Path) -> None:
    more = {"TIDEGATE_LLM_BUGET": "hunter2", "TIDEGATE_USER": "ada", "TIDEGATE_API_KEY": "x", "TIDEGATE_APP": ""}
    found = _doctor(TIDEGATE_DATA_DIR=str(tmp_path / "data"), **more)
    assert found.returncode == 0, found.stdout
    [line] = [line for line in found.stdout.splitlines() if line.startswith("warn settings ")]
    assert line.endswith("; TIDEGATE_LLM_BUGET is no setting: did you mean TIDEGATE_LLM_BUDGET?")
    assert "hunter2" not in found.stdout + found.stderr


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_misspelt_variable_is_one_line_in_the_log_at_the_start(command: str, tmp_path: Path) -> None:
    more = {"TIDEGATE_LLM_BUGET": "hunter2", "TIDEGATE_ENGINE": "mysql://h/x", "TIDEGATE_LOG_FORMAT": "json"}
    ended = _tidegate(command, TIDEGATE_DATA_DIR=str(tmp_path / "data"), **more)  # there is no such store: it ends
    [line] = [json.loads(line) for line in ended.stderr.splitlines() if "settings.unknown" in line]
    assert line["level"] == "warning"
    assert line["found"] == ["TIDEGATE_LLM_BUGET is no setting: did you mean TIDEGATE_LLM_BUDGET?"]
    assert "hunter2" not in ended.stdout + ended.stderr


APP = """
from tidegate import Tidegate

app = Tidegate()

@app.job("cut", queue="videos")
async def cut() -> None: ...

@app.job("mail")
async def mail() -> None: ...
"""

Look = Callable[..., tuple[str, str]]


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Look:
    """What is found of the job types, with these variables set; applications lie in the test's folder."""
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")] + ["REDIS_URL", "DATABASE_URL"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)

    def look(**environment: str) -> tuple[str, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        doctor(as_json=True)
        [check] = [check for check in json.loads(capsys.readouterr().out) if check["check"] == "jobs"]
        return check["state"], check["detail"]

    return look


@pytest.mark.parametrize(
    ("queues", "found"),
    [
        ('{"default": 1, "videos": 1}', ("ok", "2 job types of shop")),
        (
            '{"default": 1}',
            ("warn", "2 job types of shop; a worker with this TIDEGATE_QUEUES does not serve queue videos (cut)"),
        ),
    ],
)
def test_job_types_whose_queues_are_left_out_are_a_warning(
    queues: str, found: tuple[str, str], tmp_path: Path, jobs: Look
) -> None:
    (tmp_path / "shop.py").write_text(APP)
    assert jobs(TIDEGATE_APP="shop", TIDEGATE_QUEUES=queues) == found


@pytest.mark.parametrize(
    ("source", "why"), [(None, "No module named 'market'"), ("raise KeyError('hunter2')", "KeyError")]
)
def test_an_application_that_can_t_be_loaded_is_a_failure(
    source: str | None, why: str, tmp_path: Path, jobs: Look
) -> None:
    if source is not None:
        (tmp_path / "market.py").write_text(source)
    assert jobs(TIDEGATE_APP="market") == ("fail", f"application 'market' can't be loaded: {why}")


def test_the_built_in_job_types_are_served(jobs: Look) -> None:
    assert jobs() == ("ok", "2 job types built in")


def test_only_names_of_ours_are_looked_at_and_only_a_near_one_is_proposed() -> None:
    known = dict.fromkeys(("TIDEGATE_URL", "tidegate_port", "TIDEGATE_ENGINE", "CLIENT_MAX_WAIT_SECONDS", "PATH"), "1")
    assert unknown(known) == []
    assert {URL, USER, API_KEY} == CLIENT
    assert unknown({"TIDEGATE_ZZZ": "1", "tidegate_slot": "1"}) == [
        "TIDEGATE_ZZZ is no setting",
        "tidegate_slot is no setting: did you mean TIDEGATE_SLOTS?",
    ]
