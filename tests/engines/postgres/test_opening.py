"""Which URL opens which store, what is refused at the door, and that no message shows a password."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from tests.conformance import build
from tests.servers.postgres import PostgresServer, execute, shared
from tidegate.engines import open_engine
from tidegate.engines.sql.postgres.address import Address, address
from tidegate.engines.sql.postgres.engine import PostgresEngine
from tidegate.engines.sql.revision import HEAD
from tidegate.errors import ConfigError, EngineUnavailable, SchemaMismatch, TidegateError

PASSWORD = "s3cr3t-w0rd"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_both_schemes_open_the_engine(scheme: str) -> None:
    assert isinstance(open_engine(f"{scheme}://ada@localhost/jobs"), PostgresEngine)


def test_our_options_are_read_and_the_others_left_to_the_driver() -> None:
    url = "postgresql://ada@h/db?schema=jobs&pool=3&timeout=7&pooler=transaction&sslmode=require"
    found = address(url)
    assert (found.dsn, found.schema, found.size) == ("postgresql://ada@h/db?sslmode=require", "jobs", 3)
    assert (found.timeout.total_seconds(), found.pooled) == (7.0, True)
    assert address("postgresql://ada@h/db") == Address("postgresql://ada@h/db")


@pytest.mark.parametrize(
    "options",
    ["schema=Jobs", "schema=a-b", "schema=", "schema=pg_x", "pool=0", "pool=x", "timeout=-1", "pooler=session", "pool"],
)
def test_a_wrong_option_is_refused_before_anything_is_reached(options: str) -> None:
    with pytest.raises(ConfigError):
        open_engine(f"postgresql://ada@localhost/jobs?{options}")


async def _refusal(url: str) -> TidegateError:
    with pytest.raises(TidegateError) as caught:
        await open_engine(url).__aenter__()
    assert PASSWORD not in str(caught.value)
    shown = caught.value.__context__ if not caught.value.__suppress_context__ else None
    assert shown is None, "the driver's error, which may show more, is not shown with it"
    return caught.value


async def test_a_wrong_role_is_a_config_error_without_the_password() -> None:
    url = shared().replace("postgres@", f"nobody:{PASSWORD}@")
    assert "role" in str(await _refusal(f"{url}/postgres"))
    assert isinstance(await _refusal(f"{url}/postgres"), ConfigError)


async def test_a_wrong_password_is_a_config_error_without_it(server: PostgresServer) -> None:
    hba = server.folder / "data" / "pg_hba.conf"
    await execute(f"{server.address}/postgres", "CREATE ROLE ada LOGIN PASSWORD 'right'")
    hba.write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    await execute(f"{server.address}/postgres", "SELECT pg_reload_conf()")
    address = server.address.replace("postgres@", f"ada:{PASSWORD}@")
    refusal = await _refusal(f"{address}/postgres")
    assert isinstance(refusal, ConfigError)
    assert "password" in str(refusal)


async def test_an_option_that_nobody_knows_is_named() -> None:
    refusal = await _refusal(f"{shared()}/postgres?foo={PASSWORD}")
    assert isinstance(refusal, ConfigError)
    assert "foo" in str(refusal)


@pytest.mark.parametrize(
    ("sslmode", "said"),
    [
        ("require", "does not speak TLS (sslmode=require)"),
        ("bogus", "sslmode=bogus: must be one of disable, allow, prefer"),
    ],
)
async def test_a_tls_that_can_t_be_is_a_config_error_that_says_so(sslmode: str, said: str) -> None:
    refusal = await _refusal(f"{shared()}/postgres?sslmode={sslmode}")
    assert isinstance(refusal, ConfigError)
    assert said in str(refusal)


def _answer_as_redis_does(listener: socket.socket) -> None:
    line, _ = listener.accept()
    with line:
        line.recv(100)
        line.sendall(b"-")


async def test_what_is_no_postgresql_and_what_is_not_there_are_named_by_host_and_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        answering = threading.Thread(target=_answer_as_redis_does, args=(other,))
        answering.start()
        refusal = await _refusal(f"postgresql://ada:{PASSWORD}@{place}/x")
        answering.join()
    assert f"what is at {place} did not answer as PostgreSQL does" in str(refusal)
    gone = await _refusal(f"postgresql://ada:{PASSWORD}@{place}/x")
    assert isinstance(gone, EngineUnavailable)
    assert f"the store at {place} can't be reached" in str(gone)


async def test_an_unknown_database_is_a_config_error() -> None:
    refusal = await _refusal(f"{shared()}/nowhere")
    assert isinstance(refusal, ConfigError)
    assert "nowhere" in str(refusal)


@pytest.mark.parametrize("rest", [f"ada:{PASSWORD}@127.0.0.1:1/db", f"ada:{PASSWORD}@nobody.invalid/db"])
async def test_a_server_that_is_not_there_is_unavailable(rest: str) -> None:
    assert isinstance(await _refusal(f"postgresql://{rest}"), EngineUnavailable)


@pytest.mark.parametrize("rest", [f"ada:{PASSWORD}@host:port/db", f"ada:{PASSWORD}@h/db?sslmode=maybe"])
async def test_a_url_that_makes_no_sense_is_a_config_error(rest: str) -> None:
    assert isinstance(await _refusal(f"postgresql://{rest}"), ConfigError)


async def test_an_option_that_nobody_knows_is_a_config_error(database: str) -> None:
    assert "option" in str(await _refusal(f"{database}?connection_limit=5"))


async def test_a_database_that_is_not_in_utf8_is_refused() -> None:
    sql = "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    await execute(f"{shared()}/postgres", "DROP DATABASE IF EXISTS latin", sql)
    assert "UTF-8" in str(await _refusal(f"{shared()}/latin"))


async def test_a_role_that_may_not_make_a_schema_is_told_what_it_lacks(database: str) -> None:
    await execute(database, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    refusal = await _refusal(database.replace("postgres@", "guest@"))
    assert isinstance(refusal, ConfigError)
    assert "right" in str(refusal)


async def test_a_role_that_owns_nothing_but_the_schema_runs_a_store(database: str) -> None:
    role = "clerk"
    known = await execute(database, f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'")
    await execute(
        database, *([] if known else [f"CREATE ROLE {role} LOGIN"]), f"CREATE SCHEMA jobs AUTHORIZATION {role}"
    )
    async with open_engine(f"{database.replace('postgres@', f'{role}@')}?schema=jobs") as engine:
        await engine.submit([build.new_job()])
        assert len((await engine.claim(build.request(), build.nonce())).leases) == 1


async def test_two_schemas_are_two_stores(database: str) -> None:
    async with open_engine(database) as one, open_engine(f"{database}?schema=second") as other:
        await one.submit([build.new_job()])
        assert (await other.claim(build.request(), build.nonce())).leases == ()
        await other.submit([build.new_job(), build.new_job()])
        assert len((await other.claim(build.request(), build.nonce())).leases) == 2
        assert len((await one.claim(build.request(), build.nonce())).leases) == 1
    schemas = await execute(database, "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tablename = 'specs'")
    assert sorted(row[0] for row in schemas) == ["second", "tidegate"]


async def test_a_newer_store_is_refused_and_left_alone(database: str) -> None:
    async with open_engine(database):
        pass
    await execute(database, "UPDATE tidegate.alembic_version SET version_num = '0999'")
    with pytest.raises(SchemaMismatch, match=f"has schema 0999, this release knows up to {HEAD}"):
        await open_engine(database).__aenter__()
    assert [row[0] for row in await execute(database, "SELECT version_num FROM tidegate.alembic_version")] == ["0999"]


async def test_a_store_of_an_unknown_schema_is_refused(database: str) -> None:
    async with open_engine(database):
        pass
    await execute(database, "UPDATE tidegate.alembic_version SET version_num = '0000abc'")
    with pytest.raises(SchemaMismatch, match="a schema that no release had"):
        await open_engine(database).__aenter__()


async def test_somebody_elses_schema_is_refused(database: str) -> None:
    await execute(database, "CREATE TABLE public.jobs (id integer)")
    with pytest.raises(SchemaMismatch, match="not Tidegate's"):
        await open_engine(f"{database}?schema=public").__aenter__()


async def test_a_migration_that_fails_leaves_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await execute(database, "CREATE SCHEMA tidegate", "CREATE TYPE tidegate.workers AS (owner text)")
    with pytest.raises(EngineUnavailable):
        await open_engine(database).__aenter__()
    assert await execute(database, "SELECT 1 FROM pg_tables WHERE schemaname = 'tidegate'") == []


async def test_processes_that_migrate_at_once_make_one_store(database: str) -> None:
    source = f"""
