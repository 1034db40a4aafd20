"""How much one user and one address may ask for: exact sliding windows, kept in the engine."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tidegate.clock import token
from tidegate.config import Settings
from tidegate.core.verbs import Take, Taken
from tidegate.errors import EngineError, RateLimited
from tidegate.http.guards.ratefields import Rate, fields
from tidegate.http.problems import seconds_up
from tidegate.ports import Documents

_log = logging.getLogger(__name__)

HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
_ENQUEUE: Final = "enqueue:"
_WRONG_KEY: Final = "auth:"


@dataclass(frozen=True, slots=True)
class Grant:
    """What was counted; `headers` tell what is left."""

    nonce: str
    headers: dict[str, str]


NOTHING_TAKEN: Final = Grant("", {})


def enqueue(settings: Settings, user_id: str, n: int = 1) -> list[Take]:
    """What `n` accepted jobs count against."""
    limit = settings.limit_user_per_hour
    return [Take(key=f"{_ENQUEUE}user:{user_id}", n=n, limit=limit, window=HOUR)] if limit else []


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
        self._store = store
        self._counting = True

    async def take(self, takes: Sequence[Take], nonce: str | None = None) -> Grant:
        """Count all of `takes`, or raise RateLimited and count none; under one nonce they count once."""
        if not takes:
            return NOTHING_TAKEN
        nonce = nonce or token()
        try:
            answers = await self._store().take(takes, nonce)
        except EngineError as exc:
            self._degrade(exc)
            return NOTHING_TAKEN
        self._counting = True
        refused = [(take, taken) for take, taken in zip(takes, answers, strict=True) if not taken.granted]
        if refused:
            raise _rate_limited(*max(refused, key=lambda pair: pair[1].retry_after))
        return Grant(nonce, _headers(takes, answers))

    async def give_back(self, grant: Grant) -> None:
        """Uncount a grant; where the store can't, the count goes with its window."""
        if grant.nonce:
            with suppress(EngineError):
                await self._store().give_back(grant.nonce)

    def _degrade(self, exc: EngineError) -> None:
        if self._counting:
            self._counting = False
            _log.warning("the store can't count requests, so no limit holds until it can: %s", type(exc).__name__)


def _rate_limited(take: Take, taken: Taken) -> RateLimited:
    message = (
        f"more than {take.limit} {_counted(take)} in {take.window.total_seconds():g} s: "
        f"try again in {seconds_up(taken.retry_after)} s"
    )
    name = _name(take)
    return RateLimited(message, retry_after=taken.retry_after, limit=take.limit, name=name, window=take.window)


def _counted(take: Take) -> str:
    if take.key.startswith(_ENQUEUE):
        return "jobs of this user"
    return "wrong keys from this address" if take.key.startswith(_WRONG_KEY) else "POSTs from this address"


def _headers(takes: Sequence[Take], answers: Sequence[Taken]) -> dict[str, str]:
    return fields([_rate(take, taken) for take, taken in zip(takes, answers, strict=True)])


def _rate(take: Take, taken: Taken) -> Rate:
    window = int(take.window.total_seconds())
    return Rate(name=_name(take), limit=take.limit, window=window, left=taken.remaining, reset=window)


def _name(take: Take) -> str:
    """A limit as clients are told of it; the key names whom it counts, and stays inside."""
    return "user" if take.key.startswith(_ENQUEUE) else "address"
