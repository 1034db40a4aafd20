"""Statistics of one short series of numbers, in plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A least-squares line over positions 0, 1, 2, ...; `fit` is r squared."""

    slope: float
    intercept: float
    fit: float

    def at(self, position: float) -> float:
        """The line's value at a position."""
        return self.intercept + self.slope * position


def fit_line(values: Sequence[float]) -> Line:
    """The least-squares line through at least one value."""
    count = len(values)
    middle, mean = (count - 1) / 2, fmean(values)
    across = sum((position - middle) * (value - mean) for position, value in enumerate(values))
    spread = sum((position - middle) ** 2 for position in range(count))
    total = sum((value - mean) ** 2 for value in values)
    slope = across / spread if spread else 0.0
    fit = slope * across / total if total else 0.0
    return Line(slope=slope, intercept=mean - slope * middle, fit=min(1.0, fit))


def variance_explained(groups: Sequence[Sequence[float]]) -> float:
    """The share of all variance that lies between the groups (eta squared); 0 where nothing varies."""
    everything = [value for group in groups for value in group]
    grand = fmean(everything)
    total = sum((value - grand) ** 2 for value in everything)
    between = sum(len(group) * (fmean(group) - grand) ** 2 for group in groups if group)
    return min(1.0, between / total) if total else 0.0


def correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's coefficient of two equally long series; 0 for under three pairs or where one is constant."""
    if len(a) < 3:
        return 0.0
    mean_a, mean_b = fmean(a), fmean(b)
    across = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = sqrt(sum((x - mean_a) ** 2 for x in a)) * sqrt(sum((y - mean_b) ** 2 for y in b))
    return across / spread if spread else 0.0


def best_split(values: Sequence[float], margin: int) -> tuple[int, float] | None:
    """Where one change of level explains most variance: the first position after it, and the share explained.

    Keeps `margin` values on either side; None where that leaves no place or nothing varies.
    """
    count, whole, grand = len(values), sum(values), fmean(values)
    total = sum((value - grand) ** 2 for value in values)
    best, left = (0, -1.0), 0.0
    for position in range(1, count):
        left += values[position - 1]
        if margin <= position <= count - margin:
            right = whole - left
            between = left * left / position + right * right / (count - position) - whole * whole / count
            best = max(best, (position, between), key=lambda each: each[1])
    return (best[0], min(1.0, best[1] / total)) if best[0] and total else None
