"""`tidegate upstreams ...`: the health of upstreams, and an operator's word on it."""

from typing import Annotated, Final

from cyclopts import Parameter

from tidegate.cli.operating import Board, Call, Desk, Item, Last, asked, facts, items, lasting, place, plain, say, when
from tidegate.core.budget import MICROS, money
from tidegate.core.upstream import Override

BOARD: Final = Board(
    columns=("upstream", "state", "until (UTC)", "limit", "running", "waiting", "faults", "spent", "override", "why"),
    colours={"closed": "green", "half_open": "yellow", "open": "red"},
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
    body = {"state": word.value, **lasting(last)}
    return asked(desk or Desk(), Call("PUT", f"{place('upstream', name)}/override", body), _say)


def _show_all(answer: Item) -> None:
    BOARD.show([row(item) for item in items(answer)])


def row(item: Item) -> list[str]:
    """One upstream as a table row."""
    counts = [plain(item.get(name)) for name in ("limit", "running", "waiting", "faults")]
    why = plain(item.get("why")) if item.get("state") != "closed" else ""
    return [plain(item.get("name")), plain(item.get("state")), _end(item), *counts, _spent(item), _word(item), why]


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
    """An operator's word, and whose it is."""
    given = item.get("override")
    return f"{plain(given.get('state'))} by {plain(given.get('author'))}" if isinstance(given, dict) else ""


def _show_changes(answer: Item) -> None:
    CHANGES.show([_change(item) for item in items(answer)])


def _change(item: Item) -> list[str]:
    at, until = when(item.get("at")), when(item.get("until"))
    return [at, plain(item.get("to")), until, plain(item.get("author")) or "breaker", plain(item.get("why"))]


def _say(item: Item) -> None:
    until, limit = _end(item), item.get("limit")
    end = f" until {until}" if until else ""
    flow = f", {limit} at a time for now" if limit is not None and item.get("state") == "closed" else ""
    word = f" ({_word(item)})" if _word(item) else ""
    say(f"{plain(item.get('name'))} is {plain(item.get('state'))}{end}{flow}{word}")
