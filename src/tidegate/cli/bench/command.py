"""`tidegate bench` itself: what is asked, of which server, and the exit code."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from tidegate.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TIMEOUT
from tidegate.cli.bench.ends import follow
from tidegate.cli.bench.figures import Subject, Tally, report
from tidegate.cli.bench.load import Load, Plan, World
from tidegate.cli.bench.showing import Screen, as_json, notice, print_report, shown
from tidegate.cli.jobs import payload_of, print_json
from tidegate.cli.operating import items, plain
from tidegate.cli.service import Service, connect
from tidegate.clock import Clock, SystemClock, token
from tidegate.errors import InvalidInput, TidegateError
from tidegate.sdk.connecting import where

HARMLESS: Final = ("echo", "noop")
"""Job types that are submitted where none is named, the first that there is: jobs of any other may do anything."""

MOST: Final = 1_000_000
MOST_AT_ONCE: Final = 1_000

SPARE: Final = 2
"""Connections beside those that submit: for looks at metrics."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is submitted, and how."""

    count: Annotated[int, Parameter(help="Jobs to submit.")] = 200
    concurrency: Annotated[int, Parameter(help="Submits at once.")] = 50
    job_type: Annotated[
        str | None, Parameter(name="--type", help="The job type; else `echo` or `noop`, if the server has one.")
    ] = None
    payload: Annotated[str, Parameter(allow_leading_hyphen=True, help="JSON, or @FILE, or - for stdin.")] = "{}"
    key: Annotated[
        str | None, Parameter(help="Begins the jobs' idempotency keys; a repeat under it makes none anew.")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Which server, which user, which form."""

    url: Annotated[str | None, Parameter(help="Server (TIDEGATE_URL); else the running one.")] = None
    user: Annotated[
        str | None, Parameter(help="Whose jobs they are (TIDEGATE_USER); else by the key, or the account's name.")
    ] = None
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")] = False


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Also:
    """What is done beside submitting."""

    poll: Annotated[bool, Parameter(negative=(), help="Show the server's metrics while it runs.")] = False
    wait: Annotated[bool, Parameter(negative=(), help="Wait until the jobs have ended.")] = False
    timeout: Annotated[float, Parameter(help="Seconds to wait for their ends; then exit code 124.")] = 600.0


def bench(*, asked: Asked | None = None, also: Also | None = None, at: At | None = None) -> int:
    """Submit many jobs at once, and say how fast they were accepted. Exit code 1 unless all were, and succeeded."""
    load, beside, place = asked or Asked(), also or Also(), at or At()
    _check(load, beside)
    payload = payload_of(load.payload)

    async def run() -> int:
        async with connect(place.url, place.user, load.concurrency + SPARE) as service:
            plan = Plan(
                job_type=load.job_type or await _harmless(service),
                payload=payload,
                key=load.key or f"bench-{token()[:12]}",
                count=load.count,
                concurrency=load.concurrency,
            )
            return await Trial(service, plan, beside, as_json=place.as_json).run()

    return asyncio.run(run())


def _check(asked: Asked, also: Also) -> None:
    """Raise InvalidInput for numbers that make no load."""
    if not 1 <= asked.count <= MOST:
        raise InvalidInput("--count", f"1 to {MOST:,}")
    if not 1 <= asked.concurrency <= MOST_AT_ONCE:
        raise InvalidInput("--concurrency", f"1 to {MOST_AT_ONCE:,}")
    if not also.timeout > 0:
        raise InvalidInput("--timeout", "it must be longer than 0")


async def _harmless(service: Service) -> str:
    names = [plain(item.get("name")) for item in items(await service.get("/job-types"))]
    found = next((name for name in HARMLESS if name in names), None)
    if found is None:
        raise InvalidInput(
            "--type", f"the server has no job type `{HARMLESS[0]}`: name one of {', '.join(names)}; its jobs will run"
        )
    return found


class Trial:
    """One load test of a server."""

    def __init__(self, service: Service, plan: Plan, also: Also, *, as_json: bool) -> None:
        self._service = service
        self._plan = plan
        self._also = also
        self._as_json = as_json
        self._clock: Clock = SystemClock()
        self._tally = Tally(count=plan.count)

    async def run(self) -> int:
        """Carry it out, and say what it came to; the exit code. Raises what every job was refused by."""
        began = self._clock.monotonic()
        refusal = partial(self._service.refusal, path="/jobs")
        world = World(send=self._service.line.send, clock=self._clock, refusal=refusal, notice=notice)
        load = Load(self._plan, self._tally, world)
        async with shown(self._tally, self._screen(), lambda: self._clock.monotonic() - began):
            code = await self._carried_out(load)
        if load.fault is not None and not self._tally.jobs:
            raise load.fault
        self._tell()
        return code or (0 if self._tally.well(waited=self._also.wait) else EXIT_FAILED)

    async def _carried_out(self, load: Load) -> int:
        """Submit, and wait where that is asked; the exit code of what broke it off, if anything did."""
        try:
            await load.run()
            if self._also.wait:
                await follow(self._service.client(), self._tally, self._also.timeout)
        except asyncio.CancelledError:  # Ctrl-C: the figures so far are worth something
            return EXIT_INTERRUPTED
        except TimeoutError:
            return EXIT_TIMEOUT
        except TidegateError as exc:
            if not self._tally.jobs:
                raise
            self._tally.stopped = str(exc)
        return 0

    def _screen(self) -> Screen:
        return Screen(
            console=Console(stderr=True),
            lines=not self._as_json,
            follows=self._also.wait,
            counts=self._service.client().counts if self._also.poll else None,
        )

    def _tell(self) -> None:
        subject = Subject(
            url=where(self._service.where),
            type=self._plan.job_type,
            key=self._plan.key,
            concurrency=self._plan.concurrency,
            wait=self._also.wait,
        )
        found = report(subject, self._tally)
        if self._as_json:
            print_json(as_json(found))
        else:
            print_report(found)
