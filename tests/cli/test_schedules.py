"""`tidegate schedules`: what runs by the clock, without a server."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.cli import schedules
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
    monkeypatch.setenv("TIDEGATE_APP", "tests.e2e.served:app")
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Path:
    """An embedded store that nobody serves, with a schedule of ada's."""
    body = {"expression": "0 3 1 1 *", "timezone": "Europe/Berlin", "type": "work"}

    async def make() -> None:
        async with reach(None, "ada", making=True) as service:
            await service.call("PUT", "/schedules/new-year", body)

    asyncio.run(make())
    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


def test_the_list_says_when_each_runs_next_in_utc(store: Path, said: Callable[[], str]) -> None:
    assert schedules.list_schedules(desk=DESK) == 0
    [_, line] = said().splitlines()
    assert line.split()[:2] == ["new-year", "runs"]
    assert "-01-01 02:00:00" in line
    assert "0 3 1 1 *" in line
    schedules.list_schedules(desk=Desk(user="bob"))
    assert said().startswith("no schedule of yours")


def test_a_pause_holds_for_every_later_command(store: Path, said: Callable[[], str]) -> None:
    schedules.pause("new-year", desk=DESK)
    assert said() == "new-year is paused\n"
    schedules.list_schedules(desk=DESK)
    assert said().splitlines()[1].split()[:2] == ["new-year", "paused"]
    schedules.show_schedule("new-year", desk=AS_JSON)
    assert json.loads(said())["paused_by"] == "ada"
    schedules.resume("new-year", desk=DESK)
    told = said()
    assert told.startswith("new-year runs, next at 20")
    assert told.endswith("-01-01 02:00:00 UTC\n")


def test_a_trigger_prints_the_job_s_id(store: Path, said: Callable[[], str]) -> None:
    assert schedules.trigger("new-year", desk=DESK) == 0
    assert len(said().strip()) == 36


def test_a_removed_schedule_is_unknown_from_then_on(store: Path, said: Callable[[], str]) -> None:
    schedules.delete("new-year", desk=DESK)
    assert said() == "new-year is removed\n"
    for act in (schedules.show_schedule, schedules.pause, schedules.resume, schedules.trigger, schedules.delete):
        with pytest.raises(InvalidInput, match="no schedule 'new-year' is known here"):
            act("new-year", desk=DESK)


def test_what_can_t_be_a_name_is_refused_before_anybody_is_asked(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="schedule"):
        schedules.trigger("../jobs", desk=DESK)


def test_looking_where_no_store_is_makes_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no store here"):
        schedules.list_schedules(desk=DESK)
    assert not folder.exists()
