"""`tidegate schedules ...`: what runs by the clock, when next, and whether it is paused."""

from typing import Annotated, Final

from cyclopts import Parameter

from tidegate.cli.operating import Board, Call, Desk, Item, asked, facts, items, place, plain, say, when

BOARD: Final = Board(
    columns=("schedule", "state", "next (UTC)", "expression", "time zone", "job type", "last (UTC)", "error"),
    colours={"runs": "green", "paused": "yellow", "failing": "red", "retired": "yellow"},
    empty="no schedule of yours: app.schedule(...) declares one, PUT /schedules/{name} makes one",
)

Name = Annotated[str, Parameter(help="The schedule.")]


def list_schedules(*, desk: Desk | None = None) -> int:
    """List the schedules and their next ticks."""
    return asked(desk or Desk(), Call("GET", "/schedules"), _show_all)


def show_schedule(name: Name, /, *, desk: Desk | None = None) -> int:
    """Show one schedule, and its next five ticks."""
    return asked(desk or Desk(), Call("GET", place("schedule", name)), facts)


def pause(name: Name, /, *, desk: Desk | None = None) -> int:
    """Let no tick make a job."""
    return asked(desk or Desk(), Call("POST", f"{place('schedule', name)}/pause"), _say)


def resume(name: Name, /, *, desk: Desk | None = None) -> int:
    """Let ticks make jobs again, from now on."""
    return asked(desk or Desk(), Call("POST", f"{place('schedule', name)}/resume"), _say)


def trigger(name: Name, /, *, desk: Desk | None = None) -> int:
    """Make one job now; prints its id."""
    return asked(desk or Desk(), Call("POST", f"{place('schedule', name)}/trigger"), _say_job)


def delete(name: Name, /, *, desk: Desk | None = None) -> int:
    """Remove a schedule; its jobs stay."""
    return asked(desk or Desk(), Call("DELETE", place("schedule", name)), _say_gone)


def _show_all(answer: Item) -> None:
    BOARD.show([_row(item) for item in items(answer)])


def _row(item: Item) -> list[str]:
    words = [plain(item.get(name)) for name in ("expression", "timezone", "type")]
    last, error = when(item.get("last_tick")), plain(item.get("error"))
    return [plain(item.get("name")), _state(item), when(item.get("next_at")), *words, last, error]


def _state(item: Item) -> str:
    if item.get("paused"):
        return "paused"
    if item.get("retired_at"):
        return "retired"
    return "failing" if item.get("error") else "runs"


def _say(item: Item) -> None:
    coming = when(item.get("next_at"))
    end = f", next at {coming} UTC" if coming else ""
    say(f"{plain(item.get('name'))} {'is paused' if item.get('paused') else 'runs'}{end}")


def _say_job(item: Item) -> None:
    say(plain(item.get("job_id")))


def _say_gone(item: Item) -> None:
    again = ", and is back at the next start of the program that declares it" if item.get("origin") == "code" else ""
    say(f"{plain(item.get('name'))} is removed{again}")
