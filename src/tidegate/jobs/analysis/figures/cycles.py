"""Cycles that repeat along the time axis: hours of the day, days of the week, months of the year."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

import polars as pl

from tidegate.jobs.analysis.figures.lines import correlation, fit_line, variance_explained
from tidegate.jobs.analysis.figures.model import Pattern, Phase
from tidegate.jobs.analysis.figures.timeline import Timeline, series_of

_LEAST_STRENGTH = 0.1
_LEAST_SIGNAL = 4.0
_LEAST_AGREEMENT = 0.5
_CERTAIN = 1e6
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


_ByPhase = dict[int, list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One kind of cycle: sampled per `grain`, `length` long, worth looking at from `least` of them on."""

    period: str
    grain: str
    length: timedelta
    least: int
    labels: tuple[str, ...]
    phase: Callable[[datetime], int]


CYCLES = (
    Cycle(
        period="hour_of_day",
        grain="hour",
        length=timedelta(days=1),
        least=5,
        labels=tuple(f"{hour:02}:00" for hour in range(24)),
        phase=lambda at: at.hour,
    ),
    Cycle(
        period="weekday",
        grain="day",
        length=timedelta(days=7),
        least=4,
        labels=_WEEKDAYS,
        phase=lambda at: at.weekday(),
    ),
    Cycle(
        period="month_of_year",
        grain="month",
        length=timedelta(days=365.25),
        least=2,
        labels=_MONTHS,
        phase=lambda at: at.month - 1,
    ),
)
_MOST_SAMPLES = 50_000
_GRAIN = {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=31)}


def find_patterns(timeline: Timeline, values: pl.Series | None, aggregate: str) -> dict[str, Pattern]:
    """The cycles that show in the data, by period: they explain at least a tenth of what the trend leaves
    over, or stand out from chance, and show alike in odd and in even cycles."""
    found: dict[str, Pattern] = {}
    for cycle in CYCLES:
        cycles, grain = timeline.span / cycle.length, _GRAIN[cycle.grain]
        fits = timeline.step <= grain and timeline.span / grain <= _MOST_SAMPLES
        if not fits or cycles < cycle.least * 0.98:
            continue
        pattern = _pattern(cycle, series_of(timeline, values, aggregate, cycle.grain).present(), cycles)
        if pattern is not None and _shows(pattern):
            found[cycle.period] = pattern
    return found


def _shows(pattern: Pattern) -> bool:
    clear = pattern.strength >= _LEAST_STRENGTH or pattern.signal >= _LEAST_SIGNAL
    return clear and pattern.agreement >= _LEAST_AGREEMENT


def _pattern(cycle: Cycle, present: list[tuple[datetime, float]], cycles: float) -> Pattern | None:
    phases, halves = _phases(cycle, present)
    free = len(present) - len(phases)
    if len(phases) < 0.5 * len(cycle.labels) or free < len(phases):
        return None
    raw = variance_explained(list(phases.values()))
    profile = [
        Phase(label=cycle.labels[index], value=fmean(phases[index]), count=len(phases[index]))
        for index in sorted(phases)
    ]
    return Pattern(
        period=cycle.period,
        strength=max(0.0, 1 - (1 - raw) * (len(present) - 1) / free),
        signal=raw / (1 - raw) * free / (len(phases) - 1) if raw < 1 else _CERTAIN,
        agreement=_agreement(*halves),
        cycles=cycles,
        peak=max(profile, key=lambda phase: phase.value),
        trough=min(profile, key=lambda phase: phase.value),
        phases=tuple(profile),
    )


def _phases(cycle: Cycle, present: list[tuple[datetime, float]]) -> tuple[_ByPhase, tuple[_ByPhase, _ByPhase]]:
    """The detrended values by phase: of all cycles, and of the even and the odd ones."""
    every: _ByPhase = {}
    halves: tuple[_ByPhase, _ByPhase] = ({}, {})
    if not present:
        return every, halves
    values = [value for _, value in present]
    line, level = fit_line(values), fmean(values)
    for position, (at, value) in enumerate(present):
        half = halves[(at - present[0][0]) // cycle.length % 2]
        for phases in (every, half):
            phases.setdefault(cycle.phase(at), []).append(value - line.at(position) + level)
    return every, halves


def _agreement(even: _ByPhase, odd: _ByPhase) -> float:
    """The correlation of two profiles over the phases both have."""
    both = sorted(even.keys() & odd.keys())
    return correlation([fmean(even[phase]) for phase in both], [fmean(odd[phase]) for phase in both])


def without_cycle(present: list[tuple[datetime, float]], patterns: dict[str, Pattern], bucket: str) -> list[float]:
    """The values with the cycle that is sampled in these buckets taken out, where there is one."""
    cycle = next((each for each in CYCLES if each.grain == bucket), None)
    pattern = patterns.get(cycle.period) if cycle else None
    if pattern is None or cycle is None:
        return [value for _, value in present]
    usual = {phase.label: phase.value for phase in pattern.phases}
    mean = fmean(usual.values())
    return [value - (usual.get(cycle.labels[cycle.phase(at)], mean) - mean) for at, value in present]
