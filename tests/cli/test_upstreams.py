"""`tidegate upstreams` and `tidegate queues`: without a server, and beside one."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.process import Served
from tidegate.cli import queues, top, upstreams
from tidegate.cli.operating import Desk
from tidegate.cli.service import reach
from tidegate.errors import ConfigError, InvalidInput

DESK = Desk(user="ada")
AS_JSON = Desk(user="ada", as_json=True)
ELSEWHERE = ("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL", "TIDEGATE_URL", "TIDEGATE_ARTIFACTS", "TIDEGATE_APP")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Path:
    """An embedded store that nobody serves."""

    async def make() -> None:
        async with reach(None, "ada", making=True):
            pass

    asyncio.run(make())
    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path, {"TIDEGATE_QUEUES": '{"default": 1}'})
    yield server
    server.close()


def test_where_no_upstream_is_known_the_list_says_so(store: Path, said: Callable[[], str]) -> None:
    assert upstreams.list_upstreams(desk=DESK) == 0
    assert said() == "no upstream is declared, and none has failed yet\n"


def test_an_operator_s_word_holds_for_every_later_command_and_is_noted_with_its_author(
    store: Path, said: Callable[[], str]
) -> None:
    upstreams.open_upstream("openrouter", last="10m", desk=DESK)
    assert said().startswith("openrouter is open until 20")
    upstreams.list_upstreams(desk=DESK)
    assert "open by ada" in said()
    upstreams.clear("openrouter", desk=DESK)
    assert said().startswith("openrouter is closed")
    upstreams.show_history("openrouter", desk=AS_JSON)
    changes = json.loads(said())["items"]
    assert [(one["to"], one["why"], one["author"]) for one in changes] == [
        ("override", "none", "ada"),
        ("override", "open", "ada"),
    ]


@pytest.mark.parametrize(("budget", "shown"), [(None, ""), ({"spent": 12.5, "dollars": 50.0}, "$12.50 of $50.00")])
def test_what_is_spent_stands_beside_the_budget(budget: dict[str, float] | None, shown: str) -> None:
    cells = dict(zip(upstreams.BOARD.columns, upstreams.row({"name": "api", "budget": budget}), strict=True))
    assert cells["spent"] == shown


SPENT = {
    **{"name": "api", "state": "closed", "until": "2026-01-02T00:00:00Z", "limit": 2},
    **{"why": "its budget of $0.02 a day is spent", "budget": {"spent": 0.021, "dollars": 0.02, "exhausted": True}},
}


def test_an_upstream_whose_budget_is_spent_is_shown_as_that_and_with_why() -> None:
    cells = dict(zip(upstreams.BOARD.columns, upstreams.row(SPENT), strict=True))
    assert (cells["state"], cells["why"]) == ("spent", "its budget of $0.02 a day is spent")
    assert top.summary(top.Glance(queues=[], upstreams=[SPENT], workers=[])).endswith("upstreams not closed 1")


@pytest.mark.parametrize(
    ("changed", "state", "why"),
    [
        ({"budget": {"spent": 0.021, "dollars": 0.02, "exhausted": False}}, "closed", ""),
        ({"budget": {"spent": 0.021, "dollars": 0.02}}, "closed", ""),
        ({"budget": None}, "closed", ""),
        ({"state": "open"}, "open", SPENT["why"]),
    ],
)
def test_an_upstream_is_spent_only_while_a_closed_breaker_s_budget_holds_it(
    changed: dict[str, object], state: str, why: str
) -> None:
    cells = dict(zip(upstreams.BOARD.columns, upstreams.row({**SPENT, **changed}), strict=True))
    assert (cells["state"], cells["why"]) == (state, why)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "api is closed, but its budget of $0.02 a day is spent until 2026-01-02 00:00:00"),
        ({"budget": None}, "api is closed, but nothing may start before 2026-01-02 00:00:00, 2 at a time for now"),
        ({"budget": None, "until": None}, "api is closed, 2 at a time for now"),
    ],
)
def test_nobody_reads_that_a_breaker_is_closed_until_something(
    changed: dict[str, object], line: str, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    async def answer(_: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={**SPENT, **changed})

    monkeypatch.setattr(httpx2.AsyncClient, "send", answer)
    upstreams.clear("api", desk=Desk(url="http://h", user="ada"))
    assert said() == f"{line}\n"


def test_a_word_that_ends_is_said_with_its_end(store: Path, said: Callable[[], str]) -> None:
    upstreams.off("s3", last="1h", desk=DESK)
    assert said().startswith("s3 is closed (off by ada until 20")
    upstreams.off("s3", desk=DESK)
    assert said() == "s3 is closed (off by ada)\n"


def test_a_name_that_nobody_has_heard_of_is_obeyed_and_doubted_once(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for _ in range(2):
        queues.pause("defualt", desk=DESK)
        upstreams.off("openruter", desk=AS_JSON)
        told.append(capsys.readouterr().err)
    queues.pause("default", desk=DESK)
    assert told == [
        "tidegate: queue defualt: no job or worker has named it yet\n"
        "tidegate: upstream openruter: none of that name is declared here, and none has failed yet\n",
        "",
    ]
    assert capsys.readouterr() == ("default is paused until told otherwise\n", "")


def test_a_queue_that_only_a_worker_elsewhere_serves_is_not_doubted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(_: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/queues/videos":
            told = {"type": "/problems/not-found", "detail": "no queue 'videos' is known here"}
            return httpx2.Response(
                404, headers={"content-type": "application/problem+json"}, json=told, request=request
            )
        workers = {"items": [{"queues": ["videos"]}]}
        body = workers if request.method == "GET" else {"name": "videos", "paused": True}
        return httpx2.Response(200, json=body, request=request)

    monkeypatch.setattr(httpx2.AsyncClient, "send", answer)
    queues.pause("videos", desk=Desk(url="http://h", user="ada"))
    assert capsys.readouterr() == ("videos is paused until told otherwise\n", "")


@pytest.mark.parametrize(
    ("act", "state"), [(upstreams.open_upstream, "open"), (upstreams.close_upstream, "closed"), (upstreams.off, "off")]
)
def test_a_word_holds_for_as_long_as_it_is_asked_for(
    act: Callable[..., int], state: str, store: Path, said: Callable[[], str]
) -> None:
    act("s3", last="90s", desk=AS_JSON)
    given = json.loads(said())["override"]
    assert given["state"] == state
    assert given["until"] > given["since"]
    act("s3", desk=AS_JSON)
    assert json.loads(said())["override"]["until"] is None


def test_a_reset_closes_and_ramps_up(store: Path, said: Callable[[], str]) -> None:
    upstreams.open_upstream("s3", desk=DESK)
    assert said() == "s3 is open until told otherwise (open by ada)\n"
    upstreams.reset("s3", desk=DESK)
    assert said() == "s3 is closed, 2 at a time for now\n"
    upstreams.show_upstream("s3", desk=DESK)
    assert ["limit", "2"] in [line.split() for line in said().splitlines()]
    upstreams.show_history("s3", desk=DESK)
    assert "reset" in said()


def test_a_queue_is_paused_until_its_time_or_until_it_is_resumed(store: Path, said: Callable[[], str]) -> None:
    queues.pause("low", desk=DESK)
    assert said() == "low is paused until told otherwise\n"
    queues.pause("content", last="2h", desk=DESK)
    assert said().startswith("content is paused until 20")
    queues.list_queues(desk=DESK)
    listed = said().splitlines()
    assert [line.split()[:2] for line in listed[1:]] == [
        ["content", "paused"],
        ["default", "flowing"],
        ["high", "flowing"],
        ["low", "paused"],
    ]
    assert "paused by ada" in listed[1]
    queues.resume("content", desk=DESK)
    assert said() == "content is flowing\n"
    queues.show_queue("low", desk=AS_JSON)
    assert json.loads(said())["paused"] is True


@pytest.mark.parametrize("last", ["soon", "0s", "-5m", "nan"])
def test_a_duration_that_is_none_is_refused_before_anybody_is_asked(last: str, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="--for: "):
        queues.pause("content", last=last, desk=DESK)


@pytest.mark.parametrize("name", ["../jobs", "A b", "", "x" * 200])
def test_what_can_t_be_a_name_is_refused_before_anybody_is_asked(name: str, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="upstream"):
        upstreams.reset(name, desk=DESK)


def test_an_upstream_nobody_heard_of_can_t_be_shown_or_reset(store: Path) -> None:
    for act in (upstreams.show_upstream, upstreams.show_history, upstreams.reset, upstreams.clear):
        with pytest.raises(InvalidInput, match="no upstream 's4' is known here"):
            act("s4", desk=DESK)


def test_looking_and_pausing_where_no_store_is_make_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no store here"):
        upstreams.list_upstreams(desk=DESK)
    with pytest.raises(ConfigError, match="no store here"):
        queues.pause("content", desk=DESK)
    assert not folder.exists()


@pytest.mark.e2e
def test_beside_a_server_the_fleet_obeys_at_once(served: Served) -> None:
    served.start()
    paused = served.command("queues", "pause", "default", "--for", "10m")
    waiting = served.command("jobs", "submit", "work").stdout.strip()
    status = json.loads(served.command("jobs", "show", waiting, "--json").stdout)
    listed = served.command("queues", "list").stdout.splitlines()
    resumed = served.command("queues", "resume", "default")
    done = served.command("jobs", "wait", waiting)

    assert paused.returncode == 0, paused.stderr
    assert (status["status"], status["runs"]) == ("queued", 0)
    assert status["wait_reason"].startswith("queue default was paused by ada until 20")
    assert any(line.startswith("default  paused") for line in listed)
    assert (resumed.returncode, done.returncode) == (0, 0), resumed.stderr + done.stderr


@pytest.mark.e2e
def test_exit_codes_tell_what_an_operator_did_wrong(served: Served) -> None:
    served.start()
    unknown = served.command("upstreams", "show", "nobody")
    unreachable = served.command("upstreams", "list", "--url", "http://127.0.0.1:9")
    assert (unknown.returncode, unreachable.returncode) == (2, 5)
    assert all(answer.stderr.startswith("tidegate: ") for answer in (unknown, unreachable))
