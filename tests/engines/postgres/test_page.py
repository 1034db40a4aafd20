"""The how-to page about this engine runs as it is written."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tests.conformance.build import new_job, nonce, request
from tests.docs.pages import DOCS, blocks
from tests.docs.program import Program
from tests.servers.postgres import execute, new_database, shared
from tidegate.core.verbs import Submission
from tidegate.engines.sql.postgres.engine import PostgresEngine

PAGE = DOCS / "how-to" / "run-on-postgresql.md"
SHOWN = "postgresql://tidegate:PASSWORD@db.internal:5432/app"


def test_the_page_enqueues_in_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = asyncio.run(new_database(shared()))
    assert "place_order" in Program(tmp_path, monkeypatch).run(PAGE, {SHOWN: url})


async def test_a_role_with_the_rights_that_the_page_names_enqueues_and_owns_nothing(database: str) -> None:
    role_sql, grants = (block.text for block in blocks(PAGE) if block.language == "sql")
    assert "CREATE SCHEMA tidegate AUTHORIZATION tidegate" in role_sql
    for role in ("app", "tidegate"):
        if not await execute(database, f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            await execute(database, f"CREATE ROLE {role} LOGIN")
    await execute(database, "CREATE SCHEMA tidegate AUTHORIZATION tidegate")
    async with PostgresEngine(database.replace("postgres@", "tidegate@")) as engine:
        await execute(database, *(part for part in grants.split(";") if part.strip()))
        connection = await asyncpg.connect(database.replace("postgres@", "app@"))
        async with connection.transaction():
            (receipt,) = await engine.submit_in(connection, [new_job(idempotency_key="k")])
        await connection.close()
        assert receipt.submission is Submission.CREATED
        assert len((await engine.claim(request(), nonce())).leases) == 1
