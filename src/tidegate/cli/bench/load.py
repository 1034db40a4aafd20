"""Submits jobs, many at once, and gives way where the server asks for it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import msgspec

from tidegate.cli.bench.figures import Tally
from tidegate.clock import Clock, dice
from tidegate.core.problem_kinds import KINDS
from tidegate.core.retry import Backoff, Exponential, delay
from tidegate.errors import RateLimited, TidegateError
from tidegate.sdk import bodies
from tidegate.sdk.exchange import Answer, Broken, Request
from tidegate.sdk.problems import problem_of, retry_after
from tidegate.sdk.requests import JSON

LONGEST_PAUSE: Final = 60.0
"""Seconds that a load test waits at most for a server that asks it to come later, or that is away."""

TAG: Final = "bench"
"""Every job has it, so that they can be found, and told from others."""

ADVICE: Final = (
    "the server limits how many jobs it takes; for a load test start it with "
    "TIDEGATE_LIMIT_USER_PER_HOUR=0 TIDEGATE_LIMIT_IP_PER_MINUTE=0"
)

_PASSING: Final = frozenset({408, 429, 502, 503, 504})
_LIMITED: Final = KINDS[RateLimited].slug


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is submitted: `count` jobs, so many at once, the idempotency key of each beginning with `key`."""

    job_type: str
    payload: Mapping[str, object]
    key: str
    count: int
    concurrency: int
    backoff: Backoff = field(default=Exponential(initial=timedelta(seconds=0.5), cap=timedelta(seconds=5), jitter=0.25))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a load needs beside its plan. `refusal` says what an answer stands for, `notice` tells the person."""

    send: Callable[[Request], Awaitable[Answer | Broken]]
    clock: Clock
    refusal: Callable[[Answer], TidegateError]
    notice: Callable[[str], None]


class _Submitted(msgspec.Struct):
    job_id: str


class Load:
    """Submits the jobs of a plan. `fault` is the first refusal that every further job would meet too."""

    def __init__(self, plan: Plan, tally: Tally, world: World) -> None:
        self._plan = plan
        self._tally = tally
        self._world = world
        self._over = asyncio.Event()
        self._shut_until = 0.0
        self._well = 0.0
        self._advised = False
        self.fault: TidegateError | None = None

    async def run(self) -> None:
        """Submit all of them, or as many as the server takes within our patience; raises InvalidInput."""
        self._request(0)  # a payload that can't be written
        began = self._well = self._world.clock.monotonic()
        numbers = iter(range(self._plan.count))
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(min(self._plan.concurrency, self._plan.count)):
                    senders.create_task(self._send(numbers))
        finally:
            self._tally.seconds = self._world.clock.monotonic() - began

    async def _send(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            await self._submit(self._request(number))
            if self._over.is_set():
                return

    def _request(self, number: int) -> Request:
        key = f"{self._plan.key}-{number}"
        body = bodies.job(self._plan.job_type, self._plan.payload, {"tags": [TAG]}, key)
        return Request(method="POST", path="/jobs", headers=JSON, content=body, repeatable=True, key=key)

    async def _submit(self, request: Request) -> None:
        """Submit one job, again and again under its key, until its fate is known or the load is over."""
        tries, why = 0, ""
        while await self._may():
            began = self._world.clock.monotonic()
            came = await self._world.send(request)
            took = self._world.clock.monotonic() - began
            if isinstance(came, Answer) and came.well:
                self._accepted(came, took)
                return
            why = reason(came)
            if isinstance(came, Answer) and came.status not in _PASSING:
                self._refused(came, why)
                return
            tries += 1
            self._back_off(came, why, tries)
        if why:
            self._tally.refused[why] += 1

    async def _may(self) -> bool:
        """Wait until requests may be sent; whether any may be."""
        while not self._over.is_set() and (left := self._shut_until - self._world.clock.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._over.wait()
        return not self._over.is_set()

    def _accepted(self, came: Answer, took: float) -> None:
        try:
            job_id = msgspec.json.decode(came.body, type=_Submitted).job_id
        except (msgspec.MsgspecError, ValueError):
            self._tally.refused["answer without a job's id"] += 1
            return
        self._well = self._world.clock.monotonic()
        self._tally.jobs.append(job_id)
        self._tally.took.append(took)
        self._tally.replayed += came.status == 200

    def _refused(self, came: Answer, why: str) -> None:
        """What is wrong with one job, 4xx, is wrong with all; a fault of the server's may be of this one alone."""
        self._tally.refused[why] += 1
        if came.status < 500 and self.fault is None:
            self.fault = self._world.refusal(came)
            self._stop(f"every job would be refused: {self.fault}")

    def _back_off(self, came: Answer | Broken, why: str, tries: int) -> None:
        """Nobody sends for a while: as long as the server says, or ever longer where it says nothing."""
        now = self._world.clock.monotonic()
        asked = retry_after(came.headers) if isinstance(came, Answer) else None
        own = delay(self._plan.backoff, tries, dice=dice(), retry_after=None).total_seconds()
        wait = own if asked is None else asked.total_seconds()
        self._tally.turned_away[why] += 1
        if why == _LIMITED and not self._advised:
            self._advised = True
            self._world.notice(f"{self._said(came)}; {ADVICE}")
        if wait > LONGEST_PAUSE:
            self._stop(f"the server says to come again in {wait:,.0f} s ({why})")
        elif not (isinstance(came, Answer) and came.status == 429) and now - self._well > LONGEST_PAUSE:
            self._stop(f"the server took nothing for {LONGEST_PAUSE:g} s ({why})")
        else:
            self._pause(now, now + wait)

    def _said(self, came: Answer | Broken) -> str:
        return "" if isinstance(came, Broken) else str(self._world.refusal(came))

    def _pause(self, now: float, until: float) -> None:
        self._tally.pauses += self._shut_until <= now
        self._tally.paused += max(until - max(now, self._shut_until), 0.0)
        self._shut_until = max(until, self._shut_until)

    def _stop(self, why: str) -> None:
        self._tally.stopped = self._tally.stopped or why
        self._over.set()


def reason(came: Answer | Broken) -> str:
    """Why a request was not accepted, in a word: the kind of its problem, or what broke it."""
    if isinstance(came, Broken):
        return f"no answer ({came.why})"
    said = problem_of(came)
    return said.type.removeprefix("/problems/") if said is not None and said.type else f"status {came.status}"
