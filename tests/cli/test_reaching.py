"""Which server or store a command finds, and what it says when there is none."""

import asyncio
import json
import os
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from tidegate.cli import EXIT_USAGE, run
from tidegate.cli.jobs import Order, show_jobs, submit
from tidegate.cli.service import problem, reach
from tidegate.cli.serving import application, serve, warn_of_own_artifacts, work
from tidegate.config import load
from tidegate.errors import ArtifactNotFound, ConfigError, InvalidInput, JobNotFound


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL", "TIDEGATE_URL", "TIDEGATE_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def _note(folder: Path, store: str) -> None:
    folder.mkdir()
    noted = {"url": "http://127.0.0.1:9", "pid": os.getpid(), "store": store}
    (folder / "server.json").write_text(json.dumps(noted))


async def test_a_server_on_another_store_than_the_one_named_is_not_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _note(folder, "redis://h:6379/0, namespace tidegate")
    monkeypatch.setenv("TIDEGATE_ENGINE", "redis://u:hunter2@other")
    with pytest.raises(ConfigError, match=r"uses another store .*give --url") as refused:
        async with reach(None, "ada"):
            pass
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("engine", ["", "redis://u:pw@h?durability=fsync"])
async def test_a_server_on_the_store_named_or_on_any_where_none_is_named_is_asked(
    engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _note(folder, "redis://h:6379/0, namespace tidegate")
    monkeypatch.setenv("TIDEGATE_ENGINE", engine)
    async with reach(None, "ada") as service:
        assert service.where == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("key", "named", "variable", "sent"),
    [("", None, "", "account"), ("tg_k", None, "", None), ("tg_k", "bob", "ada", "bob"), ("tg_k", None, "ada", "ada")],
)
async def test_a_key_says_who_asks_where_nobody_is_named(
    key: str, named: str | None, variable: str, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TIDEGATE_API_KEY", key), ("TIDEGATE_USER", variable), ("LOGNAME", "account")):
        monkeypatch.setenv(name, value)
    asked: list[httpx2.Request] = []

    async def answer(_: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={})

    monkeypatch.setattr(httpx2.AsyncClient, "send", answer)
    async with reach("http://h", named) as service:
        await service.get("/jobs")
    assert asked[0].headers.get("x-user-id") == sent


@pytest.mark.parametrize(
    ("url", "key", "named"),
    [
        ("http://h", "tg_secret ", "^TIDEGATE_API_KEY: .*no space first or last$"),
        ("http://h", "tg_s\u00e9cret", "^TIDEGATE_API_KEY: "),
        ("foo", "", r"like http://127.0.0.1:8080 \(--url, TIDEGATE_URL\)$"),
        ("http://h:99999", "", r"\(--url, TIDEGATE_URL\)$"),
    ],
)
async def test_an_address_or_a_key_that_can_t_be_is_refused_and_not_sent(
    url: str, key: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_API_KEY", key)
    with pytest.raises(ConfigError, match=named) as refused:
        async with reach(url, "ada"):
            pass
    assert "tg_" not in str(refused.value)


def test_a_payload_s_file_that_can_t_be_read_is_no_bad_json(tmp_path: Path) -> None:
    gone, bad = tmp_path / "gone.json", tmp_path / "bad.json"
    bad.write_text("[1")
    with pytest.raises(InvalidInput, match=r"^payload: .*gone\.json can't be read: No such file"):
        submit("work", order=Order(payload=f"@{gone}"))
    with pytest.raises(InvalidInput, match=r"^payload: it is no JSON: "):
        submit("work", order=Order(payload=f"@{bad}"))


def test_a_port_that_can_t_be_is_refused_by_its_flag() -> None:
    with pytest.raises(InvalidInput, match=r"^--metrics-port: 0 to 65535"):
        work(metrics_port=99_999)
    with pytest.raises(InvalidInput, match=r"^--port: 0 to 65535"):
        serve(port=-1)


async def test_without_a_server_the_account_asks_whatever_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_API_KEY", "tg_k")
    monkeypatch.delenv("TIDEGATE_USER", raising=False)
    async with reach(None, None, making=True) as service:
        assert (await service.get("/jobs"))["items"] == []


def test_what_names_a_header_is_said_as_commands_know_it() -> None:
    told = {"content-type": "application/problem+json"}
    missing = {"type": "/problems/user-missing", "detail": "send a header"}
    nobody, everybody = (
        httpx2.Response(400, headers=told, json=missing, request=httpx2.Request("GET", "http://here", headers=named))
        for named in ({}, {"X-User-ID": "*"})
    )
    keyless = httpx2.Response(401, headers=told, json={"type": "/problems/unauthenticated", "detail": "show a key"})
    assert str(problem(nobody, "/jobs")).endswith("nobody's own: say whom you mean (--user, TIDEGATE_USER)")
    assert str(problem(everybody, "/jobs")).endswith("'*' is no one user: say whom you mean (--user, TIDEGATE_USER)")
    assert str(problem(keyless, "/jobs")) == "show a key (TIDEGATE_API_KEY)"


def test_looking_for_jobs_where_no_store_is_makes_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no store here.*TIDEGATE_DATA_DIR="):
        show_jobs()
    assert not folder.exists()


def test_nobody_waits_for_a_new_job_where_no_worker_can_be() -> None:
    order = Order(payload='{"prompt": "Name three tides."}')
    with pytest.raises(InvalidInput, match="--wait: no server runs on this store"):
        submit("content", order=order, wait=True)

    async def stored() -> object:
        async with reach(None, None) as service:
            return (await service.get("/jobs"))["items"]

    assert asyncio.run(stored()) == []


def test_a_result_that_is_gone_is_no_unknown_job() -> None:
    told = {"content-type": "application/problem+json"}
    gone = httpx2.Response(404, headers=told, json={"type": "/problems/artifact-not-found", "detail": "it is gone"})
    unknown = httpx2.Response(404, headers=told, json={"type": "/problems/job-not-found", "detail": "no such job"})
    assert isinstance(problem(gone, "/jobs/01a2/result"), ArtifactNotFound)
    assert isinstance(problem(unknown, "/jobs/01a2/result"), JobNotFound)


def test_a_part_that_is_not_installed_is_named_with_the_extra_that_brings_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command() -> None:
        raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")

    assert run(command) == EXIT_USAGE
    assert capsys.readouterr().err == "tidegate: this needs fastapi: install Tidegate with its extra `server`\n"


def test_a_module_of_the_application_s_that_is_missing_is_no_extra() -> None:
    def command() -> None:
        raise ModuleNotFoundError("No module named 'mine'", name="mine")

    with pytest.raises(ModuleNotFoundError):
        run(command)


@pytest.mark.parametrize(
    ("variable", "named"),
    [("TIDEGATE_ENGINE", "TIDEGATE_ENGINE: "), ("DATABASE_URL", r"TIDEGATE_ENGINE \(from DATABASE_URL\): ")],
)
def test_a_store_that_can_t_be_is_refused_by_the_variable_that_names_it(
    variable: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "mysql://h/x")
    with pytest.raises(ConfigError, match=f"^{named}engine 'mysql://' is unknown"):
        application(load())


@pytest.mark.parametrize(
    ("engine", "artifacts", "warned"),
    [("redis://h", "", True), ("redis://h", "s3://bucket", False), ("redis://h", "/mnt/all", False), ("", "", False)],
)
def test_artifacts_that_only_this_machine_sees_are_warned_of_where_the_store_is_shared(
    engine: str, artifacts: str, warned: bool
) -> None:
    with capture_logs() as lines:
        warn_of_own_artifacts(load(engine=engine, artifacts=artifacts))
    assert [line["event"] for line in lines] == ["artifacts.local"] * warned
