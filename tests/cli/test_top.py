"""`tidegate top` and `tidegate workers`."""

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tidegate.cli import top, workers
from tidegate.cli.operating import Desk
from tidegate.cli.service import Service, reach
from tidegate.cli.top import Glance, drawn, summary, watch
from tidegate.errors import ConfigError, InvalidInput, ServiceError

DESK = Desk(user="ada")
AS_JSON = Desk(user="ada", as_json=True)
ELSEWHERE = ("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL", "TIDEGATE_URL", "TIDEGATE_ARTIFACTS", "TIDEGATE_APP")

WHY = "openrouter has spent its budget of $5.00 a day until 2026-01-02T00:00:00Z"
HOLD = {"jobs": 2, "why": WHY, "upstream": "openrouter", "until": "2026-01-02T00:00:00Z"}
QUEUE = {
    **{"name": "default", "paused": False, "ready": 5, "waiting": 1, "running": 2, "dead_letters": 4},
    **{"held": 2, "held_by": [HOLD]},
}
WORKER = {"host": "box", "pid": 7, "state": "live", "running": 2, "slots": 10, "version": "1", "queues": ["default"]}
GLANCE = Glance(
    queues=[{**QUEUE, "oldest_ready_age": 90.2, "throughput": 12.34}],
    upstreams=[{"name": "openrouter", "state": "open", "until": "2026-01-01T12:00:00Z", "faults": 6}],
    workers=[WORKER, {"host": None, "pid": 8, "state": "silent", "running": None, "slots": None, "queues": []}],
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An embedded store that nobody serves."""
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))

    async def make() -> None:
        async with reach(None, "ada", making=True):
            pass

    asyncio.run(make())
    return tmp_path / "data"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


def text(glance: Glance) -> str:
    """What a person reads."""
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        console.print(drawn(glance))
    return captured.get()


def test_a_look_shows_every_queue_and_that_nobody_works(store: Path, said: Callable[[], str]) -> None:
    assert top.top(once=True, desk=DESK) == 0
    lines = said().splitlines()
    assert (
        lines[0]
        == "ready 0 · held 0 · running 0 · dead letters 0 · workers 0 · busy slots 0 of 0 · upstreams not closed 0"
    )
    assert [line.split()[:2] for line in lines if "flowing" in line] == [
        [queue, "flowing"] for queue in ("content", "default", "high", "low")
    ]
    assert "no worker is heard of" in lines


def test_a_look_as_json_is_one_line(store: Path, said: Callable[[], str]) -> None:
    top.top(once=True, desk=AS_JSON)
    [line] = said().splitlines()
    seen = json.loads(line)
    assert sorted(seen) == ["fault", "queues", "upstreams", "workers"]
    assert [queue["name"] for queue in seen["queues"]] == ["content", "default", "high", "low"]


def test_what_was_seen_is_laid_out_in_tables() -> None:
    lines = [line.split() for line in text(GLANCE).splitlines()]
    assert ["default", "flowing", "3", "2", "1", "2", "4", "90", "s", "12.3", *WHY.split()] in lines
    assert ["openrouter", "open", "2026-01-01", "12:00:00", "6"] in lines
    assert ["box:7", "live", "2", "10", "1", "default"] in lines
    assert ["?:8", "silent"] in lines


def test_the_summary_adds_up_and_leaves_out_who_is_silent() -> None:
    assert summary(GLANCE) == (
        "ready 3 · held 2 · running 2 · dead letters 4 · workers 1 · busy slots 2 of 10 · upstreams not closed 1"
    )


@pytest.mark.parametrize(
    ("age", "shown"), [(0.4, "0 s"), (119.0, "119 s"), (3600.0, "60 min"), (7200.0, "2 h"), (None, "?")]
)
def test_ages_are_short(age: float | None, shown: str) -> None:
    queue = {**QUEUE, "oldest_ready_age": age, "throughput": None}
    line = next(line for line in text(Glance(queues=[queue], upstreams=[], workers=[])).splitlines() if "flow" in line)
    assert line.split("4  ")[1].partition(WHY)[0].strip() == shown


def test_names_from_elsewhere_can_t_drive_the_terminal() -> None:
    queue = {**QUEUE, "name": "\x1b[2Jgone", "oldest_ready_age": 0}
    assert "\x1b" not in text(Glance(queues=[queue], upstreams=[], workers=[], fault="\x1b[31mred"))


async def _watched(where: Console, looks: int, monkeypatch: pytest.MonkeyPatch, desk: Desk = DESK) -> None:
    """Watch until so many looks were taken; every look but the first fails."""
    taken, enough = 0, asyncio.Event()

    async def look(_: Service) -> Glance:
        nonlocal taken
        taken += 1
        if taken > looks:
            enough.set()
            await asyncio.Event().wait()
        if taken > 1:
            raise ServiceError("the server can't be reached")
        return GLANCE

    monkeypatch.setattr(top, "look", look)
    watching = asyncio.create_task(watch(desk, where, 0.01))
    async with asyncio.timeout(10):
        await enough.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_pipe_is_told_of_every_look_and_of_a_server_that_went_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIDEGATE_URL", "http://127.0.0.1:9")
    console = Console(file=io.StringIO(), width=200)
    await _watched(console, 2, monkeypatch)
    printed = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    first, second = printed.split("the server can't be reached")
    assert "openrouter" in first
    assert "openrouter" in second  # what was known is shown on


async def test_a_terminal_is_drawn_anew_at_every_look_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_URL", "http://127.0.0.1:9")
    out = io.StringIO()
    await _watched(Console(file=out, width=120, height=40, force_terminal=True), 2, monkeypatch)
    assert out.getvalue().startswith("\x1b[?1049h")  # a screen of its own
    assert "\x1b[?1049l" in out.getvalue()
    assert "the server can't be reached" in out.getvalue()


def test_what_can_t_be_reached_at_first_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError):
        top.top(once=True, desk=DESK)


@pytest.mark.parametrize("every", [0.0, -1.0, float("nan"), 1e9])
def test_looks_are_apart(every: float) -> None:
    with pytest.raises(InvalidInput, match="--every"):
        top.top(every=every, desk=DESK)


def test_workers_are_listed(store: Path, said: Callable[[], str]) -> None:
    assert workers.list_workers(desk=DESK) == 0
    assert said() == "no worker is heard of\n"
    workers.list_workers(desk=AS_JSON)
    assert json.loads(said()) == {"items": []}


def test_looking_where_no_store_is_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="no store here"):
        top.top(once=True, desk=DESK)
