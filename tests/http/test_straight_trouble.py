"""The short way in trouble: peers that leave, stop or do not read, stores that refuse, servers that stop."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import islice

import httpx2
import pytest
from uvicorn.server import ServerState

from tests.http.calls import problem
from tests.http.handlers import application
from tests.http.raw import LAST, a_submit, answers_in, submitted, wired
from tests.http.reach import served
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.job import NewJob
from tidegate.core.verbs import Receipt
from tidegate.engines.memory import MemoryEngine
from tidegate.errors import InvalidInput
from tidegate.http.app import create_app
from tidegate.http.guards.limits import Grant, Limits
from tidegate.http.protocol import GuardedProtocol
from tidegate.http.server import Server, uvicorn_config


@pytest.fixture
async def held(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """The store takes jobs once this is set."""
    go, submit = asyncio.Event(), MemoryEngine.submit

    async def later(engine: MemoryEngine, jobs: Sequence[NewJob]) -> list[Receipt]:
        await go.wait()
        return await submit(engine, jobs)

    monkeypatch.setattr(MemoryEngine, "submit", later)
    return go


async def _so_many(taken: list[bytes], count: int) -> None:
    """Wait until so many requests have gone straight."""
    for _ in range(2_000):
        if len(taken) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(taken)} of {count} requests went straight")


async def test_whoever_leaves_meanwhile_harms_nobody_and_has_made_a_job(
    server: httpx2.AsyncClient, held: asyncio.Event, taken: list[bytes]
) -> None:
    async with wired(server) as stays:
        async with wired(server) as leaves:
            await leaves.send(a_submit(b'{"type":"echo"}'))
            await stays.send(a_submit(b'{"type":"echo"}', LAST))
            await _so_many(taken, 2)
        held.set()
        assert answers_in(await stays.rest())[0][0] == 201
    assert len((await server.get("/jobs")).json()["items"]) == 2


async def test_what_is_under_way_when_the_server_stops_is_answered(
    app: Tidegate, settings: Settings, held: asyncio.Event, taken: list[bytes]
) -> None:
    server = Server(app, settings, worker=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        await server.started.wait()
        async with httpx2.AsyncClient(base_url=server.url) as client, wired(client) as wire:
            await wire.send(a_submit(b'{"type":"echo"}'))
            await _so_many(taken, 1)
            server.stop()
            answer = asyncio.create_task(wire.rest())
            await asyncio.sleep(0.1)  # for the server to stop in, which takes it no answer
            held.set()
            said = await answer
    assert answers_in(said)[0][0] == 201
    assert b"connection: close" in said


async def test_plain_requests_count_among_those_that_are_answered_at_a_time(
    settings: Settings, held: asyncio.Event, taken: list[bytes]
) -> None:
    settings = settings.model_copy(update={"http_requests": 3})
    async with served(application(settings), settings) as server, asyncio.TaskGroup() as group:
        busy = [group.create_task(submitted(server, b'{"type":"echo"}')) for _ in range(3)]
        await _so_many(taken, 3)
        problem(await server.post("/jobs", json={"type": "echo"}), 503, "overloaded")
        held.set()
    assert [task.result() for task in busy] == [201] * 3


async def test_a_body_that_stops_behind_another_request_is_cut_off_too(settings: Settings) -> None:
    settings = settings.model_copy(update={"http_receive_timeout": timedelta(seconds=1)})
    async with served(application(settings), settings) as server, wired(server) as wire:
        request = a_submit(b'{"type":"echo"}')
        await wire.send(request + request[:-3])
        said = await wire.rest()
    assert [status for status, _ in answers_in(said)] == [201, 408]


async def test_who_sends_the_head_first_counts_among_those_that_are_answered_at_a_time(
    settings: Settings, held: asyncio.Event, taken: list[bytes]
) -> None:
    settings = settings.model_copy(update={"http_requests": 3})
    request = a_submit(b'{"type":"echo"}', LAST)
    async with served(application(settings), settings) as server, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(wired(server)) for _ in range(12)]
        for wire in wires:
            await wire.send(request[:-3])
        await asyncio.sleep(0.2)
        for wire in wires:
            await wire.send(request[-3:])
        answers = [asyncio.create_task(wire.rest()) for wire in wires]
        await _so_many(taken, 3)
        for refused in islice(asyncio.as_completed(answers), 9):
            assert answers_in(await refused)[0][0] == 503
        held.set()
        statuses = [answers_in(await answer)[0][0] for answer in answers]
    assert sorted(statuses) == [201] * 3 + [503] * 9


async def test_a_large_body_goes_the_long_way_wherever_it_stands(
    server: httpx2.AsyncClient, taken: list[bytes]
) -> None:
    small, large = b'{"type":"echo"}', b'{"type":"echo","payload":{"text":"%b"}}' % (b"a" * 70_000)
    async with wired(server) as wire:
        said = await wire.ask(a_submit(small) + a_submit(large, LAST))
    assert [status for status, _ in answers_in(said)] == [201, 201]
    assert taken == [small]


async def test_a_repeat_is_answered_though_its_type_has_gone(settings: Settings) -> None:
    settings = settings.model_copy(update={"engine": ""})
    said = {"type": "echo", "idempotency_key": "k"}
    async with served(application(settings), settings) as server:
        first = (await server.post("/jobs", json=said)).json()["job_id"]
    async with served(Tidegate(settings), settings) as server:
        again = await server.post("/jobs", json=said)
        problem(await server.post("/jobs", json=said | {"idempotency_key": "other"}), 422, "unknown-job-type")
    assert (again.status_code, again.json()["job_id"]) == (200, first)


async def test_a_refused_job_holds_up_nobody_who_was_stored_with_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, go_on = MemoryEngine.submit, asyncio.Event()

    async def picky(engine: MemoryEngine, jobs: Sequence[NewJob]) -> list[Receipt]:
        if any(job.spec.priority == 1 for job in jobs):
            raise InvalidInput("priority", "not 1")
        return await submit(engine, jobs)

    async def slow(_limits: Limits, _grant: Grant) -> None:
        await go_on.wait()

    monkeypatch.setattr(MemoryEngine, "submit", picky)
    monkeypatch.setattr(Limits, "give_back", slow)
    settings = settings.model_copy(update={"limit_user_per_hour": 100})
    async with served(application(settings), settings) as server, asyncio.TaskGroup() as group:
        asked = [group.create_task(submitted(server, b'{"type":"echo","priority":%d}' % n)) for n in range(5)]
        async with asyncio.timeout(20):
            await asyncio.gather(asked[0], *asked[2:])
        assert not asked[1].done()
        go_on.set()
    assert [task.result() for task in asked] == [201, 422, 201, 201, 201]


class _Deaf(asyncio.Transport):
    """A connection whose peer reads nothing."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        """Nothing comes of it."""

    def pause_reading(self) -> None:
        """Nothing comes anyway."""

    def resume_reading(self) -> None:
        """Nothing comes anyway."""

    def close(self) -> None:
        """It has no end to come to."""

    def abort(self) -> None:
        """Nor this one."""


async def test_who_reads_no_answers_goes_the_long_way_where_they_wait_for_him(
    app: Tidegate, settings: Settings, taken: list[bytes]
) -> None:
    api = create_app(app, worker=False)
    config = uvicorn_config(api, settings)
    config.straight = api.straight
    config.load()
    async with app.connected():
        connection = GuardedProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        connection.connection_made(_Deaf())
        connection.data_received(a_submit(b'{"type":"echo","priority":1}'))
        await asyncio.sleep(0.05)
        connection.pause_writing()
        connection.data_received(a_submit(b'{"type":"echo","priority":2}'))
        await asyncio.sleep(0.05)
        connection.connection_lost(None)
    assert taken == [b'{"type":"echo","priority":1}']
