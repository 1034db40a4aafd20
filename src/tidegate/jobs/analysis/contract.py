"""What a caller of the analysis gives and gets."""

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[float, str], None]
"""Told the fraction done, 0 to 1, and what is being done. May raise, to cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What one analysis found.

    `result` is the document written to `result.json` (docs/reference/analysis.md). `charts` are the paths of
    the pictures, relative to the output directory, in the order of `result["charts"]`.
    """

    result: dict[str, object]
    charts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is analysed. Files past a byte limit are refused; rows and columns are cut, and said so.

    The defaults keep a worker under about 1.5 GB: a cell costs 16 to 60 bytes in memory, parsed JSON ten
    times its text.
    """

    file_bytes: int = 256 * 1024 * 1024
    json_bytes: int = 64 * 1024 * 1024
    unpacked_bytes: int = 512 * 1024 * 1024
    rows: int = 2_000_000
    columns: int = 500
    cells: int = 20_000_000

    def rows_of(self, columns: int) -> int:
        """The number of rows that may be read from a table of that many columns."""
        return max(1, min(self.rows, self.cells // max(1, columns)))


class Stage:
    """A stretch of the whole run: turns its own 0..1 into the caller's."""

    __slots__ = ("_progress", "_start", "_width")

    def __init__(self, progress: Progress, start: float, stop: float) -> None:
        self._progress = progress
        self._start = start
        self._width = stop - start

    def at(self, fraction: float, message: str) -> None:
        """Report progress; raises whatever the caller's callback raises, which is how a run is cancelled."""
        self._progress(round(self._start + self._width * min(1.0, max(0.0, fraction)), 4), message)
