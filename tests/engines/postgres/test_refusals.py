"""What a user is told where his URL, his role or his names are at fault: what to change, and no secret."""

import secrets

import pytest

from tests.conformance import build
from tests.servers.postgres import execute
from tidegate.engines import open_engine
from tidegate.errors import ConfigError, EngineUnavailable, InvalidInput, TidegateError

SECRET = "s3cr3t-w0rd"


async def _refusal(url: str) -> TidegateError:
    with pytest.raises(TidegateError) as caught:
        await open_engine(url).__aenter__()
    assert SECRET not in str(caught.value)
    return caught.value


async def test_an_at_sign_in_a_password_is_to_be_written_otherwise() -> None:
    refusal = await _refusal(f"postgresql://ada:{SECRET}@tail@127.0.0.1:1/x")
    assert isinstance(refusal, EngineUnavailable)
    assert "write %40 for @ in a password" in str(refusal)


async def test_a_value_that_an_option_may_not_have_is_a_config_error(database: str) -> None:
    refusal = await _refusal(f"{database}?work_mem={SECRET}")
    assert isinstance(refusal, ConfigError)
    assert "work_mem" in str(refusal)


async def test_a_database_that_may_only_be_read_is_named_so(database: str) -> None:
    name = database.rpartition("/")[2]
    await execute(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    refusal = await _refusal(database)
    assert isinstance(refusal, EngineUnavailable)
    assert "default_transaction_read_only" in str(refusal)


async def test_a_schema_may_be_named_as_a_keyword_is(database: str) -> None:
    for _ in range(2):
        async with open_engine(f"{database}?schema=select") as engine:
            await engine.submit([build.new_job()])
            assert len((await engine.claim(build.request(), build.nonce())).leases) == 1
            assert len((await engine.stats()).lanes) == 1


async def test_a_name_that_is_too_long_to_be_looked_up_is_the_callers_mistake(database: str) -> None:
    long = secrets.token_hex(10_000)
    changes: list[build.SpecChanges] = [
        {"user_id": long},
        {"idempotency_key": long},
        {"type": long},
        {"lane": build.lane(queue=long)},
    ]
    async with open_engine(database) as engine:
        for change in changes:
            with pytest.raises(InvalidInput, match="too long"):
                await engine.submit([build.new_job(**change)])


async def test_a_name_that_is_no_text_is_the_callers_mistake(database: str) -> None:
    async with open_engine(database) as engine:
        with pytest.raises(InvalidInput):
            await engine.submit([build.new_job(lane=build.lane(queue="a\ud800"))])
        await engine.submit([build.new_job()])
