"""What commands show a person: tables, one job's details, progress while waiting."""

import json
from collections.abc import Mapping, Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

LONGEST_VALUE = 400
COLUMNS = ("job", "type", "phase", "attempts", "queue", "user", "created (UTC)", "error")
COLOURS = {"succeeded": "green", "degraded": "yellow", "running": "cyan", "retrying": "yellow", "dead_letter": "red"}


def row_of(job: Mapping[str, object]) -> Sequence[str]:
    """One job as a table row."""
    names = ("job_id", "type", "phase", "attempts", "queue", "user_id", "created_at", "error")
    cells = [_plain(job.get(name)) for name in names]
    cells[6] = cells[6][5:19].replace("T", " ")
    return cells


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print jobs, or that there are none."""
    console = _console()
    if not rows:
        console.print("no jobs match", style="dim")
        return
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        shown.add_column(name, no_wrap=name in ("job", "type", "phase"))  # an id is there to be copied
    for row in rows:
        cells = [Text(cell) for cell in row]
        cells[2].stylize(COLOURS.get(row[2], ""))
        shown.add_row(*cells)
    console.print(shown)


def details(job: Mapping[str, object], history: Mapping[str, object]) -> None:
    """Print everything known of a job, then its steps."""
    console = _console()
    facts = Table.grid(padding=(0, 2))
    for name, value in job.items():
        if value not in (None, "", [], {}):
            facts.add_row(Text(name, style="bold"), Text(_short(name, value), overflow="fold"))
    console.print(facts)
    steps = Table("#", "at", "event", "run", "note", box=None, header_style="bold", pad_edge=False)
    entries = history.get("items")
    for entry in entries if isinstance(entries, list) else []:
        steps.add_row(*(Text(_plain(entry.get(name))) for name in ("seq", "at", "event", "run", "note")))
    console.print(steps)


class Watch:
    """A line on stderr that shows how far a job is, until it ends."""

    def __init__(self, job_id: str, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._job = job_id
        self._task = self._progress.add_task(f"{job_id} ...", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def show(self, status: Mapping[str, object]) -> None:
        """Bring the line up to date."""
        progress = status.get("progress")
        fraction = progress.get("fraction") if isinstance(progress, Mapping) else None
        message = progress.get("message") if isinstance(progress, Mapping) else None
        words = [str(status.get("phase") or status.get("status")), _plain(message), _plain(status.get("wait_reason"))]
        line = Text(f"{self._job} " + " · ".join(word for word in words if word)).plain
        known = fraction if isinstance(fraction, int | float) else None
        self._progress.update(self._task, description=line, total=None if known is None else 1.0, completed=known or 0)


def _console() -> Console:
    """A pipe has no width of its own: what reads it is given whole lines."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _short(name: str, value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else _plain(value)
    if len(text) <= LONGEST_VALUE:
        return _plain(text)
    return f"{len(text):,} characters; `tidegate jobs wait` prints it" if name == "result" else text[:LONGEST_VALUE]


def _plain(value: object) -> str:
    """A value in one line, without what could drive a terminal."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text)
