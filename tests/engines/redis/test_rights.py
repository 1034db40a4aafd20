"""The rights that the documentation tells users to grant are enough, and none is too many."""

import re
from pathlib import Path

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce, seconds
from tests.docs.pages import DOCS, blocks
from tests.engines.redis.stores import keyspace, opened
from tests.engines.redis.test_damage import VERBS, lived_in
from tests.servers.valkey import newest, oldest, valkey
from tidegate.core.job import Bury, Phase
from tidegate.core.query import JobQuery
from tidegate.engines.redis.engine import RedisEngine
from tidegate.errors import ConfigError

PAGE = DOCS / "how-to" / "run-on-redis.md"
RARELY = {"wait", "unsubscribe", "select", "append", "setrange", "config|get"}
"""Needed for what this test does not do on every server: replicas, long histories, other databases."""
OUTSIDE = {"info", "config|get", "select", "wait", "eval", "evalsha", "subscribe", "unsubscribe"}
"""Rights that no script uses."""


def _documented() -> list[str]:
    (command,) = (block.text for block in blocks(PAGE) if "ACL SETUSER" in block.text)
    return command.split()


@pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)
async def test_a_user_with_the_documented_rights_can_do_all_and_nothing_is_granted_in_vain(program: Path) -> None:
    with valkey(program) as server:
        assert server.ask(*_documented()) == "+OK"
        url = server.url(durability="none").replace("redis://", "redis://tidegate:PASSWORD@")
        async with opened(url) as harness, keyspace(server) as keys, RedisEngine(url) as on_its_own_clock:
            await keys.ask("CONFIG", "RESETSTAT")
            ids, leases = await lived_in(harness)
            for verb in VERBS.values():
                await verb(harness, ids, leases)
            await harness.engine.wait(["queue:default"], seconds(0.01))
            await harness.engine.find(JobQuery(phase=Phase.READY, created_from=harness.clock.now()))
            await on_its_own_clock.stats()
            await on_its_own_clock.check()
            used = re.findall(r"cmdstat_([a-z|]+):", str(await keys.ask("INFO", "commandstats")))
        granted = {word.removeprefix("+") for word in _documented() if word.startswith("+")}
        assert granted - set(used) - RARELY == set()


async def test_a_namespace_that_is_not_the_user_s_is_refused_by_the_server() -> None:
    with valkey() as server:
        server.ask(*_documented())
        url = server.url(namespace="other", durability="none").replace("redis://", "redis://tidegate:PASSWORD@")
        with pytest.raises(ConfigError, match="lacks a right"):
            async with opened(url):
                pass


async def test_a_right_that_a_script_lacks_is_named_as_such() -> None:
    with valkey() as server:
        async with opened(server.url(durability="none")) as harness:
            lease = await build.start(harness)
            server.ask("ACL", "SETUSER", "default", "-zadd")
            with pytest.raises(ConfigError, match="lacks a right"):
                await harness.engine.submit([new_job()])
            server.ask("ACL", "SETUSER", "default", "+zadd")
            await build.end(harness, lease, Bury(failure=build.failure()))
            assert await harness.engine.cancel([lease.job.id], nonce()) == ["finished"]


@pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)
async def test_every_right_that_a_script_needs_is_asked_for_at_open_and_leaves_nothing(program: Path) -> None:
    with valkey(program) as server:
        server.ask(*_documented())
        url = server.url(durability="none").replace("redis://", "redis://tidegate:PASSWORD@")
        async with RedisEngine(url), keyspace(server) as keys:
            assert await keys.keys() == ["tg:{tidegate}:schema"]
        for right in (word for word in _documented() if word.startswith("+") and word[1:] not in OUTSIDE):
            server.ask("ACL", "SETUSER", "tidegate", f"-{right[1:]}")
            with pytest.raises(ConfigError, match=rf"lacks .*({right[1:]}|user executing)"):
                async with RedisEngine(url):
                    pass
            server.ask("ACL", "SETUSER", "tidegate", right)
        server.ask("ACL", "SETUSER", "tidegate", "resetchannels")
        with pytest.raises(ConfigError, match=r"lacks .*publish"):
            async with RedisEngine(url):
                pass


@pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)
async def test_a_channel_that_is_lost_later_costs_hints_and_no_answers(program: Path) -> None:
    with valkey(program) as server:
        server.ask(*_documented())
        url = server.url(durability="none").replace("redis://", "redis://tidegate:PASSWORD@")
        async with opened(url) as harness:
            server.ask("ACL", "SETUSER", "tidegate", "resetchannels")
            lease = await build.start(harness)
            await build.end(harness, lease, Bury(failure=build.failure()))
