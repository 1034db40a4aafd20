"""The library on PostgreSQL: jobs that exist if and only if the caller's own transaction commits."""

from pathlib import Path

import asyncpg
import pytest

from tests.conformance.postgres_store import database
from tidegate import Tidegate, load
from tidegate.errors import ConfigError, JobNotFound


def _application(folder: Path, engine: str) -> Tidegate:
    return Tidegate(load(engine=engine, data_dir=folder))


async def test_a_job_exists_if_and_only_if_the_callers_transaction_commits(tmp_path: Path) -> None:
    async with database() as url:
        app = _application(tmp_path, url)

        @app.job("confirm")
        async def confirm(payload: dict[str, int]) -> int:
            return payload["order"]

        connection = await asyncpg.connect(url)
        async with app:
            abandoned = connection.transaction()
            await abandoned.start()
            gone = await app.submit_in(connection, confirm, {"order": 6})
            await abandoned.rollback()
            async with connection.transaction():
                kept = await app.submit_in(connection, confirm, {"order": 7})
                with pytest.raises(JobNotFound):
                    await kept.status()
            assert await kept.result(timeout=10) == 7
            with pytest.raises(JobNotFound):
                await gone.status()
        await connection.close()


async def test_what_is_no_connection_of_asyncpg_s_is_refused_by_name(tmp_path: Path) -> None:
    async with database() as url:
        app = _application(tmp_path, url)

        @app.job("confirm")
        async def confirm() -> None:
            """Nothing."""

        async with app.connected():
            with pytest.raises(TypeError, match="takes an asyncpg connection, not a str"):
                await app.submit_in("nope", confirm, None)


async def test_other_stores_say_that_they_cannot(tmp_path: Path) -> None:
    app = _application(tmp_path, "memory://")

    @app.job("confirm")
    async def confirm() -> None:
        """Nothing."""

    async with app:
        with pytest.raises(ConfigError, match="PostgreSQL"):
            await app.submit_in(object(), confirm, None)
