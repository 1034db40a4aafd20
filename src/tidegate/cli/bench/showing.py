"""What a load test shows while it runs, on stderr, and what it says at the end."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tidegate.cli.bench.figures import Ended, Report, Spread, Tally
from tidegate.cli.operating import plain, say
from tidegate.errors import TidegateError
from tidegate.sdk.values import Counts

EVERY: Final = 2.0
"""Seconds between lines where no terminal is, and between looks at the server's metrics."""

BAR: Final = 40

SHOWN: Final = (
    *("total_jobs", "active_jobs", "completed_jobs", "failed_jobs", "dead_letter_jobs"),
    *("queue_length", "retry_queue_length", "dlq_length"),
)
"""What is shown of the metrics, under the names that the API has for it."""


def notice(text: str) -> None:
    """Tell the person something that is no result."""
    sys.stderr.write(f"tidegate: {plain(text)}\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Where it is shown: `lines` how far it is, `counts` asks the server for its metrics, None where nobody wants them.

    `follows`: it goes on until the jobs have ended.
    """

    console: Console
    lines: bool
    follows: bool
    counts: Callable[[], Awaitable[Counts]] | None


@asynccontextmanager
async def shown(tally: Tally, screen: Screen, began: Callable[[], float]) -> AsyncIterator[None]:
    """Show how a load test stands, for as long as this is open; `began` is how many seconds ago it did."""
    face = _Face(tally, screen, began)
    drawn = screen.lines and screen.console.is_terminal
    with Live(get_renderable=face.drawn, console=screen.console, transient=True) if drawn else nullcontext():
        ticking = asyncio.create_task(face.tick(drawn=drawn))
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)


class _Face:
    def __init__(self, tally: Tally, screen: Screen, began: Callable[[], float]) -> None:
        self._tally = tally
        self._screen = screen
        self._began = began
        self._metrics: Counts | None = None
        self._fault = ""

    async def tick(self, *, drawn: bool) -> None:
        """Look at the metrics again and again, and write lines unless a terminal is drawn."""
        told: Sequence[str] = ()  # at its very beginning it is nowhere
        while True:
            await self._look()
            if not drawn:
                self._write([*told, *self._measured()])
            await asyncio.sleep(EVERY)
            told = self._far()

    def drawn(self) -> Table:
        """It, for a terminal."""
        tally = self._tally
        done, of = (tally.followed, len(tally.jobs)) if tally.seconds else (tally.answered, tally.count)
        shown = Table.grid()
        shown.add_row(ProgressBar(total=max(of, 1), completed=done, width=BAR))
        for line in (*self._far(), *self._measured()):
            shown.add_row(Text(line, overflow="fold"))
        return shown

    async def _look(self) -> None:
        if self._screen.counts is None:
            return
        try:
            self._metrics, self._fault = await self._screen.counts(), ""
        except TidegateError as exc:
            self._fault = plain(exc)

    def _write(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._screen.console.file.write(f"{line}\n")
        self._screen.console.file.flush()

    def _far(self) -> Sequence[str]:
        return [how_far(self._tally, self._began(), follows=self._screen.follows)] if self._screen.lines else []

    def _measured(self) -> Sequence[str]:
        if self._fault:
            return [self._fault]
        return [] if self._metrics is None else [measured(self._metrics)]


def how_far(tally: Tally, seconds: float, *, follows: bool) -> str:
    """How far it is, in a line."""
    lasted = tally.seconds or seconds
    rate = len(tally.jobs) / lasted if lasted else 0.0
    words = [
        f"{tally.answered:,} of {tally.count:,} submitted",
        f"accepted {len(tally.jobs):,}",
        f"{rate:,.0f}/s",
        f"backed off {tally.pauses:,}",
    ]
    return " · ".join([*words, f"ended {tally.followed:,}"] if follows and tally.seconds else words)


def measured(counts: Counts) -> str:
    """A server's metrics in a line."""
    return "metrics, up to 5 s old: " + " · ".join(f"{name} {getattr(counts, name):,}" for name in SHOWN)


def print_report(report: Report) -> None:
    """Say what it came to."""
    backed = report.backed_off
    lines: Mapping[str, str] = {
        "server": report.url,
        "jobs": f"{report.type}, {report.concurrency:,} at once; keys {report.key}-0 ...",
        "accepted": f"{report.accepted:,} of {report.count:,}" + _some(report.replayed, ", made before: {:,}"),
        "refused": f"{sum(report.refused.values()):,}{_whys(report.refused)}",
        "unanswered": f"{report.unanswered:,}" if report.unanswered else "",
        "backed off": f"{_times(backed.times)}, {backed.seconds:,.1f} s{_whys(backed.answers)}",
        "rate": f"{report.per_second:,.1f} accepted a second, in {report.seconds:,.2f} s",
        "submit": _spread(report.submit_ms),
        "ended": _ends(report.ended),
        "end to end": _spread(report.end_to_end_ms),
        "stopped": report.stopped,
    }
    for name, value in lines.items():
        if value:
            say(f"{name:10}  {plain(value)}")


def as_json(report: Report) -> dict[str, object]:
    """The same, for machines."""
    return asdict(report)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _some(number: int, text: str) -> str:
    return text.format(number) if number else ""


def _whys(reasons: Mapping[str, int]) -> str:
    return "; " + ", ".join(f"{why} {number:,}" for why, number in reasons.items()) if reasons else ""


def _spread(spread: Spread | None) -> str:
    return f"p50 {spread.p50:,.1f} ms, p95 {spread.p95:,.1f}, p99 {spread.p99:,.1f}" if spread else ""


def _ends(ended: Ended | None) -> str:
    if ended is None:
        return ""
    how = {name: getattr(ended, name) for name in ("succeeded", "failed", "cancelled", "gone", "open")}
    told = ", ".join(f"{name} {number:,}" for name, number in how.items() if number) or "none"
    return f"{told}; {ended.per_second:,.1f} a second"
