"""What a server can be held to, and what is refused."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.engines.redis.proxy import proxied
from tests.engines.redis.stores import keyspace
from tests.servers.valkey import Valkey, newest, oldest, valkey
from tidegate.core.job import Owner
from tidegate.core.query import WorkerInfo
from tidegate.core.verbs import Health
from tidegate.engines import open_engine
from tidegate.engines.redis.engine import RedisEngine
from tidegate.errors import ConfigError, EngineUnavailable, SchemaMismatch

LOGGED = {"appendonly": "yes"}
LISTED = WorkerInfo(
    owner=Owner("w"), host="h", pid=1, started_at=datetime(2026, 1, 1, tzinfo=UTC), version="1", slots=1
)
KEPT = {"appendonly": "yes", "appendfsync": "always"}


async def checked(url: str) -> Health:
    async with RedisEngine(url) as engine:
        return await engine.check()


@pytest.mark.parametrize(
    ("settings", "durability"),
    [({}, "none"), (LOGGED, "interval"), (KEPT, "fsync"), ({**LOGGED, "appendfsync": "no"}, "none")],
)
async def test_the_durability_is_what_the_server_s_settings_give(settings: dict[str, str], durability: str) -> None:
    with valkey(**settings) as server:
        health = await checked(server.url(durability="none"))
        assert (health.durability, health.schema) == (durability, "1")
        assert health.engine in ("redis", "valkey")
        assert health.version.split(".")[0] in ("6", "7", "8", "9")


@pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)
async def test_a_log_that_is_not_synced_while_it_is_rewritten_is_synced_at_intervals(program: Path) -> None:
    with valkey(program, **KEPT, no_appendfsync_on_rewrite="yes") as server:
        assert (await checked(server.url(durability="interval"))).durability == "interval"
        with pytest.raises(ConfigError, match="fsync was asked for"):
            await checked(server.url(durability="fsync"))


@pytest.mark.parametrize(
    ("settings", "wanted"), [({}, "interval"), ({}, "fsync"), (LOGGED, "fsync"), (KEPT, "replicated")]
)
async def test_less_durability_than_was_asked_for_is_refused(settings: dict[str, str], wanted: str) -> None:
    with valkey(**settings) as server, pytest.raises(ConfigError, match=f"{wanted} was asked for"):
        await checked(server.url(durability=wanted))


async def test_a_store_that_may_lose_jobs_is_warned_of_once_where_nothing_was_asked_for(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with valkey(**LOGGED) as server:
        async with RedisEngine(server.url()) as engine:
            await engine.check()
            await engine.stats()
        [warned] = caplog.records
        assert (warned.levelname, warned.args) == ("WARNING", ("interval",))
        await checked(server.url(durability="interval"))
        assert len(caplog.records) == 1
    assert capsys.readouterr().out == "", "an embedding program's stdout is its own"


async def test_a_database_that_does_not_exist_and_a_password_that_is_missing_are_told_apart() -> None:
    with valkey() as server:
        with pytest.raises(ConfigError, match="there is no database"):
            await checked(server.url().replace("/0", "/99"))
        async with keyspace(server) as keys:
            await keys.ask("CONFIG", "SET", "requirepass", "secret")
        with pytest.raises(ConfigError, match="the store wants a password"):
            await checked(server.url())
        with pytest.raises(ConfigError, match="refused the user or password"):
            await checked(server.url().replace("://", "://:wrong@"))


async def test_a_store_that_drops_keys_to_make_room_is_refused_and_later_called_unwell() -> None:
    with valkey() as server:
        async with RedisEngine(server.url()) as engine:
            server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            with pytest.raises(EngineUnavailable, match="noeviction"):
                await engine.check()
        with pytest.raises(ConfigError, match="noeviction"):
            await checked(server.url())
        assert (await checked(server.url(durability="none"))).durability == "none"


async def test_a_class_that_is_lost_while_open_is_told_by_check() -> None:
    with valkey(**KEPT) as server:
        async with RedisEngine(server.url(durability="fsync")) as engine:
            server.ask("CONFIG", "SET", "appendfsync", "everysec")
            with pytest.raises(EngineUnavailable, match="durability is interval"):
                await engine.check()


@contextmanager
def _pair() -> Iterator[tuple[Valkey, Valkey]]:
    """A primary and its replica, connected."""
    with valkey(repl_diskless_sync_delay="0") as primary, valkey(replicaof=f"127.0.0.1 {primary.port}") as replica:
        while primary.ask("WAIT", "1", "100") != ":1":
            primary.ask("SET", "anything", "x")
        yield primary, replica


async def test_a_replica_is_refused_and_its_primary_can_be_replicated() -> None:
    with _pair() as (primary, replica):
        with pytest.raises(ConfigError, match="is a replica"):
            await checked(replica.url())
        assert (await checked(primary.url(durability="replicated"))).durability == "replicated"


async def test_a_server_that_became_a_replica_is_left_for_whoever_answers_next() -> None:
    with _pair() as (primary, replica):
        async with proxied(primary.port) as proxy, RedisEngine(proxy.url("?durability=none")) as engine:
            await engine.announce(LISTED, timedelta(seconds=60))
            primary.ask("REPLICAOF", "127.0.0.1", str(replica.port))
            replica.ask("REPLICAOF", "NO", "ONE")
            with pytest.raises(EngineUnavailable):
                await engine.announce(LISTED, timedelta(seconds=60))
            proxy.upstream_port = replica.port
            await engine.announce(LISTED, timedelta(seconds=60))
            assert await engine.workers() == [LISTED]
            assert proxy.connections == 2


async def test_a_server_that_became_a_replica_answers_no_reads_of_a_new_connection() -> None:
    with _pair() as (primary, replica):
        async with proxied(primary.port) as proxy, RedisEngine(proxy.url("?durability=none")) as engine:
            await engine.stats()
            primary.ask("REPLICAOF", "127.0.0.1", str(replica.port))
            proxy.cut()
            await asyncio.sleep(0.05)
            with pytest.raises(EngineUnavailable, match="replica"):
                await engine.stats()


async def test_a_replicated_store_whose_replica_is_gone_acknowledges_nothing() -> None:
    with _pair() as (primary, replica):
        async with RedisEngine(primary.url(durability="replicated", timeout="2")) as engine:
            await engine.give_back("nothing")
            replica.kill()
            with pytest.raises(EngineUnavailable, match="replica"):
                await engine.give_back("nothing")


async def test_a_namespace_of_another_release_is_refused() -> None:
    with valkey() as server:
        await checked(server.url(durability="none"))
        assert server.ask("SET", "tg:{tidegate}:schema", "2") == "+OK"
        with pytest.raises(SchemaMismatch, match="another release"):
            await checked(server.url(durability="none"))


async def test_a_server_that_hides_its_settings_is_taken_for_what_it_shows() -> None:
    with valkey(**KEPT) as server:
        server.ask("ACL", "SETUSER", "default", "-config")
        assert (await checked(server.url())).durability == "interval"


async def test_an_engine_that_is_not_open_says_so() -> None:
    with valkey() as server:
        engine = RedisEngine(server.url(durability="none"))
        with pytest.raises(EngineUnavailable, match="not open"):
            await engine.stats()
        async with engine:
            await engine.stats()
        with pytest.raises(EngineUnavailable, match="not open"):
            await engine.stats()


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_each_scheme_opens_this_engine(scheme: str) -> None:
    assert isinstance(open_engine(f"{scheme}:///tmp/x" if scheme == "unix" else f"{scheme}://h"), RedisEngine)
