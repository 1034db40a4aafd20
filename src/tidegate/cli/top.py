"""`tidegate top`: queues, upstreams and workers at a glance, again and again."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tidegate.cli import queues, upstreams, workers
from tidegate.cli.operating import Board, Desk, Item, console, items, plain, say
from tidegate.cli.service import Service, reach
from tidegate.errors import InvalidInput, ServiceError

QUEUES: Final = Board(
    columns=("queue", "state", "ready", "held", "waiting", "running", "dead letters", "oldest", "ended/min", "why"),
    colours={"flowing": "green", "paused": "red"},
    empty="no queue is served, and none has jobs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What was seen, and what kept us from seeing more since."""

    queues: Sequence[Item]
    upstreams: Sequence[Item]
    workers: Sequence[Item]
    fault: str = ""


Show = Callable[[Glance], None]


def top(
    *,
    once: Annotated[bool, Parameter(negative=(), help="Look once, and end.")] = False,
    every: Annotated[float, Parameter(help="Seconds between looks.")] = 2.0,
    desk: Desk | None = None,
) -> int:
    """Show queues, upstreams and workers until Ctrl-C; with --json a line of JSON at each look."""
    if not 0.1 <= every <= 3_600:
        raise InvalidInput("--every", "0.1 to 3600 seconds")
    try:
        asyncio.run(watch(desk or Desk(), console(), None if once else every))
    except KeyboardInterrupt:
        return 0  # this is how one leaves
    return 0


async def watch(desk: Desk, where: Console, every: float | None) -> None:
    """Look once, or every so many seconds for ever. What can't be reached at first is an error, later a line."""
    async with reach(desk.url, desk.user) as service:
        seen = await look(service)
        if desk.as_json:
            await _go_on(service, seen, lambda glance: say(_json(glance)), every)
        elif every is None or not where.is_terminal:
            await _go_on(service, seen, lambda glance: where.print(drawn(glance)), every)
        else:
            with Live(drawn(seen), console=where, screen=True, auto_refresh=False) as live:
                await _go_on(service, seen, lambda glance: live.update(drawn(glance), refresh=True), every)


async def _go_on(service: Service, seen: Glance, show: Show, every: float | None) -> None:
    show(seen)
    while every is not None:
        await asyncio.sleep(every)
        try:
            seen = await look(service)
        except ServiceError as exc:
            seen = replace(seen, fault=str(exc))
        show(seen)


async def look(service: Service) -> Glance:
    """Ask for all of it; raises ServiceError."""
    return Glance(
        queues=items(await service.get("/queues")),
        upstreams=items(await service.get("/upstreams")),
        workers=items(await service.get("/workers")),
    )


def drawn(glance: Glance) -> Group:
    """It, to be printed."""
    parts: list[RenderableType] = [Text(plain(glance.fault), style="bold red")] if glance.fault else []
    parts += [Text(summary(glance), style="bold"), "", QUEUES.drawn([_row(item) for item in glance.queues])]
    parts += ["", upstreams.BOARD.drawn([upstreams.row(item) for item in glance.upstreams])]
    parts += ["", workers.BOARD.drawn([workers.row(item) for item in glance.workers]), ""]
    return Group(*parts)


def summary(glance: Glance) -> str:
    """All of it in a line."""
    running, dead, held = (_total(glance.queues, name) for name in ("running", "dead_letters", "held"))
    live = [item for item in glance.workers if workers.live(item)]
    busy, slots = _total(live, "running"), _total(live, "slots")
    shut = sum(upstreams.standing(item) != "closed" for item in glance.upstreams)
    jobs = f"ready {_total(glance.queues, 'ready') - held} · held {held} · running {running} · dead letters {dead}"
    return f"{jobs} · workers {len(live)} · busy slots {busy} of {slots} · upstreams not closed {shut}"


def _row(item: Item) -> Sequence[str]:
    state, rate = "paused" if item.get("paused") else "flowing", item.get("throughput")
    ended = f"{rate:.1f}" if isinstance(rate, float | int) else ""
    return [plain(item.get("name")), state, *queues.counts(item), _age(item), ended, queues.reason(item)]


def _age(item: Item) -> str:
    """How long the oldest ready job has been due; nothing where none is, a question mark where nobody knows."""
    age = item.get("oldest_ready_age")
    if not isinstance(age, float | int):
        return "?"
    seconds = round(age)
    if not item.get("ready"):
        return ""
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _total(found: Iterable[Item], name: str) -> int:
    return sum(value for item in found if isinstance(value := item.get(name), int))


def _json(glance: Glance) -> str:
    seen = {"queues": glance.queues, "upstreams": glance.upstreams, "workers": glance.workers, "fault": glance.fault}
    return json.dumps(seen, ensure_ascii=False)
