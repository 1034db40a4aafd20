"""`tidegate upstreams ...`: the health of upstreams, and an operator's word on it."""

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
from tidegate.core.budget import MICROS, money
from tidegate.core.upstream import Override

BOARD: Final = Board(
    columns=("upstream", "state", "until (UTC)", "limit", "running", "waiting", "faults", "spent", "override", "why"),
    colours={"closed": "green", "half_open": "yellow", "open": "red", "spent": "red"},
    empty="no upstream is declared, and none has failed yet",
)
CHANGES: Final = Board(
    columns=("at (UTC)", "to", "until (UTC)", "by", "why"),
    colours={**BOARD.colours, "override": "cyan"},
    empty="nothing has changed yet",
)

Name = Annotated[str, Parameter(help="The upstream.")]


def list_upstreams(*, desk: Desk | None = None) -> int:
    """List the upstreams and their health."""
    return asked(desk or Desk(), Call("GET", "/upstreams"), _show_all)


def show_upstream(name: Name, /, *, desk: Desk | None = None) -> int:
    """Show one upstream's health."""
    return asked(desk or Desk(), Call("GET", place("upstream", name)), facts)


def show_history(name: Name, /, *, desk: Desk | None = None) -> int:
    """Show what changed, newest first."""
    return asked(desk or Desk(), Call("GET", f"{place('upstream', name)}/history"), _show_changes)


def open_upstream(name: Name, /, *, last: Last = None, desk: Desk | None = None) -> int:
    """Let no job through."""
    return _override(name, Override.OPEN, last, desk)


def close_upstream(name: Name, /, *, last: Last = None, desk: Desk | None = None) -> int:
    """Forbid the breaker to open; Retry-After and the limit hold."""
    return _override(name, Override.CLOSED, last, desk)


def off(name: Name, /, *, last: Last = None, desk: Desk | None = None) -> int:
    """Hold nothing back."""
    return _override(name, Override.OFF, last, desk)


def clear(name: Name, /, *, desk: Desk | None = None) -> int:
    """Let the breaker decide again."""
    return asked(desk or Desk(), Call("DELETE", f"{place('upstream', name)}/override"), _say)


def reset(name: Name, /, *, desk: Desk | None = None) -> int:
    """Close the breaker now and ramp up, without waiting for a probe."""
    return asked(desk or Desk(), Call("POST", f"{place('upstream', name)}/reset"), _say)


def _override(name: str, word: Override, last: str | None, desk: Desk | None) -> int:
    path, body = place("upstream", name), {"state": word.value, **lasting(last)}

    async def doubt(service: Service) -> str:
        unheard = f"upstream {name}: none of that name is declared here, and none has failed yet"
        return "" if await known(service, path) else unheard

    return asked(desk or Desk(), Call("PUT", f"{path}/override", body, doubt), _say)


def _show_all(answer: Item) -> None:
    BOARD.show([row(item) for item in items(answer)])


def row(item: Item) -> list[str]:
    """One upstream as a table row."""
    counts = [plain(item.get(name)) for name in ("limit", "running", "waiting", "faults")]
    why = plain(item.get("why")) if standing(item) != "closed" else ""
    return [plain(item.get("name")), standing(item), _end(item), *counts, _spent(item), _word(item), why]


def standing(item: Item) -> str:
    """Its state; "spent" where the breaker is closed, and yet its budget lets no job through."""
    state, budget = plain(item.get("state")), item.get("budget")
    held = state == "closed" and isinstance(budget, dict) and budget.get("exhausted") is True
    return "spent" if held else state


def _spent(item: Item) -> str:
    """What calls have cost, of what they may."""
    budget = item.get("budget")
    if not isinstance(budget, dict):
        return ""
    return " of ".join(money(round(float(str(budget[part])) * MICROS)) for part in ("spent", "dollars"))


def _end(item: Item) -> str:
    """Until when it is open; nobody may know."""
    return when(item.get("until")) or ("told otherwise" if item.get("state") == "open" else "")


def _word(item: Item) -> str:
    """An operator's word, whose it is, and until when it holds where that has an end."""
    given = item.get("override")
    if not isinstance(given, dict):
        return ""
    end = f" until {when(given['until'])}" if given.get("until") else ""
    return f"{plain(given.get('state'))} by {plain(given.get('author'))}{end}"


def _show_changes(answer: Item) -> None:
    CHANGES.show([_change(item) for item in items(answer)])


def _change(item: Item) -> list[str]:
    at, until = when(item.get("at")), when(item.get("until"))
    return [at, plain(item.get("to")), until, plain(item.get("author")) or "breaker", plain(item.get("why"))]


def _say(item: Item) -> None:
    limit = item.get("limit")
    flow = f", {limit} at a time for now" if limit is not None and standing(item) == "closed" else ""
    word = f" ({_word(item)})" if _word(item) else ""
    say(f"{plain(item.get('name'))} is {plain(item.get('state'))}{_held(item)}{flow}{word}")


def _held(item: Item) -> str:
    """Until when it lets no job through; a breaker that is closed is not what ends then."""
    until = _end(item)
    match standing(item):
        case "spent":
            return f", but {plain(item.get('why'))} until {until}"
        case "closed" if until:
            return f", but nothing may start before {until}"
    return f" until {until}" if until else ""
