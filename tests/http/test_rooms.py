"""Room for streams and long polls: by user, by address, in all; and that whoever leaves gives his places back."""

import asyncio
from itertools import repeat
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import post, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached, served
from tests.http.streaming import finish
from tests.worker.house import soon
from tidegate.config import Settings, load
from tidegate.errors import RateLimited
from tidegate.http.live.rooms import Bounds, Guest, Room, Rooms

EVERYBODY = {"X-User-ID": "*"}
ADA, BOB, OPERATOR = Guest("ada", "10.0.0.1"), Guest("bob", "10.0.0.1"), Guest(None, "10.0.0.1")


@pytest.mark.parametrize(
    ("bounds", "inside", "refused", "said"),
    [
        (Bounds(user=1, address=0, all=0), [ADA], Guest("ada", "10.0.0.2"), "this user"),
        (Bounds(user=0, address=2, all=0), [ADA, BOB], OPERATOR, "this address"),
        (Bounds(user=0, address=1, all=0), [OPERATOR], ADA, "this address"),
        (Bounds(user=0, address=0, all=1), [OPERATOR], Guest("bob", "10.0.0.2"), "this server"),
    ],
)
def test_each_bound_holds_until_somebody_leaves(bounds: Bounds, inside: list[Guest], refused: Guest, said: str) -> None:
    room = Room("streams", lambda: bounds)
    for guest in inside:
        room.enter(guest)
    with pytest.raises(RateLimited, match=f"{len(inside)} streams of {said} are open"):
        room.enter(refused)
    assert room.count == len(inside)
    room.leave(inside[0])
    room.enter(refused)


def test_who_comes_from_nowhere_and_operators_are_bounded_by_what_is_theirs_only() -> None:
    room = Room("streams", lambda: Bounds(user=1, address=1, all=0))
    for _ in range(3):
        room.enter(Guest(None, ""))
    assert room.count == 3


def test_zero_is_any_number() -> None:
    told = load(engine="memory://", limit_waits_per_user=0, limit_waits_per_address=0, limit_waits=0)
    rooms = Rooms(lambda: told)
    for _ in range(2_000):
        rooms.waits.enter(ADA)
    assert rooms.counts() == {"stream": 0, "wait": 2_000}


def _settings(folder: Path, **changes: object) -> Settings:
    return plain_settings(folder).model_copy(update=changes)


async def _taken(api: httpx2.AsyncClient, count: int) -> None:
    async with asyncio.timeout(20):
        for pause in repeat(0.01):
            if f'tidegate_http_lasting{{kind="wait"}} {count:.1f}' in (await api.get("/metrics")).text:
                return
            await asyncio.sleep(pause)


async def test_behind_a_trusted_proxy_each_client_has_an_address_of_its_own(tmp_path: Path) -> None:
    trusting = load(engine="memory://", trusted_proxies="127.0.0.1").trusted_proxies
    app = application(_settings(tmp_path, limit_waits_per_address=1, trusted_proxies=trusting, auth="none"))
    async with reached(app, worker=False) as api:
        job_id = await post(api)
        path, theirs = f"/jobs/{job_id}/status", {"X-Forwarded-For": "203.0.113.8"}
        mine = {"X-Forwarded-For": "1.2.3.4, 203.0.113.7"}
        waiting = asyncio.create_task(api.get(path, params={"wait": 60}, headers=mine))
        await _taken(api, 1)
        problem(await api.get(path, params={"wait": 1}, headers=mine | EVERYBODY), 429, "rate-limited")
        assert (await api.get(path, params={"wait": "0.01"}, headers=theirs)).status_code == 200
        await finish(app, job_id)
        assert (await soon(waiting, within=20)).status_code == 200


async def test_an_operator_s_stream_takes_a_place_of_the_address(tmp_path: Path) -> None:
    settings = _settings(tmp_path, limit_streams_per_address=1)
    async with served(application(settings), settings) as client:
        job_id = await post(client)
        async with client.stream("GET", "/events", headers=EVERYBODY) as stream:
            assert stream.status_code == 200
            refused = problem(await client.get(f"/jobs/{job_id}/events"), 429, "rate-limited")
            assert str(refused["detail"]).startswith("1 streams of this address are open")
