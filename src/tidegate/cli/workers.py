"""`tidegate workers`: who is at work."""

from collections.abc import Sequence
from typing import Final

from tidegate.cli.operating import Board, Call, Desk, Item, asked, items, plain, when

BOARD: Final = Board(
    columns=("worker", "state", "busy", "slots", "since (UTC)", "version", "queues"),
    colours={"live": "green", "silent": "red"},
    empty="no worker is heard of",
)


def list_workers(*, desk: Desk | None = None) -> int:
    """List the workers."""
    return asked(desk or Desk(), Call("GET", "/workers"), _show_all)


def row(item: Item) -> Sequence[str]:
    """One worker as a table row."""
    name = f"{plain(item.get('host')) or '?'}:{plain(item.get('pid')) or '?'}"
    state = "silent" if item.get("stale") else "live"
    taken = [plain(item.get(field)) for field in ("running", "slots")]
    return [name, state, *taken, when(item.get("started_at")), plain(item.get("version")), _joined(item.get("queues"))]


def _joined(names: object) -> str:
    return ", ".join(plain(name) for name in names) if isinstance(names, list) else ""


def _show_all(answer: Item) -> None:
    BOARD.show([row(item) for item in items(answer)])
