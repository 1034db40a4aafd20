"""How much one user and one address may ask for: exact sliding windows, kept in the engine."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tidegate.clock import token
from tidegate.config import Settings
from tidegate.core.quota import ENQUEUE, enqueued
from tidegate.core.verbs import Take, Taken
from tidegate.errors import EngineError, RateLimited
from tidegate.http.guards.counting import Counted, Counting, Held
from tidegate.http.guards.ratefields import Rate, fields
from tidegate.http.problems import seconds_up
from tidegate.ports import Documents

_log = logging.getLogger(__name__)

MINUTE: Final = timedelta(minutes=1)
_WRONG_KEY: Final = "auth:"


@dataclass(frozen=True, slots=True)
class Grant:
    """What was counted; `headers` tell what is left."""

    held: Held | None
    headers: dict[str, str]


NOTHING_TAKEN: Final = Grant(None, {})


def enqueue(settings: Settings, user_id: str, n: int = 1) -> list[Take]:
    """What `n` accepted jobs count against."""
    return enqueued(user_id, settings.limit_user_per_hour, n)


def post(settings: Settings, address: str) -> list[Take]:
    """What one POST counts against."""
    limit = settings.limit_ip_per_minute
    return [Take(key=f"post:ip:{address}", n=1, limit=limit, window=settings.limit_ip_window)] if limit else []


def wrong_key(address: str, limit: int) -> Take:
    """What one wrong API key counts against."""
    return Take(key=f"{_WRONG_KEY}ip:{address}", n=1, limit=limit, window=MINUTE)


class Limits:
    """Counts in the store. While the store can't count, everything is allowed, and the log says so once."""

    def __init__(self, store: Callable[[], Documents]) -> None:
        self._counting = Counting(store)
        self._counts = True

    async def take(self, takes: Sequence[Take], nonce: str | None = None) -> Grant:
        """Count all of `takes`, or raise RateLimited and count none; under one nonce they count once."""
        return await self._grant(takes, lambda: self._counting.take_once(takes, nonce or token()))

    async def share(self, takes: Sequence[Take]) -> Grant:
        """The same, in one call of the store with other requests' takes that come meanwhile.

        What is given back of it is uncounted once all that shared the call have given theirs back.
        """
        return await self._grant(takes, lambda: self._counting.take(takes))

    async def share_each(self, asked: Sequence[Sequence[Take]]) -> list[Grant | Exception]:
        """What `share` returns or raises for each of several requests that come together."""
        grants = list[Grant | Exception]()
        for takes, counted in zip(asked, await self._counting.take_each(asked), strict=True):
            try:
                grants.append(self._granted(takes, counted) if takes else NOTHING_TAKEN)
            except RateLimited as exc:
                grants.append(exc)
        return grants

    async def give_back(self, grant: Grant) -> None:
        """Uncount a grant; where the store can't, the count goes with its window."""
        if grant.held is not None:
            await self._counting.give_back(grant.held)

    async def _grant(self, takes: Sequence[Take], count: Callable[[], Awaitable[Counted]]) -> Grant:
        if not takes:
            return NOTHING_TAKEN
        try:
            counted: Counted | Exception = await count()
        except EngineError as exc:
            counted = exc
        return self._granted(takes, counted)

    def _granted(self, takes: Sequence[Take], counted: Counted | Exception) -> Grant:
        """What was granted; raises RateLimited, and what is no fault of the store."""
        if isinstance(counted, EngineError):
            self._degrade(counted)
            return NOTHING_TAKEN
        if isinstance(counted, Exception):
            raise counted
        self._counts = True
        refused = [(take, taken) for take, taken in zip(takes, counted.answers, strict=True) if not taken.granted]
        if refused:
            take, taken = max(refused, key=lambda pair: pair[1].retry_after)
            over = refusal(take, taken.retry_after)
            over.left = taken.remaining
            raise over
        return Grant(counted.held, _headers(takes, counted.answers))

    def _degrade(self, exc: EngineError) -> None:
        if self._counts:
            self._counts = False
            _log.warning("the store can't count requests, so no limit holds until it can: %s", type(exc).__name__)


def refusal(take: Take, retry_after: timedelta) -> RateLimited:
    """What who is over a limit is told."""
    message = (
        f"more than {take.limit} {_counted(take)} in {take.window.total_seconds():g} s: "
        f"try again in {seconds_up(retry_after)} s"
    )
    return RateLimited(message, retry_after=retry_after, limit=take.limit, name=_name(take), window=take.window)


def _counted(take: Take) -> str:
    if take.key.startswith(ENQUEUE):
        return "jobs of this user"
    return "wrong keys from this address" if take.key.startswith(_WRONG_KEY) else "POSTs from this address"


def _headers(takes: Sequence[Take], answers: Sequence[Taken]) -> dict[str, str]:
    return fields([_rate(take, taken) for take, taken in zip(takes, answers, strict=True)])


def _rate(take: Take, taken: Taken) -> Rate:
    window = int(take.window.total_seconds())
    return Rate(name=_name(take), limit=take.limit, window=window, left=taken.remaining, reset=window)


def _name(take: Take) -> str:
    """A limit as clients are told of it; the key names whom it counts, and stays inside."""
    return "user" if take.key.startswith(ENQUEUE) else "address"
