"""`tidegate queues ...`: what lies in queues, and which of them are paused."""

from typing import Annotated, Final

from cyclopts import Parameter

from tidegate.cli.operating import (
    Board,
    Call,
    Desk,
    Item,
    Last,
    asked,
    facts,
    items,
    known,
    lasting,
    place,
    plain,
    say,
    when,
)
from tidegate.cli.service import Service

BOARD: Final = Board(
    columns=("queue", "state", "resumes (UTC)", "ready", "held", "waiting", "running", "dead letters", "why"),
    colours={"flowing": "green", "paused": "red"},
    empty="no queue is served, and none has jobs",
)

Name = Annotated[str, Parameter(help="The queue.")]


def list_queues(*, desk: Desk | None = None) -> int:
    """List the queues and their jobs."""
    return asked(desk or Desk(), Call("GET", "/queues"), _show_all)


def show_queue(name: Name, /, *, desk: Desk | None = None) -> int:
    """Show one queue, and how its breaker stands."""
    return asked(desk or Desk(), Call("GET", place("queue", name)), facts)


def pause(name: Name, /, *, last: Last = None, desk: Desk | None = None) -> int:
    """Let none of a queue's jobs start; running ones go on."""
    path = place("queue", name)

    async def doubt(service: Service) -> str:
        return "" if await _named(service, name, path) else f"queue {name}: no job or worker has named it yet"

    return asked(desk or Desk(), Call("POST", f"{path}/pause", lasting(last), doubt), _say)


def resume(name: Name, /, *, desk: Desk | None = None) -> int:
    """Let a queue's jobs start again, a few at first."""
    return asked(desk or Desk(), Call("POST", f"{place('queue', name)}/resume"), _say)


async def _named(service: Service, name: str, path: str) -> bool:
    """Whether a job, a worker or an operator has spoken of the queue."""
    if await known(service, path):
        return True
    queues = [worker.get("queues") for worker in items(await service.get("/workers"))]
    return any(name in served for served in queues if isinstance(served, list))


def _show_all(answer: Item) -> None:
    BOARD.show([_row(item) for item in items(answer)])


def _row(item: Item) -> list[str]:
    return [plain(item.get("name")), _state(item), _end(item), *counts(item), reason(item)]


def counts(item: Item) -> list[str]:
    """A queue's jobs: ready, held, waiting, running, dead letters. What is held is not ready."""
    ready, held = item.get("ready"), item.get("held")
    if isinstance(ready, int) and isinstance(held, int):
        ready -= held
    return [plain(ready), plain(held), *(plain(item.get(name)) for name in ("waiting", "running", "dead_letters"))]


def reason(item: Item) -> str:
    """Why a queue is paused, or else what holds jobs of it, the most first."""
    holds = item.get("held_by")
    given = [plain(one.get("why")) for one in holds if isinstance(one, dict)] if isinstance(holds, list) else []
    return plain(item.get("why")) or "; ".join(given)


def _state(item: Item) -> str:
    return "paused" if item.get("paused") else "flowing"


def _end(item: Item) -> str:
    return (when(item.get("resumes_at")) or "told otherwise") if item.get("paused") else ""


def _say(item: Item) -> None:
    end = f" until {_end(item)}" if item.get("paused") else ""
    say(f"{plain(item.get('name'))} is {_state(item)}{end}")
