"""Which URL opens which engine, and what is refused at the door."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.engines import open_engine, shown
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.sql.sqlite import connecting
from tidegate.engines.sql.sqlite.engine import SqliteEngine
from tidegate.errors import ConfigError, EngineUnavailable, SchemaMismatch


def test_each_scheme_opens_its_engine() -> None:
    assert isinstance(open_engine("memory://"), MemoryEngine)
    assert isinstance(open_engine("sqlite:///data/jobs.db"), SqliteEngine)


@pytest.mark.parametrize("url", ["mysql://h", "memory://shared", "redsi://u:hunter2@h", "postgresql+asyncpg://h/x"])
def test_an_unknown_engine_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is unknown") as refused:
        open_engine(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["jobs.db", "", "redis:/u:hunter2@h:6379/0", "postgresql:/u:hunter2@h/x", "u:hunter2@h", "u:hunter2://h"]
)
def test_a_url_without_its_slashes_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"has no scheme: use .*rediss://host, unix:///") as refused:
        open_engine(url)
    assert "hunter2" not in str(refused.value)


def test_whoever_asks_for_a_driver_of_postgresql_is_told_what_to_write() -> None:
    with pytest.raises(ConfigError, match="write postgresql://"):
        open_engine("postgresql+asyncpg://h/x")


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("redis://u:hunter2@h", "redis://h:6379/0, namespace tidegate"),
        ("rediss://h:7000/3?namespace=blue&durability=fsync", "rediss://h:7000/3, namespace blue"),
        ("redis://u:hun/ter2@h/1", "redis://h:6379/1, namespace tidegate"),
        ("unix://u:hunter2@/run/redis.sock?db=2", "unix:///run/redis.sock, database 2, namespace tidegate"),
        ("postgres://u:hunter2@h/app", "postgresql://h:5432/app, schema tidegate"),
        ("postgresql://u@h1:1,h2:2/app?schema=blue&password=hunter2", "postgresql://h1:1,h2:2/app, schema blue"),
        ("sqlite:////var/lib/jobs.db", "sqlite:////var/lib/jobs.db"),
        ("memory://", "memory://"),
    ],
)
def test_a_store_is_shown_without_its_user_and_password(url: str, seen: str) -> None:
    assert shown(url) == seen


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///folder/", "sqlite://h/x"])
def test_a_sqlite_engine_needs_a_file(url: str) -> None:
    with pytest.raises(ConfigError, match="needs a file"):
        open_engine(url)


async def test_a_path_is_relative_with_three_slashes_and_absolute_with_four(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_engine("sqlite:///data/one%20store.db"), open_engine(f"sqlite:///{tmp_path}/two.db"):
        assert (tmp_path / "data" / "one store.db").exists()
        assert (tmp_path / "two.db").exists()


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_only_its_owner_may_read_a_new_store(tmp_path: Path) -> None:
    async with SqliteEngine(tmp_path / "jobs.db") as engine:
        await engine.check()
        modes = _modes(tmp_path)
    assert modes == dict.fromkeys(("jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db.lock"), 0o600)


async def test_a_store_is_as_durable_as_it_says(tmp_path: Path) -> None:
    async with SqliteEngine(tmp_path / "jobs.db") as engine:
        health = await engine.check()
    assert (health.engine, health.durability, health.schema) == ("sqlite", "fsync", "0001")
    with closing(connecting.connect_writer(tmp_path / "jobs.db")) as connection:
        pragmas = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


async def test_a_closed_engine_says_so_and_can_be_opened_again(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "jobs.db")
    with pytest.raises(EngineUnavailable, match="not open"):
        await engine.check()
    for _ in range(2):
        async with engine:
            await engine.check()
    with pytest.raises(EngineUnavailable, match="not open"):
        await engine.stats()


async def test_a_folder_that_can_not_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be made"):
        await SqliteEngine(tmp_path / "file" / "jobs.db").__aenter__()


async def test_a_folder_in_the_place_of_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").mkdir()
    with pytest.raises(ConfigError, match="can't be opened"):
        await SqliteEngine(tmp_path / "jobs.db").__aenter__()


def test_an_old_sqlite_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"SQLite 3\.37\.2: 3\.38\.0 or newer is needed"):
        connecting.check_version((3, 37, 2))
    connecting.check_version(sqlite3.sqlite_version_info)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(b"no database " * 1_000)
    with pytest.raises(SchemaMismatch, match="no SQLite database"):
        await SqliteEngine(path).__aenter__()
    assert path.read_bytes() == b"no database " * 1_000


def _crash_and_damage(store: Path) -> None:
    """Leave what a crashed owner leaves, and a page of nonsense."""
    store.with_name("jobs.db.lock").write_text("4194304")
    content = bytearray(store.read_bytes())
    content[4_096:8_192] = os.urandom(4_096)
    store.write_bytes(content)


async def test_a_damaged_store_is_found_after_a_crash(store: Path) -> None:
    async with SqliteEngine(store):
        pass
    _crash_and_damage(store)
    with pytest.raises(SchemaMismatch, match="is damaged"):
        await SqliteEngine(store).__aenter__()
