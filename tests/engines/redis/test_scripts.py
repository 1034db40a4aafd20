"""The scripts: found again after a server forgot them, and true to their headers."""

import asyncio
from importlib.resources import files
from pathlib import Path

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce
from tests.conformance.eventful import eventful
from tests.engines.redis.stores import fresh_url, keyspace, opened
from tests.servers.valkey import Valkey, newest, oldest, valkey
from tidegate.core.job import Succeed
from tidegate.engines.redis.address import read_address
from tidegate.engines.redis.scripts import script

NAMES = sorted(
    path.name.removesuffix(".lua")
    for path in (files("tidegate.engines.redis") / "lua").iterdir()
    if path.name.endswith(".lua")
)
REFUSED_WHEN_FULL = {"submit", "revive", "swap", "take"}
READING = {"events", "find", "holders", "known", "lines", "load", "scan", "stats", "workers"}


async def test_scripts_that_a_server_forgot_are_sent_again(server: Valkey) -> None:
    async with keyspace(server) as keys, opened(fresh_url(server)) as harness:
        await eventful(harness)
        await keys.ask("SCRIPT", "FLUSH")
        await asyncio.gather(*(build.submit_one(harness) for _ in range(50)))
        await keys.ask("SCRIPT", "FLUSH")
        leases = (await build.claim(harness)).leases
        assert len(leases) == 50
        await keys.ask("SCRIPT", "FLUSH")
        await asyncio.gather(*(build.end(harness, lease, Succeed()) for lease in leases))


@pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)
def test_every_script_loads_on_the_newest_and_the_oldest_server(program: Path) -> None:
    with valkey(program) as server:
        for name in NAMES:
            told = server.ask("SCRIPT", "LOAD", script(name, flagged=program == newest()).text)
            assert told == "$40", f"{name}: {told}"


def test_a_full_store_refuses_only_what_fills_it() -> None:
    said = {name: script(name, flagged=True).flags for name in NAMES}
    assert {name for name, flag in said.items() if flag == ""} == REFUSED_WHEN_FULL
    assert {name for name, flag in said.items() if flag == "no-writes"} == READING
    assert set(said.values()) == {"", "no-writes", "allow-oom"}


async def test_every_key_has_the_namespace_s_hash_tag_so_that_all_share_one_slot(server: Valkey) -> None:
    async with keyspace(server) as keys, opened(fresh_url(server, namespace="one.Slot-7")) as harness:
        await eventful(harness)
        await build.submit(harness, new_job(idempotency_key="k", payload=b"x" * 10_000))
        found = await keys.keys("*one.Slot-7*")
        assert len(found) > 10
        assert {key.partition("}")[0] for key in found} == {"tg:{one.Slot-7"}


async def test_two_namespaces_of_one_server_know_nothing_of_each_other(server: Valkey) -> None:
    one_url, other_url = fresh_url(server), fresh_url(server)
    async with keyspace(server) as keys, opened(one_url) as one, opened(other_url) as other:
        its_keys = f"{read_address(other_url).prefix}*"
        before = await keys.dump(its_keys)
        job = await build.submit_one(one, idempotency_key="k")
        assert await other.engine.get([job]) == [None]
        assert await other.engine.known([("ada", "k")]) == [None]
        assert await build.claimed_ids(other) == []
        assert (await other.engine.stats()).lanes == ()
        assert await other.engine.cancel([job], nonce()) == ["unknown"]
        assert await build.claimed_ids(one) == [job]
        assert await keys.dump(its_keys) == before
