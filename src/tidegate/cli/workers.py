"""`tidegate workers`: who is at work, and who was within the hour."""

from collections.abc import Sequence
from typing import Final

from tidegate.cli.operating import Board, Call, Desk, Item, asked, items, plain, when

BOARD: Final = Board(
    columns=("worker", "state", "busy", "slots", "since (UTC)", "last seen (UTC)", "version", "queues"),
    colours={"live": "green", "silent": "red", "lost": "red", "stopped": "dim"},
    empty="no worker is heard of",
)


def list_workers(*, desk: Desk | None = None) -> int:
    """List the workers, and those that have gone within the hour."""
    return asked(desk or Desk(), Call("GET", "/workers"), _show_all)


def row(item: Item) -> Sequence[str]:
    """One worker as a table row."""
    name = f"{plain(item.get('host')) or '?'}:{plain(item.get('pid')) or '?'}"
    taken = [plain(item.get(field)) for field in ("running", "slots")]
    times = [when(item.get(field)) for field in ("started_at", "last_seen_at")]
    return [name, plain(item.get("state")), *taken, *times, plain(item.get("version")), _joined(item.get("queues"))]


def live(item: Item) -> bool:
    """Whether it is at work."""
    return item.get("state") == "live"


def _joined(names: object) -> str:
    return ", ".join(plain(name) for name in names) if isinstance(names, list) else ""


def _show_all(answer: Item) -> None:
    BOARD.show([row(item) for item in items(answer)])