import asyncio
from tidegate.engines import open_engine

async def check():
    async with open_engine({database!r}) as engine:
        print((await engine.check()).schema)

asyncio.run(check())
"""
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", source, stdout=subprocess.PIPE) for _ in range(3)
    ]
    shown = await asyncio.gather(*(process.communicate() for process in processes))
    assert [text.decode() for text, _ in shown] == [f"{HEAD}\n"] * 3


def test_opening_a_store_at_the_newest_schema_loads_neither_alembic_nor_sqlalchemy() -> None:
    source = f"""
import asyncio, sys
from tests.servers.postgres import new_database
from tidegate.engines import open_engine

async def check():
    database = await new_database({shared()!r})
    async with open_engine(database):
        pass
    for name in [name for name in sys.modules if name.split(".")[0] in ("alembic", "sqlalchemy")]:
        del sys.modules[name]
    async with open_engine(database) as engine:
        await engine.check()

asyncio.run(check())
print([name for name in ("alembic", "sqlalchemy") if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout == "[]\n"


async def test_a_store_whose_tables_vanish_says_that_its_schema_changed(database: str) -> None:
    async with open_engine(database) as engine:
        await execute(database, "DROP SCHEMA tidegate CASCADE")
        with pytest.raises(SchemaMismatch, match="restart"):
            await engine.submit([build.new_job()])
