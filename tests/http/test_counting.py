"""Requests that meet are counted in one call of the store, and each is told what it would be told alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.worker.house import STORES, url_of
from tidegate.core.verbs import Take, Taken
from tidegate.engines import open_engine
from tidegate.engines.memory import MemoryEngine
from tidegate.errors import EngineUnavailable, RateLimited
from tidegate.http.guards.limits import Grant, Limits
from tidegate.ports import Engine

HOUR = timedelta(hours=1)


def _job(user: str, *, limit: int = 10) -> list[Take]:
    """What a job of this user's, from the one address that there is, counts against."""
    address = Take(key="post:ip:a", n=1, limit=100, window=HOUR)
    return [address, Take(key=f"enqueue:user:{user}", n=1, limit=limit, window=HOUR)]


def _left(grant: Grant) -> int:
    return int(grant.headers["RateLimit-Remaining"])


class _Counted(MemoryEngine):
    """Counts its calls; `away`, it answers none."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.away = 0, False

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        self.calls += 1
        if self.away:
            raise EngineUnavailable("the store is away")
        return await super().take(takes, nonce)


@pytest.fixture
def engine() -> _Counted:
    return _Counted()


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    async with url_of(request.param, tmp_path) as url, open_engine(url) as opened:
        yield opened


async def _together(limits: Limits, asked: Sequence[Sequence[Take]]) -> list[Grant | BaseException]:
    return await asyncio.gather(*(limits.share(takes) for takes in asked), return_exceptions=True)


async def test_requests_that_meet_cost_one_call(engine: _Counted) -> None:
    limits = Limits(lambda: engine)
    grants = await _together(limits, [_job(f"user-{number}") for number in range(30)])
    assert (engine.calls, [isinstance(grant, Grant) for grant in grants]) == (1, [True] * 30)


async def test_each_is_told_what_was_left_when_it_came(store: Engine) -> None:
    grants = await _together(Limits(lambda: store), [_job("ada"), _job("ada"), _job("bob"), _job("ada")])
    assert [_left(grant) for grant in grants if isinstance(grant, Grant)] == [9, 8, 9, 7]


async def test_who_is_over_the_limit_is_refused_and_nobody_else(store: Engine) -> None:
    limits = Limits(lambda: store)
    asked = [_job("ada", limit=2), _job("bob"), _job("ada", limit=2), _job("ada", limit=2), _job("bob")]
    grants = await _together(limits, asked)
    refused = [place for place, grant in enumerate(grants) if isinstance(grant, RateLimited)]
    assert (len(refused), set(refused) < {0, 2, 3}) == (1, True)
    last = await limits.share([Take(key="post:ip:a", n=1, limit=100, window=HOUR)])
    assert _left(last) == 100 - 5


async def test_what_shared_a_call_is_uncounted_once_all_have_given_it_back(engine: _Counted) -> None:
    limits = Limits(lambda: engine)
    one, two = await _together(limits, [_job("ada"), _job("ada")])
    assert isinstance(one, Grant)
    assert isinstance(two, Grant)
    await limits.give_back(one)
    assert _left(await limits.share(_job("ada"))) == 7
    await limits.give_back(two)
    assert _left(await limits.share(_job("ada"))) == 8


async def test_while_the_store_is_away_all_that_meet_go_through(engine: _Counted) -> None:
    engine.away = True
    grants = await _together(Limits(lambda: engine), [_job("ada", limit=1), _job("ada", limit=1)])
    assert [grant.headers for grant in grants if isinstance(grant, Grant)] == [{}, {}]
