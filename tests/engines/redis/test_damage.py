"""A store in which something is not what it should be: a verb does all of its work or none of it."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from importlib.resources import files

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce, seconds
from tests.conformance.eventful import eventful
from tests.conformance.harness import Harness
from tests.conformance.situations import of_each_status, parked
from tests.engines.redis.stores import Keyspace, fresh_url, keyspace, opened
from tests.servers.valkey import Valkey
from tidegate.core.job import Bury, Defer, Ending, JobId, Lease, Owner, Refund, Retry, Settlement, Succeed, Token
from tidegate.core.query import JobQuery, WorkerInfo
from tidegate.core.verbs import Beat, Gate, Pace, Swap, Take
from tidegate.engines.redis.address import read_address
from tidegate.engines.redis.scripts import Scripts
from tidegate.errors import TidegateError

Verb = Callable[[Harness, list[JobId], list[Lease]], Awaitable[object]]

SCRIPTS = [
    path.name.removesuffix(".lua")
    for path in (files("tidegate.engines.redis") / "lua").iterdir()
    if path.name.endswith(".lua")
]
TAKE = Take(key="k", n=2, limit=9, window=timedelta(seconds=60))


def info(harness: Harness) -> WorkerInfo:
    return WorkerInfo(owner=Owner("w"), host="h", pid=1, started_at=harness.clock.now(), version="1", slots=1)


def endings(leases: list[Lease]) -> list[Ending]:
    settlements: tuple[Settlement, ...] = (
        Succeed(result=b"x" * 9_000),
        Retry(delay=seconds(0), failure=build.failure()),
        Defer(delay=seconds(60), refund=Refund.CRASH, lane=build.lane("new")),
        Bury(failure=build.failure()),
    )
    then = (new_job(payload=b"y" * 9_000),)
    return [
        Ending(job_id=lease.job.id, token=lease.token, settlement=how, then=then)
        for lease, how in zip(leases, settlements, strict=False)
    ]


def swap() -> Swap:
    gates = (Gate(name="upstream:shut", limit=5, era=9), Gate(name="queue:default", pace=Pace(period=seconds(1))))
    return Swap(kind="upstream", key="new", value=b"{}", expected=0, nonce=nonce(), gates=gates)


VERBS: Mapping[str, Verb] = {
    "submit": lambda h, ids, ls: h.engine.submit(
        [new_job(idempotency_key="fresh", payload=b"z" * 9_000), new_job(delay=seconds(5))]
    ),
    "known": lambda h, ids, ls: h.engine.known([("ada", "key")]),
    "claim": lambda h, ids, ls: h.engine.claim(build.request(), nonce()),
    "renew": lambda h, ids, ls: h.engine.renew([Beat(x.job.id, x.token) for x in ls], seconds(60)),
    "settle": lambda h, ids, ls: h.engine.settle(endings(ls)),
    "reclaim": lambda h, ids, ls: h.engine.reclaim(build.reclaim_request(dead=(build.WORKER,)), nonce()),
    "cancel": lambda h, ids, ls: h.engine.cancel(ids, nonce()),
    "revive": lambda h, ids, ls: h.engine.revive(ids, nonce()),
    "dismiss": lambda h, ids, ls: h.engine.dismiss(ids),
    "prune": lambda h, ids, ls: h.engine.prune(100),
    "get": lambda h, ids, ls: h.engine.get(ids),
    "bodies": lambda h, ids, ls: h.engine.bodies(ids),
    "find": lambda h, ids, ls: h.engine.find(JobQuery()),
    "history": lambda h, ids, ls: h.engine.history(ids[0]),
    "events": lambda h, ids, ls: h.engine.events("0-0"),
    "stats": lambda h, ids, ls: h.engine.stats(),
    "load": lambda h, ids, ls: h.engine.load("upstream", ["one"]),
    "swap": lambda h, ids, ls: h.engine.swap(swap()),
    "scan": lambda h, ids, ls: h.engine.scan("upstream"),
    "take": lambda h, ids, ls: h.engine.take([TAKE], nonce()),
    "give_back": lambda h, ids, ls: h.engine.give_back("granted"),
    "announce": lambda h, ids, ls: h.engine.announce(info(h), seconds(60)),
    "workers": lambda h, ids, ls: h.engine.workers(),
    "holders": lambda h, ids, ls: h.engine.holders(),
}


async def lived_in(harness: Harness) -> tuple[list[JobId], list[Lease]]:
    """A store with something in every place: its jobs, and the leases still held."""
    await eventful(harness)
    await harness.engine.take([TAKE], "granted")
    await harness.engine.announce(info(harness), seconds(0.5))
    over = await build.finish(harness, Bury(failure=build.failure()), idempotency_key="old")
    await build.submit(harness, new_job(idempotency_key="key", expires_at=harness.clock.now() + seconds(1)))
    harness.advance(86_401)
    ids = [over, await parked(harness), *(await of_each_status(harness)).values()]
    ids += await build.submit(harness, *(new_job(user_id=f"u{n}", priority=n) for n in range(6)))
    leases = list((await build.claim(harness, limit=4)).leases)
    await harness.engine.cancel([leases[0].job.id], nonce())
    return ids, [*leases[1:], leases[0]]


async def _spoil(keys: Keyspace, key: str) -> None:
    """Put something of another type in the place of a key."""
    kind = await keys.ask("TYPE", key)
    await keys.ask("DEL", key)
    await (keys.ask("RPUSH", key, "?") if kind == b"string" else keys.ask("SET", key, "?"))


@pytest.mark.slow
async def test_a_key_of_the_wrong_type_leaves_nothing_half_done(server: Valkey) -> None:
    """Each key in turn, each verb in turn."""
    async with keyspace(server) as keys, opened(fresh_url(server)) as harness:
        ids, leases = await lived_in(harness)
        whole = await keys.dump()
        prefix = next(iter(whole)).partition("}")[0] + "}:"
        half: list[tuple[str, str]] = []
        for key in whole:
            for name, verb in VERBS.items():
                await _spoil(keys, key)
                before = await keys.dump()
                try:
                    await verb(harness, ids, leases)
                except TidegateError:
                    if await keys.dump() != before:
                        half.append((key.removeprefix(prefix)[:14], name))
                await keys.ask("FLUSHALL")
                for name_, value in whole.items():
                    assert isinstance(value, bytes)
                    await keys.ask("RESTORE", name_, 0, value)
        assert half == [], half


@pytest.mark.parametrize("args", [["x"], ["x"] * 2, ["-1"] * 3, ["", "1", "2", "3", "4", "5", "6"]])
async def test_arguments_that_make_no_sense_leave_nothing_half_done(server: Valkey, args: list[str]) -> None:
    url = fresh_url(server)
    async with keyspace(server) as keys, opened(url) as harness:
        await lived_in(harness)
        scripts = Scripts(keys.links, read_address(url).prefix, None)
        for name in SCRIPTS:
            before = await keys.dump()
            try:
                await scripts.run(name, *args)
            except TidegateError:
                assert await keys.dump() == before, name


async def test_a_lost_token_finds_nothing_to_change(server: Valkey) -> None:
    async with keyspace(server) as keys, opened(fresh_url(server)) as harness:
        ids, _ = await lived_in(harness)
        before = await keys.dump()
        await harness.engine.renew([Beat(job_id, Token("0" * 32 + ".0")) for job_id in ids], seconds(60))
        assert await keys.dump() == before
