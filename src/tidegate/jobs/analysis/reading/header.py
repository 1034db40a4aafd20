"""Where a grid of cells starts to be a table, whether it has a header, and what its columns are called."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.jobs.analysis.reading.cells import Look, look

_MOST_ROWS_ABOVE = 30
_YEAR = re.compile(r"(?:18|19|20|21)[0-9]{2}")
_LONGEST_NAME = 120

Grid = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """`above` rows come before the table; `named` says whether the table's first row is its header."""

    above: int
    named: bool


def find_heading(grid: Grid, width: int) -> Heading:
    """Locate the header in the first rows of a grid of `width` columns; rows may be short or long."""
    above = _rows_above(grid, width)
    body = grid[above + 1 :]
    first = [cell.strip() for cell in grid[above]] if above < len(grid) else []
    first += [""] * (width - len(first))
    return Heading(above=above, named=_is_header(first[:width], body))


def _rows_above(grid: Grid, width: int) -> int:
    """Titles, remarks and blank rows over the table: leading rows with next to nothing in them."""
    filled = [sum(1 for cell in row if cell.strip()) for row in grid]
    sparse = max(1, width // 4) if width > 1 else 0
    for index, count in enumerate(filled[: _MOST_ROWS_ABOVE + 1]):
        if count > sparse:
            return index
    return next((index for index, count in enumerate(filled) if count), 0)


def _is_header(first: list[str], body: Grid) -> bool:
    if not any(first):
        return False
    votes = [_vote(cell, _column(body, index)) for index, cell in enumerate(first)]
    if sum(votes):
        return sum(votes) > 0
    words = [cell for cell in first if cell]
    plain = all(look(cell) in (Look.TEXT, Look.NULL) and len(cell) <= 60 for cell in words)
    return plain and len({cell.lower() for cell in words}) == len(words) and len(words) == len(first)


def _column(body: Grid, index: int) -> list[str]:
    return [row[index].strip() for row in body[:200] if index < len(row) and row[index].strip()]


def _vote(cell: str, below: list[str]) -> int:
    """1: this cell names the column below it; -1: it is one of its values; 0: can't tell."""
    looks = [each for each in map(look, below) if each is not Look.NULL]
    if not cell or not looks:
        return 0
    usual, count = Counter(looks).most_common(1)[0]
    if usual is Look.TEXT or count < 0.8 * len(looks):
        return -1 if cell in below else 0
    if look(cell) is usual:
        return 1 if _YEAR.fullmatch(cell) and not _are_years(below) else -1
    return 0 if look(cell) in (Look.NULL, Look.NUMBER) else 1


def _are_years(cells: list[str]) -> bool:
    return sum(1 for each in cells if _YEAR.fullmatch(each)) >= 0.5 * len(cells)


def column_names(headings: Sequence[str]) -> list[str]:
    """One distinct, printable name for each heading: blanks become "column 3", repeats "name (2)"."""
    names: list[str] = []
    taken: set[str] = set()
    for position, heading in enumerate(headings, start=1):
        name = _clean(heading) or f"column {position}"
        unique, copy = name, 2
        while unique.lower() in taken:
            unique, copy = f"{name} ({copy})", copy + 1
        taken.add(unique.lower())
        names.append(unique)
    return names


def _clean(heading: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in heading.replace("\ufeff", ""))
    return " ".join(printable.split())[:_LONGEST_NAME]
