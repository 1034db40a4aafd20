"""The schema is one: what the migrations make is what the metadata says, and a store is only ever brought forward."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from tidegate.core.lifecycle import LEGAL
from tidegate.engines.sql.migrations.upgrade import config
from tidegate.engines.sql.revision import HEAD
from tidegate.engines.sql.schema import METADATA
from tidegate.engines.sql.sqlite import connecting
from tidegate.engines.sql.sqlite.engine import SqliteEngine
from tidegate.engines.sql.sqlite.migrating import migrate
from tidegate.errors import EngineUnavailable, SchemaMismatch


def _objects(path: Path) -> dict[str, str]:
    """Every table and index as SQLite would make it again, by name; without what is Alembic's own."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version" and "sqlite_" not in name}


def _columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in METADATA.tables}


def _made_from_metadata(path: Path) -> Path:
    engine = create_engine(f"sqlite:///{path}")
    METADATA.create_all(engine)
    engine.dispose()
    return path


def test_the_migrations_make_what_the_metadata_says(store: Path, tmp_path: Path) -> None:
    made = _made_from_metadata(tmp_path / "made.db")
    assert _columns(store) == _columns(made)
    assert _objects(store) == _objects(made)
    assert len(_objects(store)) > 30


def test_the_newest_revision_is_the_one_that_this_release_speaks() -> None:
    script = ScriptDirectory.from_config(config())
    assert script.get_current_head() == HEAD
    numbers = [revision.revision for revision in script.walk_revisions()]
    assert numbers == sorted(numbers, reverse=True), "revisions are numbered, so that they compare"


def test_a_status_of_the_schema_is_one_of_the_lifecycle(store: Path) -> None:
    statuses = ", ".join(f"'{status.value}'" for status in LEGAL)
    assert f"CHECK (status IN ({statuses}))" in _objects(store)["jobs"]


async def test_a_newer_store_is_refused_and_left_alone(store: Path) -> None:
    _execute(store, "UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(SchemaMismatch, match="has schema 0999, this release knows up to"):
        await SqliteEngine(store).__aenter__()
    assert _execute(store, "SELECT version_num FROM alembic_version") == [("0999",)]


async def test_a_store_of_an_unknown_schema_is_refused(store: Path) -> None:
    _execute(store, "UPDATE alembic_version SET version_num = '0000abc'")
    with pytest.raises(SchemaMismatch, match="a schema that no release had"):
        await SqliteEngine(store).__aenter__()


async def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    _execute(tmp_path / "jobs.db", "CREATE TABLE jobs (id INTEGER)")
    with pytest.raises(SchemaMismatch, match="not Tidegate's"):
        await SqliteEngine(tmp_path / "jobs.db").__aenter__()


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.db"
    connecting.create(path)
    _execute(path, "CREATE TABLE alembic_version (version_num TEXT)", "CREATE TABLE workers (owner TEXT)")
    with pytest.raises(EngineUnavailable, match="workers already exists"):
        migrate(path)
    assert sorted(_objects(path)) == ["workers"], "none of the tables made before the failure is left"


def test_opening_a_store_at_the_newest_schema_loads_neither_alembic_nor_sqlalchemy(store: Path) -> None:
    source = f"""
import asyncio, sys
from tidegate.engines import open_engine

async def check():
    async with open_engine({f"sqlite:///{store}"!r}) as engine:
        await engine.check()

asyncio.run(check())
print([name for name in ("alembic", "sqlalchemy") if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout == "[]\n"


def _execute(path: Path, *statements: str) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        rows: list[object] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        connection.commit()
    return rows
