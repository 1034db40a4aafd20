"""Waiting for a job: its events while there is a stream of them, and looks further and further apart where not."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import chain, repeat
from typing import Final, TypeVar

import msgspec

from tidegate.core.query import Event
from tidegate.errors import EngineUnavailable, InvalidInput, RateLimited, ResultTimeout, ServiceError, TidegateError
from tidegate.sdk.asking import Means, fetch
from tidegate.sdk.exchange import Request
from tidegate.sdk.listening import QUIET, SHORTEST, Ear, messages
from tidegate.sdk.sse import Message
from tidegate.sdk.values import FeedEvent, FeedReset, JobEvent, JobStatus

T = TypeVar("T")

POLLS: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between looks at a job where there are no events; the last repeats (REQUIREMENTS E11)."""

FINAL: Final = frozenset({Event.SUCCEEDED.value, Event.FAILED.value, Event.CANCELLED.value})
"""Names of the events after which a job may have ended. A job that was retried goes on behind one."""

GRACE: Final = 10.0
"""Seconds that a server may take beyond the wait that it was asked for."""

RESET: Final = "reset"


def status_of(job_id: str, wait: float | None = None) -> Request:
    """Asks where a job stands, or where it will stand once it has ended, or after so many seconds."""
    path = f"/jobs/{job_id}/status"
    if wait is None:
        return Request(method="GET", path=path, job_id=job_id)
    return Request(method="GET", path=path, query={"wait": f"{wait:f}"}, silence=wait + GRACE, job_id=job_id)


async def ended(means: Means, job_id: str, timeout: float) -> JobStatus:
    """The job once it has ended; raises ResultTimeout, and what the first look raises.

    Later looks may fail: a server that restarts meanwhile has not lost the job. What the last one met is raised.
    """
    now = means.clock.monotonic
    deadline, polls, listening = now() + timeout, chain(POLLS, repeat(POLLS[-1])), True
    ear = _ear(means, job_id)
    status, trouble = await fetch(means, status_of(job_id), JobStatus), None
    while not status.status.finished:
        left = deadline - now()
        if left <= 0:
            raise trouble or ResultTimeout(job_id, status.status)
        if listening and left >= SHORTEST:
            listening = await _listened(means, ear, deadline)
        else:
            await means.line.rest(min(next(polls), left))
        looked = await _looked(means, job_id)
        status, trouble = (looked, None) if isinstance(looked, JobStatus) else (status, looked)
    return status


async def events(means: Means, job_id: str, after: int = 0) -> AsyncGenerator[JobEvent, None]:
    """What happens to a job, from behind `after` to its end; a stream that breaks is taken up where it was.

    Raises what a refusal stands for, JobNotFound once the job is pruned, and ServiceError where there are no events, or
    no server any more.
    """
    ear = _ear(means, job_id, str(after or ""))
    while True:
        async with aclosing(messages(ear)) as heard:
            async for message in heard:
                if (event := _read(message, JobEvent)) is not None:
                    yield event
        if ear.trouble is None:
            looked = await _looked(means, job_id)
            if isinstance(looked, JobStatus) and looked.status.finished:
                return
            ear.trouble = looked if isinstance(looked, TidegateError) else None
        await ear.rest()


async def feed(means: Means, after: str = "") -> AsyncGenerator[FeedEvent | FeedReset, None]:
    """Every step of all jobs that one may see, from behind `after` or from now on; it does not end by itself.

    A stream that breaks is taken up where it was; raises as `events` does.
    """
    if not (after.isascii() and after.isprintable()):
        raise InvalidInput("after", "is no id of an event: those are printable ASCII characters")
    ear = Ear(means, "/events", after=after)
    while True:
        async with aclosing(messages(ear)) as heard:
            async for message in heard:
                if message.name == RESET:
                    yield FeedReset(id=message.id)
                elif (event := _read(message, FeedEvent, id=message.id)) is not None:
                    yield event
        await ear.rest()


def _ear(means: Means, job_id: str, after: str = "") -> Ear:
    return Ear(means, f"/jobs/{job_id}/events", after=after, job_id=job_id)


async def _listened(means: Means, ear: Ear, deadline: float) -> bool:
    """Listen until the job may have ended, or time is over; whether listening again is worth it."""
    now = means.clock.monotonic
    silence = min(deadline - now(), QUIET)
    try:
        async with aclosing(ear.hear(silence)) as heard:
            async for some in heard:
                if any(message.name in FINAL for message in some):
                    return True
                if deadline - now() < silence * 0.75:
                    return True  # who reads can't be stopped in time: it comes back with less patience
    except TidegateError:
        return False
    return ear.worth_another


async def _looked(means: Means, job_id: str) -> JobStatus | TidegateError:
    """How the job stands now, or why nobody can tell just now."""
    try:
        return await fetch(means, status_of(job_id), JobStatus)
    except (ServiceError, EngineUnavailable, RateLimited) as trouble:
        return trouble


def _read(message: Message, kind: type[T], **known: str) -> T | None:
    """The event, unless it says nothing of a job: a server may tell of its stream too."""
    try:
        told = msgspec.json.decode(message.data, type=dict[str, object])
        return msgspec.convert({**told, **known}, kind)
    except (msgspec.MsgspecError, ValueError):
        return None
