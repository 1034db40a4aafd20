"""No user gets at another's things: every route, asked by strangers in every way of getting in, on every store."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx2
import pytest
from fastapi.routing import APIRoute

from tests.http.calls import BOB, fields, post, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, served
from tests.http.stranger_rows import ROWS
from tests.http.strangers import OWNER, SECRET, STRANGER, Ask, Row, Things, Verdict, World, world
from tests.http.streaming import listening
from tests.worker.house import url_of
from tidegate.app import Tidegate
from tidegate.http.app import create_app
from tidegate.http.guards.auth import LOCAL_NAMES, OPEN, SAFE
from tidegate.http.openapi import operation_id

STORES = ("sqlite", "valkey", "postgres")
ROUTES = {
    operation_id(route): (next(iter(route.methods)), route.path)
    for route in create_app(Tidegate()).routes
    if isinstance(route, APIRoute) and route.methods
}
WORLDS = [(store, keyed) for store in STORES for keyed in (True, False)]
NOTHING = Things()


@pytest.fixture(scope="module")
async def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world where the owner has one of everything."""
    store, keyed = request.param
    async with world(store, tmp_path_factory.mktemp("world"), keyed=keyed) as found:
        yield found


def test_every_route_has_a_row() -> None:
    assert set(ROWS) == set(ROUTES)


@pytest.mark.parametrize("operation", sorted(set(ROUTES) & set(ROWS)))
@pytest.mark.parametrize("made", WORLDS, indirect=True, ids=lambda of: f"{of[0]}, {'' if of[1] else 'no '}keys")
async def test_a_stranger_gets_nothing_and_changes_nothing(made: World, operation: str) -> None:
    before = await made.standing()
    for way in made.strangers:
        made.enter(way)
        for row in ROWS[operation]:
            if row.verdict is not Verdict.STREAM and not (way == "open" and _allowed(row.verdict)):
                await _try(made, operation, row, way)
    if ROUTES[operation][0] not in SAFE:
        assert await made.standing() == before


def _allowed(verdict: Verdict) -> bool:
    """Whether it is for whoever is on this machine, while there is no key."""
    return verdict in (Verdict.ROLE, Verdict.OPERATORS)


async def _try(made: World, operation: str, row: Row, way: str) -> None:
    things, nothing = made.things, Things(own=made.things.own, receiver=made.things.receiver)
    headers = made.strangers[way]
    for ask, vain in zip(row.asks(things), row.asks(nothing), strict=True):
        if ask.everybodys and way == "open":
            continue
        answer = await _asked(made.api, operation, ask, headers)
        if row.verdict is Verdict.ROLE or ask.everybodys:
            problem(answer, 403, "access-denied")
        elif row.verdict is Verdict.UNKNOWN or (row.verdict is Verdict.OPERATORS and ask.path):
            same = await _asked(made.api, operation, vain, headers)
            assert _told(answer, things) == _told(same, nothing)
        else:
            _check_blind(answer, ask, things)


async def _asked(api: httpx2.AsyncClient, operation: str, ask: Ask, headers: Mapping[str, str]) -> httpx2.Response:
    method, place = ROUTES[operation]
    for name, value in ask.path.items():
        place = place.replace(f"{{{name}:path}}", value).replace(f"{{{name}}}", value)
    api.cookies.clear()
    return await api.request(method, place, params=dict(ask.query), json=ask.body, headers={**headers, **ask.headers})


def _told(answer: httpx2.Response, things: Things) -> tuple[int, str]:
    """The answer, but for the names in it and what is new each time."""
    text = re.sub(r'"request_id":"[^"]*"', "", answer.text)
    for name, kind in things.names.items():
        text = text.replace(name, f"<{kind}>")
    return answer.status_code, text


def _check_blind(answer: httpx2.Response, ask: Ask, things: Things) -> None:
    """Nothing of the owner's is in the answer, but what the question named."""
    assert answer.status_code < 500, answer.text
    said = f"{answer.text} {answer.headers}"
    assert [mark for mark in (OWNER, SECRET, *things.names) if mark in said and mark not in str(ask)] == []


@pytest.mark.parametrize("store", STORES)
async def test_a_stranger_hears_of_nobodys_steps_but_his_own(store: str, tmp_path: Path) -> None:
    async with url_of(store, tmp_path) as url:
        settings = plain_settings(tmp_path / "data").model_copy(update={"engine": url})
        async with served(application(settings), settings) as api:
            async with listening(api, "/events") as ear:
                theirs = [await post(api)]
                place = (await ear.next(within=30)).id
            theirs.append(await post(api))
            api.headers |= BOB
            mine: list[str] = []
            for known in (None, place):
                async with listening(api, "/events", known) as ear:
                    mine.append(await post(api))
                    told = [await ear.next(within=30) for _ in mine]
                assert [one.data["job_id"] for one in told] == mine
                assert [job_id for job_id in theirs if job_id in str(told)] == []


async def test_a_schedule_that_names_anothers_upload_makes_no_job_of_it(api: httpx2.AsyncClient) -> None:
    file = (await api.post("/uploads", content=b"a")).json()["file"]
    plan = {"expression": "0 3 1 1 *", "type": "measure", "payload": {"file": file}}
    assert (await api.put("/schedules/yearly", json=plan)).status_code == 201
    assert (await api.post("/schedules/yearly/trigger")).status_code == 201
    assert (await api.put("/schedules/yearly", json=plan, headers=BOB)).status_code == 201
    refused = await api.post("/schedules/yearly/trigger", headers=BOB)
    assert fields(problem(refused, 422, "invalid-input")) == ["payload.file"]


async def test_until_there_is_a_key_every_route_is_for_this_machines_own_names(
    app: Tidegate, api: httpx2.AsyncClient
) -> None:
    """A page from elsewhere that a browser on this machine shows comes by a name of its own."""
    rebound = {"Host": "evil.example", "Origin": "http://evil.example", "X-User-ID": STRANGER}
    made = create_app(app)
    setattr(made.state, LOCAL_NAMES, True)
    transport = httpx2.ASGITransport(app=made, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://evil.example", headers=rebound) as page:
        for operation, rows in ROWS.items():
            for ask in (ask for row in rows for ask in row.asks(NOTHING)):
                answer = await _asked(page, operation, ask, {})
                if operation in OPEN:
                    assert answer.status_code != 403
                else:
                    problem(answer, 403, "access-denied")
